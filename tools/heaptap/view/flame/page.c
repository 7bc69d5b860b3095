// The flame graph as one self-contained page: the built page with this profile's data put into it; and the
// report's entry.
#include "stats/health.h"
#include "view/escape.h"
#include "view/flame/flame.h"
#include "view/flame/web.h"

#include "base/error.h"
#include "base/json.h"
#include "base/path.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

// Strings of the page: each once, numbered in the order of their first use.
struct texts {
    struct ht_buffer bytes; // one after another, each with its NUL
    size_t *starts;
    size_t count, capacity;
    struct ht_index index;
};

static uint32_t text_number(struct texts *texts, const char *text)
{
    size_t length = strlen(text), cursor = 0;
    uint64_t hash = ht_hash_bytes(text, length);
    for (uint32_t at; (at = ht_index_next(&texts->index, hash, &cursor)) != HT_NONE;)
        if (strcmp(texts->bytes.data + texts->starts[at], text) == 0)
            return at;
    HT_RESERVE(texts->starts, texts->capacity, texts->count + 1);
    texts->starts[texts->count] = texts->bytes.length;
    ht_buffer_add(&texts->bytes, text, length + 1);
    ht_index_add(&texts->index, hash, (uint32_t)texts->count);
    return (uint32_t)texts->count++;
}

// Units that the page may choose from, the smallest first, each with its size in the type's own unit.
static void add_units(struct ht_json *json, const struct ht_report *report, const char *unit)
{
    static const char *const known[] = {"B", "kB", "MB", "GB", "TB", "PB", "ns", "us", "ms", "s", "hrs"};
    static const double probe = 0x1p40;
    const char *wanted = report->options.unit, *name;
    bool is_free =
        wanted == NULL || wanted[0] == '\0' || strcmp(wanted, "minimum") == 0 || strcmp(wanted, "auto") == 0;
    size_t count = is_free ? sizeof known / sizeof known[0] : 1;
    ht_json_begin_array(json, "units");
    for (size_t i = 0; i < count; i++) {
        const char *to = is_free ? known[i] : wanted;
        if (!ht_measure_compatible(unit, to))
            continue;
        double scaled = ht_measure_scale((int64_t)probe, unit, to, &name);
        ht_json_begin_array(json, NULL);
        ht_json_string(json, NULL, name);
        if (probe / scaled == floor(probe / scaled) && probe / scaled < 0x1p62)
            ht_json_int(json, NULL, (int64_t)(probe / scaled)); // all digits
        else
            ht_json_number(json, NULL, probe / scaled);
        ht_json_end_array(json);
    }
    ht_json_end_array(json);
}

static void add_types(struct ht_json *json, const struct ht_flame *flame)
{
    const struct ht_report *report = flame->report;
    const struct ht_profile *profile = report->profile;
    ht_json_begin_array(json, "types");
    for (size_t i = 0; i < flame->type_count; i++) {
        const char *unit = ht_profile_text(profile, profile->sample_types[i].unit), *shown;
        ht_json_begin_object(json, NULL);
        ht_json_string(json, "name", ht_profile_text(profile, profile->sample_types[i].type));
        ht_measure_scale(1, unit, unit, &shown);
        ht_json_string(json, "unit", shown); // "" for counts
        ht_json_bool(json, "signed", flame->is_signed[i]);
        add_units(json, report, unit);
        ht_json_end_object(json);
    }
    ht_json_end_array(json);
    ht_json_int(json, "type", (int64_t)report->sample_index);
    ht_json_number(json, "divideBy", report->options.divide_by);
}

static void add_note(void *json, const char *text)
{
    ht_json_string(json, NULL, text);
}

// The header lines of the text reports that are not said elsewhere: time, duration, comments, filters; then
// warnings.
static void add_header(struct ht_json *json, const struct ht_flame *flame)
{
    const struct ht_report *report = flame->report;
    struct ht_buffer lines = {0};
    ht_report_profile_lines(report, &lines);
    ht_report_filter_lines(report, &lines);
    ht_json_begin_array(json, "lines");
    for (char *line = lines.data, *end; line != NULL && *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        if (*end != '\0')
            *end++ = '\0';
        ht_json_string(json, NULL, line);
    }
    ht_json_end_array(json);
    ht_json_begin_array(json, "warnings");
    ht_health_each(report->profile, add_note, json);
    ht_json_end_array(json);
    ht_buffer_free(&lines);
}

