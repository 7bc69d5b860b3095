// Regular expressions as pprof's users write them (RE2's common part), by PCRE2, bounded in time.
#ifndef HT_BASE_REGEX_H
#define HT_BASE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

struct ht_regex;

// Context: tool. Unanchored, case sensitive ((?i) works), text is UTF-8 with tolerance for other bytes. Fails
// with the place of the mistake.
int ht_regex_compile(const char *pattern, struct ht_regex **ret_regex);
void ht_regex_free(struct ht_regex *regex); // NULL is allowed

// An expression that gives up (catastrophic backtracking) does not match.
bool ht_regex_match(const struct ht_regex *regex, const char *text, size_t length);

// The part matched by group `group` (0: all); false if the text or the group does not match.
bool ht_regex_find(const struct ht_regex *regex, const char *text, size_t length, size_t from, unsigned group,
                   size_t *ret_start, size_t *ret_end);

#endif
