// Where a frame is, as reports name it: function, source file and line, or an offset in an object without
// names.
#ifndef HT_PROFILE_PLACE_H
#define HT_PROFILE_PLACE_H

#include "profile/profile.h"

// What counts as one place.
enum ht_granularity {
    HT_BY_FUNCTIONS,
    HT_BY_FILEFUNCTIONS,
    HT_BY_FILES,
    HT_BY_LINES,
    HT_BY_ADDRESSES,
};

struct ht_place {
    uint32_t name, file, object; // strings; object: the mapping's file where there is no name
    int64_t line;
    uint64_t object_offset; // in the object's file, where there is no name
};

// Context: tool; pure.

// One frame of a location, as far as the granularity tells frames apart. `line` NULL: by its object.
struct ht_place ht_place_of(const struct ht_profile *profile, const struct ht_location *location,
                            const struct ht_line *line, int granularity);

bool ht_place_equal(const struct ht_place *a, const struct ht_place *b);
uint64_t ht_place_hash(const struct ht_place *place);

// Order by name, file, line, object, offset; 0 only for the same place.
int ht_place_compare(const struct ht_profile *profile, const struct ht_place *a, const struct ht_place *b);

// A location has at least one frame: itself, or each of its inlined functions.
static inline uint32_t ht_location_frames(const struct ht_location *location)
{
    return location->line_count == 0 ? 1 : location->line_count;
}

// The line of such a frame, the innermost first; NULL: the location has no names.
static inline const struct ht_line *ht_location_line(const struct ht_profile *profile,
                                                     const struct ht_location *location, uint32_t frame)
{
    return location->line_count == 0 ? NULL : &profile->lines[location->lines + frame];
}

#endif
