// What the readers of the older forms have in common: lines and words of foreign bytes, stacks, maps.
#ifndef HT_PROFILE_LEGACY_READER_H
#define HT_PROFILE_LEGACY_READER_H

#include "profile/bytes.h"
#include "profile/profile.h"

struct ht_legacy_symbol {
    uint64_t address;
    uint32_t names; // string: the innermost function first, "--" between two
};

struct ht_legacy {
    struct ht_bytes *bytes;
    struct ht_profile *profile;
    uint64_t memory_limit;
    const char *what;           // for messages: "heap profile"
    struct ht_buffer text;      // that `line` is in
    const char *line;           // the line read last, without blanks at its ends
    size_t line_number;         // from 1
    struct ht_index by_address; // -> location, as long as these keep their addresses
    struct ht_index by_name;    // string -> function
    uint32_t *stack;            // locations of the stack that is being read, leaf first
    size_t stack_count, stack_capacity;
    struct ht_legacy_symbol *symbols; // names that stood in front of the profile
    size_t symbol_count, symbol_capacity;
    uint32_t program; // string: the program's file, if it was named in front
};

// Context: tool; internal to profile/legacy/. Functions that return int fail with ht_error().

// "malformed WHAT: line N: REASON", -1.
int ht_legacy_malformed(const struct ht_legacy *legacy, const char *reason);

// Reads the next line: 1, or 0 at the end.
int ht_legacy_next(struct ht_legacy *legacy);
bool ht_legacy_is_comment(const struct ht_legacy *legacy); // or empty
// The line that map entries follow.
bool ht_legacy_is_maps_head(const struct ht_legacy *legacy);

// Fails when the profile has become too large.
int ht_legacy_check_memory(const struct ht_legacy *legacy);

// Matches a text's beginning: '#' is a number, ' ' any blanks, '~' at least one, other characters are
// themselves. *at moves behind what matched; numbers too large do not match.
bool ht_legacy_scan(const char **at, const char *pattern, int64_t *ret_numbers);

// "KEY = VALUE" of the line, cut in place; false: no such line. A number as C writes them.
bool ht_legacy_attribute(struct ht_legacy *legacy, const char **ret_key, const char **ret_value);
bool ht_legacy_integer(const char *text, int64_t *ret_number);

// From which addresses of a stack one is taken off, so that they lie in the call and not behind it.
enum ht_legacy_calls { HT_CALLS_NONE, HT_CALLS_BUT_LEAF, HT_CALLS_ALL };

uint32_t ht_legacy_location(struct ht_legacy *legacy, uint64_t address);
// Adds an address to the stack that is being read.
void ht_legacy_push(struct ht_legacy *legacy, uint64_t address, enum ht_legacy_calls calls);
// Adds all "0x..." of the text; with `only` those up to the first thing that is none.
int ht_legacy_push_text(struct ht_legacy *legacy, const char *text, bool only, enum ht_legacy_calls calls);
// Ends the stack: a sample with these values. block_bytes other than 0 is its label "bytes".
void ht_legacy_add_sample(struct ht_legacy *legacy, const int64_t *values, int64_t block_bytes);

// Takes the frame above the leaf out of a sample that has one.
void ht_legacy_remove_second(struct ht_profile *profile, struct ht_sample *sample);
// Takes the second out where the leaf is there twice: as the signal gave it, and as a call.
void ht_legacy_join_leafs(struct ht_profile *profile);

// The function of this name; a new one is said to be in `file`.
uint32_t ht_legacy_function(struct ht_legacy *legacy, const char *name, size_t length, const char *file);
void ht_legacy_name(struct ht_legacy *legacy, struct ht_location *location, uint32_t function, int64_t line);

void ht_legacy_period(struct ht_legacy *legacy, const char *type, const char *unit, int64_t period);

// Reads what is left, with the maps in it if there are any; `in_maps`: it is nothing but maps. Then locations
// get their mappings, and names if they stood in front.
int ht_legacy_finish(struct ht_legacy *legacy, bool in_maps);
void ht_legacy_assign(struct ht_legacy *legacy); // that alone

// What pprof leaves out of such profiles.
void ht_legacy_drop_allocators(struct ht_profile *profile, bool jemalloc);
void ht_legacy_drop_locks(struct ht_profile *profile);
void ht_legacy_drop_profiler(struct ht_profile *profile);

// A sampled allocator's figures, divided by the chance of each to have been sampled.
void ht_legacy_unsample(int64_t *count, int64_t *bytes, int64_t rate_bytes);

// The formats, from their first byte on.
int ht_legacy_heap(struct ht_legacy *legacy);
int ht_legacy_jemalloc(struct ht_legacy *legacy);
int ht_legacy_counts(struct ht_legacy *legacy);
int ht_legacy_threads(struct ht_legacy *legacy);
int ht_legacy_contention(struct ht_legacy *legacy);
int ht_legacy_cpu(struct ht_legacy *legacy);
int ht_legacy_java_heap(struct ht_legacy *legacy);

// Java's samples from the line read last on, and the names of its locations.
enum ht_legacy_java { HT_JAVA_HEAP, HT_JAVA_CONTENTION };
int ht_legacy_java_samples(struct ht_legacy *legacy, enum ht_legacy_java kind);
int ht_legacy_java_locations(struct ht_legacy *legacy);

// Whether bytes begin as a binary CPU profile does.
bool ht_legacy_is_cpu(const uint8_t *bytes, size_t length);
// Whether a line, up to its end, is the head of such a profile.
bool ht_legacy_is_heap_head(const char *line);
bool ht_legacy_is_counts_head(const char *line);
bool ht_legacy_is_threads_head(const char *line);

#endif
