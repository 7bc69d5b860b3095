// Any texts as the names, files, labels, units and comments of a profile, written by each report: no control
// character gets into a line of text, JSON is whole and says the same, markup has no brackets but its own.
//
// An input is a byte that chooses the report, one of options, and texts: a byte for the length of each, then
// its bytes.
#include "base/text.h"
#include "cmd/reports.h"
#include "view/text/compare.h"

#include <stdlib.h>

enum { FRAMES = 4, SAMPLES = 4, OPTION_BYTES = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

struct texts {
    const uint8_t *data;
    size_t size, at;
};

// The next text's string in the profile; beyond the end they begin anew.
static uint32_t next_text(struct texts *texts, struct ht_profile *profile)
{
    if (texts->at >= texts->size) {
        texts->at = 0;
    }
    if (texts->size == 0) {
        return 0;
    }
    size_t length = texts->data[texts->at++], left = texts->size - texts->at;
    const char *text = (const char *)texts->data + texts->at;
    length = length < left ? length : left;
    texts->at += length;
    return ht_profile_intern(profile, text, length);
}

static uint32_t add_frame(struct texts *texts, struct ht_profile *profile, uint32_t mapping)
{
    struct ht_line lines[2];
    uint32_t number = (uint32_t)profile->location_count;
    for (int i = 0; i < 2; i++) {
        uint32_t name = next_text(texts, profile), system_name = next_text(texts, profile),
                 file = next_text(texts, profile);
        lines[i] = (struct ht_line){ht_profile_add_function(profile, "", "", "", i), number, 0};
        profile->functions[lines[i].function] = (struct ht_function){name, system_name, file, i};
    }
    return ht_profile_add_location(profile, mapping, 0x1000 + number * 16, lines, number % 3);
}

static void add_sample(struct texts *texts, struct ht_profile *profile, const uint32_t *frames, int64_t value)
{
    uint32_t key = next_text(texts, profile), other = next_text(texts, profile);
    struct ht_label labels[] = {{.key = key, .text = next_text(texts, profile)},
                                {.key = key, .text = next_text(texts, profile)},
                                {.key = other, .number = value, .unit = next_text(texts, profile)}};
    const int64_t values[] = {value, value * 100};
    ht_profile_add_sample(profile, frames, FRAMES - (size_t)value % FRAMES, values, labels, 3);
}

static struct ht_profile *make_profile(struct texts *texts)
{
    struct ht_profile *profile = ht_profile_new();
    uint32_t frames[FRAMES], mappings[2];
    for (size_t i = 0; i < 2; i++) {
        ht_profile_add_sample_type(profile, "", "");
        uint32_t type = next_text(texts, profile);
        profile->sample_types[i] = (struct ht_value_type){type, next_text(texts, profile)};
    }
    for (size_t i = 0; i < 2; i++) {
        uint32_t file = next_text(texts, profile);
        struct ht_profile_mapping mapping = {
            .start = i << 20, .limit = (i + 1) << 20, .file = file, .build_id = next_text(texts, profile)};
        mappings[i] = ht_profile_add_mapping(profile, &mapping);
    }
    for (size_t i = 0; i < FRAMES; i++) {
        frames[i] = add_frame(texts, profile, mappings[i % 2]);
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        add_sample(texts, profile, frames, (int64_t)i + 1);
    }
    for (int i = 0; i < 2; i++) {
        ht_profile_add_comment(profile, "");
        profile->comments[i] = next_text(texts, profile);
    }
    profile->default_sample_type = next_text(texts, profile);
    profile->doc_url = next_text(texts, profile);
    profile->period_type = (struct ht_value_type){next_text(texts, profile), next_text(texts, profile)};
    profile->period = 1;
    must(ht_profile_check(profile) == 0);
    return profile;
}

static void must_be_lines(const struct ht_buffer *out)
{
    for (size_t at = 0, length; at < out->length; at += length + 1) {
        const char *end = memchr(out->data + at, '\n', out->length - at);
        length = (end != NULL ? (size_t)(end - out->data) : out->length) - at;
        must(ht_text_shown_length(out->data + at, length, "\t") == length);
    }
}

// Quotation marks in pairs on each line, but for what is escaped.
static void must_be_quoted(const struct ht_buffer *out)
{
    bool is_open = false;
    for (size_t i = 0; i < out->length; i++) {
        char byte = out->data[i];
        must(byte != '\n' || !is_open);
        i += byte == '\\' && is_open;
        is_open ^= byte == '"';
    }
    must(!is_open);
}

static void must_be_markup(const struct ht_buffer *out)
{
    bool is_tag = false;
    for (size_t i = 0; i < out->length; i++) {
        char byte = out->data[i];
        must(byte != '<' || !is_tag);
        is_tag = byte == '<' || (is_tag && byte != '>');
    }
    must(!is_tag);
}

// A JSON value at *at: nothing but what the format has. Its end, or NULL.
static const char *pass_value(const char *at, unsigned depth);

static const char *pass_blanks(const char *at)
{
    return at + strspn(at, " \n");
}

static const char *pass_string(const char *at)
{
    if (*at != '"') {
        return NULL;
    }
    for (at++; *at != '"'; at++) {
        if ((unsigned char)*at < ' ') {
            return NULL;
        }
        if (*at != '\\') {
            continue;
        }
        at++;
        if (*at == 'u' && strspn(at + 1, "0123456789abcdef") >= 4) {
            at += 4;
        } else if (*at != '"' && *at != '\\') {
            return NULL;
        }
    }
    return at + 1;
}

static const char *pass_nested(const char *at, char close, unsigned depth)
{
    for (at = pass_blanks(at); *at != close; at = pass_blanks(at)) {
        if (close == '}') {
            at = pass_string(at);
            if (at == NULL || *at++ != ':') {
                return NULL;
            }
        }
        at = pass_value(pass_blanks(at), depth + 1);
        if (at == NULL) {
            return NULL;
        }
        at = pass_blanks(at);
        if (*at == ',') {
            at++;
        } else if (*at != close) {
            return NULL;
        }
    }
    return at + 1;
}

static const char *pass_value(const char *at, unsigned depth)
{
    static const char *const words[] = {"true", "false", "null"};
    if (depth > 32) {
        return NULL;
    }
    if (*at == '{' || *at == '[') {
        return pass_nested(at + 1, *at == '{' ? '}' : ']', depth);
    }
    if (*at == '"') {
        return pass_string(at);
    }
    for (size_t i = 0; i < 3; i++) {
        if (ht_text_starts_with(at, words[i])) {
            return at + strlen(words[i]);
        }
    }
    size_t length = strspn(at, "-+.0123456789e");
    return length > 0 ? at + length : NULL;
}

static void must_be_json(const struct ht_buffer *out)
{
    must_be_lines(out);
    const char *end = pass_value(pass_blanks(out->data), 0);
    must(end != NULL && end + strspn(end, " \n") == out->data + out->length);
}

static void check(const struct ht_report_kind *kind, const struct ht_report_form *form,
                  const struct ht_buffer *out)
{
    struct ht_profile *again = NULL;
    if (form->json) {
        must_be_json(out);
        return;
    }
    if (strcmp(kind->name, "proto") == 0) {
        must(ht_profile_decode((const uint8_t *)out->data, out->length, NULL, &again) == 0);
        ht_profile_free(again);
        return;
    }
    must_be_lines(out);
    if (strcmp(kind->name, "dot") == 0) {
        must_be_quoted(out);
    }
    if (form->svg) {
        must_be_markup(out);
    }
}

static void write_report(struct ht_profile *profile, unsigned choice, unsigned bits)
{
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    struct ht_report report;
    struct ht_buffer out = {0};
    size_t kinds = 0;
    while (ht_reports[kinds].name != NULL) {
        kinds++;
    }
    const struct ht_report_kind *kind = &ht_reports[choice % kinds];
    if (kind->write == ht_write_svg) {
        kind = ht_report_find("dot"); // which it gives to a process of Graphviz
    }
    struct ht_report_form form = {.name = kind->name,
                                  .json = (bits & 1) != 0 && !(kind->flags & HT_REPORT_FLAME),
                                  .columns = bits & 2 ? 60 : 0,
                                  .expression = ".",
                                  .svg = (kind->flags & HT_REPORT_FLAME) != 0,
                                  .root_on_top = (bits & 4) != 0};
    options.granularity = (int)(bits / 8 % 5);
    options.sample_index = "0";
    options.node_count = -1;
    options.tag_root = bits & 64 ? "a,b" : NULL;
    options.tag_leaf = bits & 128 ? "c" : NULL;
    ht_report_settle(kind, &options);
    options.trim = false;
    if (!form.json && !(kind->flags & HT_REPORT_AS_IS)) {
        ht_profile_make_printable(profile);
    }
    if (ht_report_init(&report, profile, &options) == 0) {
        ht_buffer_text(&out, "");
        if (kind->write(&report, &form, &out) == 0) {
            check(kind, &form, &out);
        }
    }
    ht_report_free(&report);
    ht_buffer_free(&out);
}

static void write_comparison(struct ht_profile *profile, unsigned bits)
{
    struct ht_compare compare;
    struct ht_compare_options options = {.granularity = (int)(bits / 8 % 5), .sample_index = "0"};
    struct ht_compare_form form = {.limit = 10, .paths = 2};
    struct ht_buffer out = {0};
    ht_buffer_text(&out, "");
    if (!(bits & 1)) {
        ht_profile_make_printable(profile);
    }
    if (ht_compare_init(&compare, profile, &options, (struct ht_compare_times){1, 60000000001, 0}) == 0) {
        (bits & 1 ? ht_compare_json : ht_compare_text)(&compare, &form, &out);
        (bits & 1 ? must_be_json : must_be_lines)(&out);
        ht_compare_free(&compare);
    }
    ht_buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < OPTION_BYTES) {
        return 0;
    }
    struct texts texts = {data + OPTION_BYTES, size - OPTION_BYTES, 0};
    struct ht_profile *profile = make_profile(&texts);
    if (data[0] == 255) {
        write_comparison(profile, data[1]);
    } else {
        write_report(profile, data[0], data[1]);
    }
    ht_profile_free(profile);
    return 0;
}