enum column {
    COLUMN_PARENT,
    COLUMN_NAME,
    COLUMN_FILE,
    COLUMN_LINE,
    COLUMN_LAST_LINE,
    COLUMN_OBJECT,
    COLUMN_INLINED
};

static int64_t column_value(struct ht_flame *flame, struct texts *texts, uint32_t position,
                            enum column column)
{
    const struct ht_flame_node *node = &flame->nodes[position];
    struct ht_buffer object = {0};
    int64_t value = 0;
    switch (column) {
    case COLUMN_PARENT:
        return node->parent == HT_NONE ? -1 : (int64_t)flame->nodes[node->parent].order;
    case COLUMN_NAME:
        return text_number(texts, ht_flame_name(flame, position));
    case COLUMN_FILE:
        return text_number(texts, ht_flame_file(flame, position));
    case COLUMN_LINE:
        return node->line_first;
    case COLUMN_LAST_LINE:
        return node->line_last;
    case COLUMN_OBJECT:
        ht_flame_object(flame, position, &object);
        value = text_number(texts, object.length > 0 ? object.data : "");
        ht_buffer_free(&object);
        return value;
    case COLUMN_INLINED: // 0 never, 1 always, 2 partly
        return node->is_inlined ? 1 + node->is_called : 0;
    }
    return 0;
}

// Rows as columns, which are short: no names, no braces for each frame.
static void add_column(struct ht_flame *flame, struct texts *texts, const char *name, enum column column,
                       struct ht_buffer *out)
{
    ht_buffer_printf(out, ",\n\"%s\":[", name);
    for (size_t i = 0; i < flame->order_count; i++)
        ht_buffer_printf(out, "%s%" PRId64, i > 0 ? "," : "",
                         column_value(flame, texts, flame->order[i], column));
    ht_buffer_byte(out, ']');
}

// One column for each sample type; those of `cut` only for the frames from which something was cut.
static void add_values(const struct ht_flame *flame, const char *name, const int64_t *values, bool only_cut,
                       struct ht_buffer *out)
{
    ht_buffer_printf(out, ",\n\"%s\":[", name);
    for (size_t type = 0; type < flame->type_count && values != NULL; type++) {
        const char *separator = "";
        ht_buffer_printf(out, "%s\n[", type > 0 ? "," : "");
        for (size_t i = 0; i < flame->order_count; i++) {
            if (only_cut && flame->nodes[flame->order[i]].cut_frames == 0)
                continue;
            ht_buffer_printf(out, "%s%" PRId64, separator,
                             ht_flame_value(flame, values, flame->order[i], type));
            separator = ",";
        }
        ht_buffer_byte(out, ']');
    }
    ht_buffer_byte(out, ']');
}

// From which frames something was cut, and how many frames.
static void add_cut(const struct ht_flame *flame, struct ht_buffer *out)
{
    for (int pass = 0; pass < 2; pass++) {
        const char *separator = "";
        ht_buffer_printf(out, ",\n\"%s\":[", pass == 0 ? "cutAt" : "cutFrames");
        for (size_t i = 0; i < flame->order_count; i++) {
            const struct ht_flame_node *node = &flame->nodes[flame->order[i]];
            if (node->cut_frames == 0)
                continue;
            ht_buffer_printf(out, "%s%" PRIu32, separator, pass == 0 ? node->order : node->cut_frames);
            separator = ",";
        }
        ht_buffer_byte(out, ']');
    }
    add_values(flame, "cut", flame->now.cut, true, out);
    add_values(flame, "baseCut", flame->base.cut, true, out);
    add_values(flame, "changeCut", flame->now.cut_change, true, out);
}

static void add_texts(const struct texts *texts, struct ht_buffer *out)
{
    struct ht_buffer list = {0};
    struct ht_json json = {.out = &list};
    ht_json_begin_array(&json, NULL);
    for (size_t i = 0; i < texts->count; i++)
        ht_json_string(&json, NULL, texts->bytes.data + texts->starts[i]);
    ht_json_end_array(&json);
    ht_buffer_text(out, ",\n\"texts\":");
    ht_buffer_add(out, list.data, list.length);
    ht_buffer_free(&list);
}

