// Reads whose snapshot a profile is.
#include "profile/source.h"

#include <stdlib.h>

// How many comments have this key.
static size_t count_of(const struct ht_profile *profile, const char *key)
{
    static const char prefix[] = "# heaptap: ";
    size_t length = strlen(key), count = 0;
    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *text = ht_profile_text(profile, profile->comments[i]);
        count += strncmp(text, prefix, sizeof prefix - 1) == 0 &&
                 strncmp(text + sizeof prefix - 1, key, length) == 0 &&
                 text[sizeof prefix - 1 + length] == '=';
    }
    return count;
}

bool ht_source_of(const struct ht_profile *profile, struct ht_source *ret_origin)
{
    // What was merged or subtracted keeps the comments of all.
    if (count_of(profile, "pid") != 1 || count_of(profile, "start") != 1 || count_of(profile, "seq") != 1)
        return false;
    *ret_origin = (struct ht_source){
        .program = ht_profile_comment_value(profile, "program"),
        .pid = ht_profile_comment_value(profile, "pid"),
        .start = ht_profile_comment_value(profile, "start"),
        .pid_namespace = ht_profile_comment_value(profile, "pid_namespace"),
        .boot_id = ht_profile_comment_value(profile, "boot_id"),
        .inherited_pid = ht_profile_comment_value(profile, "inherited_pid"),
        .inherited_start = ht_profile_comment_value(profile, "inherited_start"),
        .seq = strtoull(ht_profile_comment_value(profile, "seq"), NULL, 10),
        .time_ns = profile->time_ns,
    };
    return true;
}

static bool is_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_same_machine(const struct ht_source *a, const struct ht_source *b)
{
    return is_equal(a->boot_id, b->boot_id) && is_equal(a->pid_namespace, b->pid_namespace);
}

bool ht_source_is_same(const struct ht_source *a, const struct ht_source *b)
{
    return is_same_machine(a, b) && is_equal(a->pid, b->pid) && is_equal(a->start, b->start);
}

bool ht_source_is_parent(const struct ht_source *parent, const struct ht_source *child)
{
    return child->inherited_pid != NULL && is_same_machine(parent, child) &&
           is_equal(parent->pid, child->inherited_pid) && is_equal(parent->start, child->inherited_start);
}

bool ht_source_is_sibling(const struct ht_source *a, const struct ht_source *b)
{
    return a->inherited_pid != NULL && is_same_machine(a, b) &&
           is_equal(a->inherited_pid, b->inherited_pid) && is_equal(a->inherited_start, b->inherited_start);
}

static bool has_same_types(const struct ht_profile *a, const struct ht_profile *b)
{
    if (a->sample_type_count != b->sample_type_count)
        return false;
    for (size_t i = 0; i < a->sample_type_count; i++)
        if (strcmp(ht_profile_text(a, a->sample_types[i].type),
                   ht_profile_text(b, b->sample_types[i].type)) != 0)
            return false;
    return true;
}

bool ht_source_is_series(const struct ht_profile *a, const struct ht_profile *b)
{
    struct ht_source of_a, of_b;
    return ht_source_of(a, &of_a) && ht_source_of(b, &of_b) && ht_source_is_same(&of_a, &of_b) &&
           has_same_types(a, b);
}

bool ht_source_is_newer(const struct ht_profile *a, const struct ht_profile *b)
{
    struct ht_source of_a, of_b;
    if (a->time_ns != b->time_ns || !ht_source_of(a, &of_a) || !ht_source_of(b, &of_b))
        return a->time_ns > b->time_ns;
    return of_a.seq > of_b.seq;
}
