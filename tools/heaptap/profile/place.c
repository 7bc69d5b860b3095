// Where a frame is, as reports name it: made of a location, compared and ordered.
#include "profile/place.h"

struct ht_place ht_place_of(const struct ht_profile *profile, const struct ht_location *location,
                            const struct ht_line *line, int granularity)
{
    struct ht_place place = {0};
    if (line != NULL) {
        const struct ht_function *function = &profile->functions[line->function];
        place.name = granularity != HT_BY_FILES || function->file == 0 ? function->name : 0;
        place.file = granularity != HT_BY_FUNCTIONS ? function->file : 0;
        place.line = granularity == HT_BY_LINES ? line->line : 0;
    } else if (location->mapping != HT_NONE) {
        const struct ht_profile_mapping *mapping = &profile->mappings[location->mapping];
        place.object = mapping->file;
        if (granularity == HT_BY_LINES)
            place.object_offset = location->address - mapping->start + mapping->offset;
    }
    return place;
}

bool ht_place_equal(const struct ht_place *a, const struct ht_place *b)
{
    return a->name == b->name && a->file == b->file && a->line == b->line && a->object == b->object &&
           a->object_offset == b->object_offset;
}

uint64_t ht_place_hash(const struct ht_place *place)
{
    return ht_hash_add(ht_hash_add((uint64_t)place->name << 32 | place->file, (uint64_t)place->line),
                       ht_hash_add(place->object, place->object_offset));
}

int ht_place_compare(const struct ht_profile *profile, const struct ht_place *a, const struct ht_place *b)
{
    int order = strcmp(ht_profile_text(profile, a->name), ht_profile_text(profile, b->name));
    if (order == 0)
        order = strcmp(ht_profile_text(profile, a->file), ht_profile_text(profile, b->file));
    if (order == 0)
        order = (a->line > b->line) - (a->line < b->line);
    if (order == 0)
        order = strcmp(ht_profile_text(profile, a->object), ht_profile_text(profile, b->object));
    return order != 0 ? order : (a->object_offset > b->object_offset) - (a->object_offset < b->object_offset);
}
