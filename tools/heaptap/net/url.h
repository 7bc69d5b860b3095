// Addresses of profiles as people type them: http://host:port/debug/pprof/heap, or host:port alone.
#ifndef HT_NET_URL_H
#define HT_NET_URL_H

#include <stdbool.h>
#include <stdint.h>

// Context: tool; pure. Results that are char * are the caller's to free().

// Whether an argument is an address: http://, https://, https+insecure://, host:port or host:port/path.
// Whoever asks looks for a file of this name first.
bool ht_url_matches(const char *argument);

// The URL to fetch: with a scheme, with /debug/pprof/heap where only a server (or its index) is named, and
// with seconds=N in the query if seconds > 0. *ret_insecure becomes true for https+insecure, else it is
// untouched.
char *ht_url_of_profile(const char *argument, int64_t seconds, bool *ret_insecure);

// Where `go tool pprof` asks for names: the last part of the path becomes "symbol" (below /debug/pprof/), or
// the whole path "symbolz"; without the query.
char *ht_url_of_symbols(const char *url);

// The number behind seconds= in the query, 0 if there is none.
int64_t ht_url_seconds(const char *url);

// Whether it names this machine: proxies of the environment are for other hosts, as in Go.
bool ht_url_is_local(const char *url);

// For messages: without user name and password.
char *ht_url_shown(const char *argument);

#endif
