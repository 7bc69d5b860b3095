// A pprof profile in memory: compact arrays that refer to each other by position, strings interned.
#ifndef HT_PROFILE_PROFILE_H
#define HT_PROFILE_PROFILE_H

#include "base/memory.h"
#include "base/rights.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Ids of the file format do not live here: a reference is the position in the array (HT_NONE: none), and the
// writer numbers from 1. Every reference is valid, always; the invariants are those of ht_profile_check().

struct ht_profile_string {
    const char *text; // NUL-terminated, in the profile's arena; may hold any other byte
    uint32_t length;
    uint32_t original; // string of what stood here before ht_profile_make_printable; 0: this did
};

struct ht_value_type {
    uint32_t type; // string
    uint32_t unit; // string
};

struct ht_label {
    uint32_t key;  // string
    uint32_t text; // string, 0: a numeric label
    uint32_t unit; // string, numeric labels only
    int64_t number;
};

struct ht_sample {
    uint64_t frames; // first in profile.frames, leaf first
    uint64_t labels; // first in profile.labels, sorted: text labels by key, then numeric ones by key
    uint32_t frame_count;
    uint32_t label_count;
    // values of sample i: profile.values[i * sample_type_count ...]
    uint64_t births; // first in profile.births
    uint32_t birth_count;
};

// A live sample (profile/birth.h); no order is promised within a sample.
struct ht_birth {
    int64_t ticks; // CLOCK_MONOTONIC in units of profile.tick_ns
    uint64_t size_bytes;
    float rate_bytes;  // mean distance with which it was drawn
    int16_t rank_cell; // it is seen at a floor of this cell and below; HT_RANK_UNKNOWN
    uint16_t pad;
};

struct ht_profile_mapping {
    uint64_t start, limit, offset;
    uint32_t file;     // string
    uint32_t build_id; // string, lower-case hex
    bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct ht_location {
    uint64_t address;
    uint64_t lines; // first in profile.lines, innermost inlined function first
    uint32_t line_count;
    uint32_t mapping; // HT_NONE: none
    bool is_folded;
};

struct ht_line {
    uint32_t function;
    int64_t line; // 1-based, 0 unknown
    int64_t column;
};

struct ht_function {
    uint32_t name;        // string: readable
    uint32_t system_name; // string: as in the symbol table
    uint32_t file;        // string
    int64_t start_line;
};

struct ht_profile {
    struct ht_owner owner;             // whose word its names of files are: with his rights they are opened
    struct ht_arena arena;             // bytes of the strings
    struct ht_profile_string *strings; // [0] is ""
    size_t string_count, string_capacity;
    struct ht_index string_index;

    struct ht_value_type *sample_types;
    size_t sample_type_count, sample_type_capacity;
    struct ht_sample *samples;
    size_t sample_count, sample_capacity;
    int64_t *values;
    size_t value_capacity;
    // Additive, one for each value: the square of its standard error; NaN: unknown. NULL: none is known.
    double *variances;
    size_t variance_capacity;
    bool are_guessed; // the variances, from values and period alone: whoever reads the profile again can as
                      // well
    uint32_t *frames; // locations
    size_t frame_count, frame_capacity;
    struct ht_label *labels;
    size_t label_count, label_capacity;
    struct ht_profile_mapping *mappings; // [0] is the main program
    size_t mapping_count, mapping_capacity;
    struct ht_location *locations;
    size_t location_count, location_capacity;
    struct ht_line *lines;
    size_t line_count, line_capacity;
    struct ht_function *functions;
    size_t function_count, function_capacity;
    uint32_t *comments; // strings
    size_t comment_count, comment_capacity;

    struct ht_birth *births; // of the samples; some may be nobody's
    size_t birth_count, birth_capacity;
    int64_t ticks_now;  // when the snapshot was made; what was born before was there
    uint64_t tick_ns;   // 0: there are no births
    int16_t floor_cell; // of thinning (record/estimate.h), 0: none

