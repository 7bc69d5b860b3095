// Fetches over HTTP and HTTPS with libcurl, several addresses at the same time.
#ifndef HT_NET_HTTP_H
#define HT_NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One exchange. The caller sets the first part (all zero: a plain GET), ht_http_fetch the second.
struct ht_http_request {
    const char *url;  // http:// or https://
    const char *post; // body of a POST, NULL: GET
    size_t post_length;
    bool insecure;                               // certificates are not checked
    const char *certificate, *key, *authorities; // PEM files: ours, its key, whom to believe; NULL: the usual
    uint64_t timeout_ns;                         // for the whole exchange, 0: none
    uint64_t limit_bytes;                        // of the body, 0: 1 GiB

    int body;               // an unlinked file at its beginning, the caller closes it; -1: failed
    char content_type[128]; // lower case, without parameters; "": none
    char error[512];        // one line, "": done
};

// How it goes, from half a second after the start on, some times a second.
struct ht_http_waiting {
    size_t left, count; // requests; left 0: over, and nothing more will be told
    uint64_t elapsed_ns, received_bytes;
};

// Whom to tell; NULL: nobody.
void ht_http_while_waiting(void (*tell)(const struct ht_http_waiting *waiting));

// Context: tool. Answers other than 200 are
// failures; the message then carries what the server said in plain text. At most 5 redirects, to HTTP and
// HTTPS only. libcurl is loaded at the first call (it brings 30 libraries that no other command needs).
// Never fails as a whole: each request has its own error.
void ht_http_fetch(struct ht_http_request *requests, size_t count);

#endif
