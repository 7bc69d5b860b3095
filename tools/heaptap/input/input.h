// Whatever a person names on the command line as a profile: a file, a live region, a process or a URL.
#ifndef HT_INPUT_INPUT_H
#define HT_INPUT_INPUT_H

#include "profile/profile.h"

struct ht_input_options {
    int64_t seconds;     // URLs: ask for the change over so many seconds; 0: what the URL says
    uint64_t timeout_ns; // URLs: 0 = 60 s, or 1.5 times the seconds asked for
    bool insecure;       // URLs: accept any certificate
    const char *certificate, *key, *authorities; // URLs: PEM files, as in net/http.h
};

// Inputs on their way: the URLs among the arguments have been fetched, all at the same time.
struct ht_inputs;

// Context: tool. The arguments stay the caller's and must live as long; options may be NULL.
struct ht_inputs *ht_inputs_new(char *const *arguments, size_t count, const struct ht_input_options *options);
void ht_inputs_free(struct ht_inputs *inputs);

// Opens one of them, once: a profile file, a region file, the region of a process (by its pid) or a URL; "-"
// is standard input. Fails with the reason and what to do.
int ht_inputs_open(struct ht_inputs *inputs, size_t position, struct ht_profile **ret_profile);

// Whether this one is a URL (and no file of that name exists), and its name for messages (never a password).
bool ht_inputs_is_url(const struct ht_inputs *inputs, size_t position);
const char *ht_inputs_name(const struct ht_inputs *inputs, size_t position);

// Asks the server that the profile came from for the names of its locations without lines, as `go tool pprof`
// does. Nothing happens where none is missing. Fails if the server gives no answer.
int ht_inputs_ask_names(struct ht_inputs *inputs, size_t position, struct ht_profile *profile);

// One input alone.
int ht_input_open(const char *argument, struct ht_profile **ret_profile);

#endif
