// Fuzzes the reader of foreign profiles and what reports do with them: any bytes give a profile that is whole
// or an error, within bounded memory; merging, filtering, encoding and the reports keep it whole.
#include "base/error.h"
#include "profile/filter.h"
#include "profile/profile.h"
#include "view/compare.h"
#include "view/top.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// What is written can be read again, and has as many samples.
static void round_trip(const struct ht_profile *profile)
{
    struct ht_buffer bytes = {0};
    struct ht_profile *again = NULL;
    ht_profile_encode(profile, &bytes);
    if (profile->sample_count > 0) {
        must(ht_profile_decode((const uint8_t *)bytes.data, bytes.length, NULL, &again) == 0);
        must(ht_profile_check(again) == 0 && again->sample_count == profile->sample_count);
    }
    ht_profile_free(again);
    ht_buffer_free(&bytes);
}

static void report(struct ht_profile *profile, int granularity)
{
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    struct ht_report report;
    struct ht_buffer out = {0};
    options.granularity = granularity;
    options.node_count = 5;
    options.mean = granularity == HT_BY_FILES;
    if (ht_report_init(&report, profile, &options) == 0) {
        struct ht_graph graph;
        ht_graph_build(&graph, &report);
        ht_top_text(&graph, 80, &out);
        ht_top_json(&graph, &out);
        ht_graph_free(&graph);
    }
    ht_report_free(&report);
    struct ht_compare compare;
    struct ht_compare_options compare_options = {.granularity = granularity};
    if (ht_compare_init(&compare, profile, &compare_options, 1, 60000000001) == 0) {
        ht_compare_text(&compare, 3, 1, 0, &out);
        ht_compare_json(&compare, 3, &out);
        ht_compare_free(&compare);
    }
    ht_buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ht_profile_limits limits = {.raw_bytes = 16u << 20, .memory_bytes = 64u << 20};
    struct ht_profile *profile = NULL;
    if (ht_profile_decode(data, size, &limits, &profile) != 0) {
        must(profile == NULL); // out-parameters are untouched on failure
        return 0;
    }
    must(ht_profile_check(profile) == 0);
    round_trip(profile);
    struct ht_profile *base = ht_profile_copy(profile);
    ht_profile_ensure_mapping(profile);
    must(ht_profile_merge(&profile, 1) == 0 && ht_profile_check(profile) == 0);
    struct ht_profile *difference = ht_profile_copy(profile);
    if (ht_profile_subtract(&difference, &base, size % 2 == 0, size % 3 == 0) == 0) {
        must(base == NULL && ht_profile_check(difference) == 0);
    }
    ht_filter_drop_frames(profile);
    must(ht_profile_check(profile) == 0);
    report(difference, (int)(size % 5));
    report(profile, (int)(size % 5));
    must(ht_profile_check(profile) == 0);
    ht_profile_free(base);
    ht_profile_free(difference);
    ht_profile_free(profile);
    return 0;
}
