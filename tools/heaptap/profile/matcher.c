// A regular expression against the strings of a profile, asked once for each.
#include "profile/matcher.h"

#include <stdlib.h>

// pprof's view of a function name for drop_frames and prune_from: without a leading '.', cut at the first '('
// that does not belong to "(anonymous namespace)" or "operator()".
static size_t simplified_length(const char *name, size_t length)
{
    for (size_t i = 0; i < length;) {
        if (length - i >= 21 && memcmp(name + i, "(anonymous namespace)", 21) == 0)
            i += 21;
        else if (length - i >= 10 && memcmp(name + i, "operator()", 10) == 0)
            i += 10;
        else if (name[i] == '(')
            return i;
        else
            i++;
    }
    return length;
}

int ht_matcher_init(struct ht_matcher *matcher, const struct ht_profile *profile, const char *pattern,
                    bool simplify)
{
    *matcher = (struct ht_matcher){.profile = profile, .simplify = simplify};
    if (pattern == NULL || pattern[0] == '\0')
        return 0;
    if (ht_regex_compile(pattern, &matcher->regex) < 0)
        return -1;
    matcher->known = ht_alloc_zero(profile->string_count, 1);
    return 0;
}

void ht_matcher_free(struct ht_matcher *matcher)
{
    ht_regex_free(matcher->regex);
    free(matcher->known);
}

bool ht_matcher_matches(struct ht_matcher *matcher, uint32_t string)
{
    if (matcher->known[string] == 0) {
        const struct ht_profile_string *s = &matcher->profile->strings[string];
        const char *text = s->text;
        size_t length = s->length;
        if (matcher->simplify) {
            if (length > 0 && text[0] == '.')
                text++, length--;
            length = simplified_length(text, length);
        }
        matcher->known[string] = ht_regex_match(matcher->regex, text, length) ? 2 : 1;
    }
    return matcher->known[string] == 2;
}
