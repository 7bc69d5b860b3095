// Stacks that are known and let be: a file of patterns as LeakSanitizer reads it.
#ifndef HT_PROFILE_SUPPRESS_H
#define HT_PROFILE_SUPPRESS_H

#include "profile/profile.h"

// A line is `leak:PATTERN`, a comment (#) or empty. A pattern is looked for anywhere in the names of a
// frame's function, source file and module; `*` stands for any characters, `^` at the beginning and `$` at
// the end hold it to the whole name.
struct ht_suppressions {
    struct ht_suppression {
        char *pattern;
        size_t line; // of the file
    } * items;
    size_t count, capacity;
};

// Context: tool. Fails with the number of a line that is none of these; lines of other sanitizers
// (`race:...`) are left out with a warning. The text may hold any bytes.
int ht_suppressions_parse(struct ht_suppressions *list, const char *text, size_t length);
int ht_suppressions_read(struct ht_suppressions *list, const char *path);
void ht_suppressions_free(struct ht_suppressions *list);

// Takes the samples with such a frame out of the profile, which has its names.
void ht_suppressions_apply(const struct ht_suppressions *list, struct ht_profile *profile);

bool ht_suppression_matches(const char *pattern, const char *text);

#endif
