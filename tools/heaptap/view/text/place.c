// Names places.
#include "view/text/place.h"

#include "base/path.h"

void ht_place_text(const struct ht_profile *profile, const struct ht_place *place, const char *trim_path,
                   struct ht_buffer *out)
{
    if (place->name != 0)
        ht_buffer_text(out, ht_profile_text(profile, place->name));
    if (place->file != 0) {
        ht_buffer_text(out, place->name != 0 ? "  " : "");
        ht_path_clean(ht_path_trim(ht_profile_text(profile, place->file), trim_path, NULL), out);
        if (place->line != 0)
            ht_buffer_printf(out, ":%lld", (long long)place->line);
    }
    if (place->name != 0 || place->file != 0)
        return;
    if (place->object == 0) {
        ht_buffer_text(out, "<unknown>");
        return;
    }
    ht_buffer_byte(out, '[');
    ht_path_base(ht_profile_text(profile, place->object), out);
    if (place->object_offset != 0)
        ht_buffer_printf(out, "+0x%llx", (unsigned long long)place->object_offset);
    ht_buffer_byte(out, ']');
}
