// The report `comments`: the free text lines of a profile, all of them.
#include "view/report_json.h"
#include "view/reports.h"

int ht_write_comments(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    const struct ht_profile *profile = report->profile;
    struct ht_json json = {.out = out};
    if (form->json) {
        ht_report_json_begin(&json, report, form->name);
        ht_json_begin_array(&json, "rows");
    }
    for (size_t i = 0; i < profile->comment_count; i++) {
        const char *comment = ht_profile_text(profile, profile->comments[i]);
        if (form->json)
            ht_json_string(&json, NULL, comment);
        else
            ht_buffer_printf(out, "%s\n", comment);
    }
    if (form->json) {
        ht_json_end_array(&json);
        ht_json_end_object(&json);
    }
    return 0;
}
