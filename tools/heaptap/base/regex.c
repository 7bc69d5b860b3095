// Regular expressions by PCRE2.
#include "base/regex.h"

#include "base/error.h"
#include "base/memory.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

struct ht_regex {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *context;
};

int ht_regex_compile(const char *pattern, struct ht_regex **ret_regex)
{
    int error;
    PCRE2_SIZE offset;
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &error, &offset, NULL);
    if (code == NULL) {
        unsigned char reason[256] = "";
        pcre2_get_error_message(error, reason, sizeof reason);
        return ht_fail("bad regular expression '%s' at byte %zu: %s", pattern, (size_t)offset,
                       (char *)reason);
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); // without JIT it works too
    struct ht_regex *regex = ht_alloc(sizeof *regex);
    regex->code = code;
    regex->match = pcre2_match_data_create_from_pattern(code, NULL);
    regex->context = pcre2_match_context_create(NULL);
    if (regex->match == NULL || regex->context == NULL)
        ht_die("out of memory");
    pcre2_set_match_limit(regex->context, 1000000);
    pcre2_set_heap_limit(regex->context, 64 * 1024); // KiB
    *ret_regex = regex;
    return 0;
}

void ht_regex_free(struct ht_regex *regex)
{
    if (regex == NULL)
        return;
    pcre2_code_free(regex->code);
    pcre2_match_data_free(regex->match);
    pcre2_match_context_free(regex->context);
    free(regex);
}

bool ht_regex_match(const struct ht_regex *regex, const char *text, size_t length)
{
    return pcre2_match(regex->code, (PCRE2_SPTR)text, length, 0, 0, regex->match, regex->context) >= 0;
}

bool ht_regex_find(const struct ht_regex *regex, const char *text, size_t length, size_t from, unsigned group,
                   size_t *ret_start, size_t *ret_end)
{
    if (from > length)
        return false;
    int groups = pcre2_match(regex->code, (PCRE2_SPTR)text, length, from, 0, regex->match, regex->context);
    if (groups <= (int)group)
        return false;
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(regex->match);
    if (offsets[group * 2] == PCRE2_UNSET)
        return false;
    *ret_start = offsets[group * 2];
    *ret_end = offsets[group * 2 + 1];
    return true;
}