// The page's data up to its columns: an object without its closing brace.
static void add_head(struct ht_flame *flame, bool root_on_top, struct ht_buffer *out)
{
    const struct ht_profile *profile = flame->report->profile;
    struct ht_buffer program = {0}, main_object = {0};
    struct ht_json json = {.out = out};
    ht_flame_program(flame, &program);
    if (profile->mapping_count > 0 && profile->mappings[0].file != 0)
        ht_path_base(ht_profile_text(profile, profile->mappings[0].file), &main_object);
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "program", program.length > 0 ? program.data : "");
    ht_json_string(&json, "mainObject", main_object.length > 0 ? main_object.data : "");
    ht_json_string(&json, "buildId",
                   profile->mapping_count > 0 ? ht_profile_text(profile, profile->mappings[0].build_id) : "");
    add_types(&json, flame);
    add_header(&json, flame);
    ht_json_bool(&json, "hasBase", flame->has_base);
    ht_json_bool(&json, "rootOnTop", root_on_top);
    ht_json_int(&json, "cutSmall", (int64_t)flame->cut_frames[HT_FLAME_SMALL]);
    ht_json_int(&json, "cutDeep", (int64_t)flame->cut_frames[HT_FLAME_DEEP]);
    ht_json_int(&json, "cutNegative", (int64_t)flame->cut_frames[HT_FLAME_NEGATIVE]);
    ht_json_int(&json, "depthLimit", HT_FLAME_DEPTH);
    ht_json_number(&json, "cutFraction", flame->cut_fraction);
    ht_buffer_free(&program);
    ht_buffer_free(&main_object);
}

void ht_flame_page_data(struct ht_flame *flame, bool root_on_top, struct ht_buffer *out)
{
    static const struct {
        const char *name;
        enum column column;
    } columns[] = {
        {"parent", COLUMN_PARENT},   {"name", COLUMN_NAME},          {"file", COLUMN_FILE},
        {"line", COLUMN_LINE},       {"lastLine", COLUMN_LAST_LINE}, {"object", COLUMN_OBJECT},
        {"inlined", COLUMN_INLINED},
    };
    struct texts texts = {0};
    struct ht_buffer data = {0};
    add_head(flame, root_on_top, &data);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        add_column(flame, &texts, columns[i].name, columns[i].column, &data);
    add_values(flame, "self", flame->now.self, false, &data);
    add_values(flame, "baseSelf", flame->base.self, false, &data);
    add_cut(flame, &data);
    add_texts(&texts, &data);
    ht_buffer_text(&data, "}\n");
    ht_escape_script(data.data, data.length, out);
    ht_buffer_free(&data);
    ht_buffer_free(&texts.bytes);
    ht_index_free(&texts.index);
    free(texts.starts);
}

// The build checks that each mark is there once.
static const char *find_mark(const char *page, const char *mark)
{
    const char *at = strstr(page, mark);
    if (at == NULL)
        ht_fail("the flame graph's page was built without %s; build heaptap again", mark);
    return at;
}

int ht_flame_page(struct ht_flame *flame, bool root_on_top, struct ht_buffer *out)
{
    if (ht_flame_web_page[0] == '\0')
        return ht_fail(
            "this heaptap was built without the page, because %s; build it again with npm (Debian: apt-get install npm) "
            "and a network, or use --svg or --json",
            ht_flame_web_missing);
    const char *title_mark = find_mark(ht_flame_web_page, HT_FLAME_WEB_TITLE);
    const char *data_mark = title_mark != NULL ? find_mark(title_mark, HT_FLAME_WEB_DATA) : NULL;
    if (data_mark == NULL)
        return -1;
    struct ht_buffer title = {0};
    ht_flame_program(flame, &title);
    ht_buffer_printf(&title, "%s%s, heaptap flame", title.length > 0 ? ": " : "", flame->report->sample_type);
    ht_buffer_add(out, ht_flame_web_page, (size_t)(title_mark - ht_flame_web_page));
    ht_escape_markup(title.data, title.length, out);
    const char *rest = title_mark + strlen(HT_FLAME_WEB_TITLE);
    ht_buffer_add(out, rest, (size_t)(data_mark - rest));
    ht_flame_page_data(flame, root_on_top, out);
    ht_buffer_text(out, data_mark + strlen(HT_FLAME_WEB_DATA));
    ht_buffer_free(&title);
    return 0;
}

int ht_write_flame(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_flame flame;
    int result = 0;
    if (ht_flame_build(&flame, report) < 0)
        return -1;
    if (form->json)
        ht_flame_json(&flame, form->name, out);
    else if (form->svg)
        ht_flame_svg(&flame, report->sample_index, form->root_on_top, out);
    else
        result = ht_flame_page(&flame, form->root_on_top, out);
    ht_flame_free(&flame);
    return result;
}