    uint32_t drop_frames, keep_frames; // strings: regular expressions
    uint32_t default_sample_type;      // string
    uint32_t doc_url;                  // string
    int64_t time_ns;                   // of the snapshot, since the epoch
    int64_t duration_ns;
    struct ht_value_type period_type;
    int64_t period;
};

// Context: tool. Not thread-safe: one profile is used by one thread at a time.

struct ht_profile *ht_profile_new(void);
void ht_profile_free(struct ht_profile *profile); // NULL is allowed
struct ht_profile *ht_profile_copy(const struct ht_profile *profile);

// Position of the string with these bytes, added if it is new.
uint32_t ht_profile_intern(struct ht_profile *profile, const char *bytes, size_t length);
uint32_t ht_profile_intern_text(struct ht_profile *profile, const char *text);

// The same without adding it: HT_NONE where there is none.
uint32_t ht_profile_find_text(const struct ht_profile *profile, const char *text);

static inline const char *ht_profile_text(const struct ht_profile *profile, uint32_t string)
{
    return profile->strings[string].text;
}

// Once, for reports that are text: every string is shown by base/text.h from here on; tabs stay. Of the
// profile only this and the next function know what was there before, so it can no longer be written or
// copied.
void ht_profile_make_printable(struct ht_profile *profile);
static inline const char *ht_profile_original(const struct ht_profile *profile, uint32_t string)
{
    uint32_t original = profile->strings[string].original;
    return ht_profile_text(profile, original != 0 ? original : string);
}

static inline int64_t *ht_profile_values(const struct ht_profile *profile, size_t sample)
{
    return profile->values + sample * profile->sample_type_count;
}

// Whether a sample has a label of this key.
bool ht_profile_has_label(const struct ht_profile *profile, const struct ht_sample *sample, uint32_t key);

// Building, for writers of profiles and tests. Arrays are copied. A sample's labels may come in any order.
void ht_profile_add_sample_type(struct ht_profile *profile, const char *type, const char *unit);
void ht_profile_add_sample(struct ht_profile *profile, const uint32_t *locations, size_t location_count,
                           const int64_t *values, const struct ht_label *labels, size_t label_count);
uint32_t ht_profile_add_mapping(struct ht_profile *profile, const struct ht_profile_mapping *mapping);
uint32_t ht_profile_add_location(struct ht_profile *profile, uint32_t mapping, uint64_t address,
                                 const struct ht_line *lines, size_t line_count);
uint32_t ht_profile_add_function(struct ht_profile *profile, const char *name, const char *system_name,
                                 const char *file, int64_t start_line);
void ht_profile_add_comment(struct ht_profile *profile, const char *text);

// Keeps the samples whose flag is set, in order.
void ht_profile_keep_samples(struct ht_profile *profile, const bool *keep);

// Sorts one sample's labels: text labels by key, then numeric ones by key; equal keys keep their order.
void ht_profile_sort_labels(const struct ht_profile *profile, struct ht_label *labels, size_t count);

// Every reference inside its array and every sample with its values: fails with what is wrong. For tests and
// fuzzing.
int ht_profile_check(const struct ht_profile *profile);

// Position of a sample type by number or name ("" or NULL: the profile's default, else the last;
// "inuse_space" also finds "space"). Fails with the list of names.
int ht_profile_sample_index(const struct ht_profile *profile, const char *name, size_t *ret_index);

// Value of the comment "# heaptap: KEY=VALUE", NULL if there is none.
const char *ht_profile_comment_value(const struct ht_profile *profile, const char *key);

// Reading. Bounds for foreign bytes; NULL means the defaults: 4 GiB uncompressed; in memory 4 GiB, or half
// of what the machine or RLIMIT_AS has if that is less.
struct ht_profile_limits {
    uint64_t raw_bytes;    // uncompressed
    uint64_t memory_bytes; // of the decoded profile
};

struct ht_profile_limits ht_profile_default_limits(void);

// Any gzip or plain protobuf profile; checked as pprof's CheckValid does. Fails on truncated, malformed or
// too large input with the reason.
int ht_profile_decode(const uint8_t *bytes, size_t length, const struct ht_profile_limits *limits,
                      struct ht_profile **ret_profile);
int ht_profile_read(int fd, const struct ht_profile_limits *limits, struct ht_profile **ret_profile);

// Writing: one gzip stream, ids 1..n in order, strings that are not UTF-8 repaired. Fails when the file
// cannot be written (errno's text in ht_error()).
int ht_profile_write(const struct ht_profile *profile, int fd);
// The same into memory.
int ht_profile_compress(const struct ht_profile *profile, struct ht_buffer *out);
// The same without gzip, into memory.
void ht_profile_encode(const struct ht_profile *profile, struct ht_buffer *out);

// Sum of a sample type by its name; 0 where there is none.
int64_t ht_profile_total(const struct ht_profile *profile, const char *type);

// What a forked child has from its parent stands in its profile twice: in the samples, and once more by
// itself, in a field that other readers skip. In memory those are samples with this label.
#define HT_INHERITED_LABEL "heaptap::inherited"

// Merging. Takes `others` (freed and set to NULL) into the first profile, by pprof's rules of identity; with
// count 1 it only joins equal samples, drops empty ones and what nothing refers to, and orders by first use.
// Sample types that not all have are left out, with a warning; units are converted to the finest. Fails when
// the profiles do not fit together: then they are unchanged but for their sample types and units.
int ht_profile_merge(struct ht_profile **profiles, size_t count);

void ht_profile_scale(struct ht_profile *profile, double factor);
// Scales each sample type so that its sum equals the base's.
int ht_profile_normalize(struct ht_profile *profile, const struct ht_profile *base);
// Sets a text label on every sample (replacing one with this key) / removes it.
void ht_profile_set_label(struct ht_profile *profile, const char *key, const char *value);
void ht_profile_remove_label(struct ht_profile *profile, const char *key);

// In a profile of two snapshots the samples of the older one carry this label with the value "true".
#define HT_COMPARE_OLD_LABEL "heaptap::old"

// profile - base by pprof's -base, or, with `mark`, -diff_base (samples of the base keep the label
// pprof::base). Frees *base and sets it to NULL.
int ht_profile_subtract(struct ht_profile **profile, struct ht_profile **base, bool mark, bool normalize);

// pprof gives a profile without mappings one that knows nothing; reports then agree with its.
void ht_profile_ensure_mapping(struct ht_profile *profile);

#endif
