// The flame graph as a static picture, for documents and viewers without scripts.
#include "view/escape.h"
#include "view/flame/flame.h"

#include "base/text.h"

#include <math.h>
#include <stdlib.h>

// Pixels. Not an enum: they are calculated with as numbers with a fraction.
#define WIDTH         1200
#define MARGIN        10
#define ROW           18 // height of a frame
#define HEADER        58 // title and explanation
#define LEGEND        26 // colours of a difference
#define FOOTER        34
#define BASELINE      13 // of a frame's text, from its top
#define TEXT_MARGIN   4
#define SHORTEST_TEXT 3 // characters; below that a frame has no text

static const double character_width = 7.23; // of a monospaced font of 12 pixels, slightly rounded up
static const double narrowest = 0.3;        // pixels; what is narrower cannot be seen

struct picture {
    struct ht_flame *flame;
    struct ht_buffer *out;
    size_t type;
    bool root_on_top;
    double *left; // by node: where its next child begins, in values
    double scale; // pixels for one unit of value
    double height;
    uint32_t rows;
    size_t narrow_frames;
};

// Steps of a difference: from gone to new, grey in the middle. Text stays readable on each.
static const struct {
    double until; // (now - before) / the larger of both; without a base: the sum / the sum without signs
    const char *colour, *words, *signed_words;
} steps[] = {
    {-0.5, "#6f9fd8", "gone, or less than half", "mostly below zero"},
    {-0.1, "#a9c6ea", "shrank", "below"},
    {-0.02, "#d5e2f3", "shrank a little", "a little below"},
    {0.02, "#dcdcdc", "same", "balanced"},
    {0.1, "#f8d9d3", "grew a little", "a little above"},
    {0.5, "#f2a598", "grew", "above"},
    {2, "#e4705f", "more than doubled, or new", "mostly above zero"},
};
enum { STEPS = sizeof steps / sizeof steps[0] };

static const char *difference_colour(const struct picture *picture, uint32_t node)
{
    const struct ht_flame *flame = picture->flame;
    double now = (double)ht_flame_value(flame, flame->now.cum, node, picture->type);
    double base = flame->has_base ? (double)ht_flame_value(flame, flame->base.cum, node, picture->type) : 0;
    double larger =
        flame->has_base ? fmax(fabs(now), fabs(base)) : (double)ht_flame_width(flame, node, picture->type);
    double change = larger > 0 ? (now - base) / larger : 0;
    size_t step = 0;
    while (step + 1 < STEPS && change >= steps[step].until)
        step++;
    return steps[step].colour;
}

// Warm shades, the same for the same name everywhere; frames that were cut are grey.
static void add_plain_colour(struct picture *picture, uint32_t node, struct ht_buffer *out)
{
    const char *name = ht_flame_name(picture->flame, node);
    uint64_t hash = ht_hash_bytes(name, strlen(name));
    ht_buffer_printf(out, "hsl(%u,%u%%,%u%%)", 22 + (unsigned)(hash % 28), 78 + (unsigned)(hash >> 8) % 14,
                     66 + (unsigned)(hash >> 16) % 10);
}

static bool is_difference(const struct picture *picture)
{
    return picture->flame->has_base || picture->flame->is_signed[picture->type];
}

// As many characters as fit, without the arguments of a C++ function where those are what does not fit.
static void add_fitting(const char *name, double width, struct ht_buffer *out)
{
    size_t room = width > 2 * TEXT_MARGIN ? (size_t)((width - 2 * TEXT_MARGIN) / character_width) : 0;
    size_t length = strlen(name), columns = 0, bytes = 0;
    if (room < SHORTEST_TEXT)
        return;
    while (bytes < length) {
        size_t used = ht_utf8_length((const unsigned char *)name + bytes, length - bytes);
        size_t wide = used >= 3 ? 2 : 1; // most characters of three bytes and more take two columns
        if (columns + wide > room - (bytes + used < length))
            break;
        columns += wide;
        bytes += used > 0 ? used : 1;
    }
    ht_escape_markup(name, bytes, out);
    if (bytes < length)
        ht_buffer_text(out, "\u2026");
}

static void add_percent_of(struct picture *picture, int64_t value, int64_t total)
{
    char text[HT_MEASURE_TEXT_BYTES];
    ht_measure_percent(value, total, text);
    ht_buffer_text(picture->out, text + strspn(text, " "));
}

static void add_tooltip(struct picture *picture, uint32_t position)
{
    struct ht_flame *flame = picture->flame;
    const struct ht_flame_node *node = &flame->nodes[position];
    char label[HT_MEASURE_TEXT_BYTES];
    const char *name = ht_flame_name(flame, position), *file = ht_flame_file(flame, position);
    int64_t value = ht_flame_value(flame, flame->now.cum, position, picture->type);
    ht_buffer_text(picture->out, "<title>");
    ht_escape_markup(name, strlen(name), picture->out);
    ht_report_label(flame->report, value, label);
    ht_buffer_printf(picture->out, "%s: %s, ",
                     node->is_inlined ? (node->is_called ? " (partly inlined)" : " (inlined)") : "", label);
    add_percent_of(picture, ht_flame_width(flame, position, picture->type),
                   ht_flame_width(flame, 0, picture->type));
    if (flame->has_base) {
        ht_report_label(flame->report, ht_flame_value(flame, flame->base.cum, position, picture->type),
                        label);
        ht_buffer_printf(picture->out, "; before: %s", label);
    }
    if (file[0] != '\0') {
        ht_buffer_text(picture->out, "; ");
        ht_escape_markup(file, strlen(file), picture->out);
        if (node->line_first != 0)
            ht_buffer_printf(picture->out, ":%lld", (long long)node->line_first);
        if (node->line_last != node->line_first)
            ht_buffer_printf(picture->out, "-%lld", (long long)node->line_last);
    }
    ht_buffer_text(picture->out, "</title>");
}

static void add_frame(struct picture *picture, uint32_t position, double left, double width)
{
    const struct ht_flame_node *node = &picture->flame->nodes[position];
    double row = picture->root_on_top ? node->depth : picture->rows - 1 - node->depth;
    double top = HEADER + (is_difference(picture) ? LEGEND : 0) + row * ROW;
    ht_buffer_text(picture->out, "<g>");
    add_tooltip(picture, position);
    ht_buffer_printf(picture->out,
                     "<rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%d\" rx=\"1.5\" fill=\"", left, top,
                     fmax(width - 0.5, 0.2), ROW - 1);
    if (is_difference(picture))
        ht_buffer_text(picture->out, difference_colour(picture, position));
    else if (node->parent == HT_NONE)
        ht_buffer_text(picture->out, "#d9d4cc");
    else
        add_plain_colour(picture, position, picture->out);
    ht_buffer_text(picture->out, "\"/>");
    struct ht_buffer text = {0};
    add_fitting(ht_flame_name(picture->flame, position), width, &text);
    if (text.length > 0)
        ht_buffer_printf(picture->out, "<text x=\"%.2f\" y=\"%.0f\"%s>%s</text>", left + TEXT_MARGIN,
                         top + BASELINE, node->is_inlined && !node->is_called ? " class=\"i\"" : "",
                         text.data);
    ht_buffer_free(&text);
    ht_buffer_text(picture->out, "</g>\n");
}

// Frames in `order`: each begins where its parent's last child ended.
static void add_frames(struct picture *picture)
{
    const struct ht_flame *flame = picture->flame;
    for (size_t i = 0; i < flame->order_count; i++) {
        uint32_t position = flame->order[i], parent = flame->nodes[position].parent;
        double value = (double)ht_flame_width(flame, position, picture->type);
        double begin = parent == HT_NONE ? 0 : picture->left[parent];
        picture->left[position] = begin;
        if (parent != HT_NONE)
            picture->left[parent] += value;
        if (value * picture->scale >= narrowest || parent == HT_NONE)
            add_frame(picture, position, MARGIN + begin * picture->scale, value * picture->scale);
        else if (value != 0)
            picture->narrow_frames++;
    }
}

static void measure(struct picture *picture)
{
    const struct ht_flame *flame = picture->flame;
    double total = (double)ht_flame_width(flame, 0, picture->type);
    picture->scale = total > 0 ? (WIDTH - 2 * MARGIN) / total : 0;
    picture->rows = 1;
    for (size_t i = 0; i < flame->order_count; i++) {
        uint32_t depth = flame->nodes[flame->order[i]].depth;
        bool is_seen =
            (double)ht_flame_width(flame, flame->order[i], picture->type) * picture->scale >= narrowest;
        if (is_seen && depth + 1 > picture->rows)
            picture->rows = depth + 1;
    }
    picture->height = HEADER + (is_difference(picture) ? LEGEND : 0) + (double)picture->rows * ROW + FOOTER;
}

static void add_text(struct picture *picture, double x, double y, const char *attributes, const char *text)
{
    ht_buffer_printf(picture->out, "<text x=\"%.0f\" y=\"%.0f\"%s>", x, y, attributes);
    ht_escape_markup(text, strlen(text), picture->out);
    ht_buffer_text(picture->out, "</text>\n");
}

static void add_legend(struct picture *picture)
{
    double x = MARGIN;
    for (size_t i = 0; i < STEPS; i++) {
        ht_buffer_printf(picture->out,
                         "<rect x=\"%.0f\" y=\"%d\" width=\"14\" height=\"14\" rx=\"2\" fill=\"%s\"/>", x,
                         HEADER, steps[i].colour);
        const char *words = picture->flame->has_base ? steps[i].words : steps[i].signed_words;
        add_text(picture, x + 18, HEADER + 11, "", words);
        x += 36 + (double)strlen(words) * character_width;
    }
}

// "server   inuse_space: 10MB before, 24MB now   Time: ...   Build ID: ..."
static void add_title(struct picture *picture, struct ht_buffer *title)
{
    const struct ht_flame *flame = picture->flame;
    const struct ht_profile *profile = flame->report->profile;
    struct ht_buffer lines = {0};
    char label[HT_MEASURE_TEXT_BYTES];
    ht_flame_program(flame, title);
    ht_buffer_printf(title, "%s%s: ", title->length > 0 ? "   " : "",
                     ht_profile_text(profile, profile->sample_types[picture->type].type));
    if (flame->has_base) {
        ht_report_label(flame->report, ht_flame_value(flame, flame->base.cum, 0, picture->type), label);
        ht_buffer_printf(title, "%s before, ", label);
    }
    ht_report_label(flame->report, ht_flame_value(flame, flame->now.cum, 0, picture->type), label);
    ht_buffer_printf(title, "%s%s", label, flame->has_base ? " now" : "");
    ht_report_profile_lines(flame->report, &lines);
    for (const char *line = lines.data; line != NULL && *line != '\0';
         line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, "Time: ", 6) == 0 || strncmp(line, "Build ID: ", 10) == 0)
            ht_buffer_printf(title, "   %.*s", (int)strcspn(line, "\n"), line);
    ht_buffer_free(&lines);
}

// The title, and what width and colour mean.
static void add_header(struct picture *picture)
{
    const struct ht_flame *flame = picture->flame;
    struct ht_buffer title = {0};
    add_title(picture, &title);
    struct ht_buffer fitting = {0};
    add_fitting(title.data, (WIDTH - 2 * MARGIN) * 12 / 13.0, &fitting);
    ht_buffer_printf(picture->out, "<text x=\"%d\" y=\"24\" class=\"h\">%s</text>\n", MARGIN, fitting.data);
    const char *words =
        "Width: what a frame and everything it called holds. Colour: no meaning. Slanted: inlined into its caller.";
    if (flame->is_signed[picture->type])
        words =
            "Width: all that changed in a frame and what it called, up or down. Colour: what that comes to.";
    else if (flame->has_base)
        words =
            "Width: what a frame and everything it called holds now. Colour: against before. What is gone has no width.";
    add_text(picture, MARGIN, 44, "", words);
    if (is_difference(picture))
        add_legend(picture);
    ht_buffer_free(&fitting);
    ht_buffer_free(&title);
}

static void add_footer(struct picture *picture)
{
    struct ht_buffer words = {0};
    ht_flame_cut_words(picture->flame, picture->type, &words);
    if (picture->narrow_frames > 0)
        ht_buffer_printf(&words, "%s%zu frame%s too narrow to be drawn", words.length > 0 ? "; " : "",
                         picture->narrow_frames, picture->narrow_frames == 1 ? " is" : "s are");
    if (words.length > 0)
        add_text(picture, MARGIN, picture->height - 12, "", words.data);
    ht_buffer_free(&words);
}

void ht_flame_svg(struct ht_flame *flame, size_t type, bool root_on_top, struct ht_buffer *out)
{
    struct picture picture = {.flame = flame, .out = out, .type = type, .root_on_top = root_on_top};
    picture.left = ht_alloc_zero(flame->node_count, sizeof *picture.left);
    measure(&picture);
    ht_buffer_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\">\n"
        "<style>text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1b1b1b;"
        "white-space:pre}.h{font-size:13px;font-weight:bold}.i{font-style:italic}g:hover>rect{stroke:#000}"
        "</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
        WIDTH, picture.height, WIDTH, picture.height);
    add_header(&picture);
    add_frames(&picture);
    add_footer(&picture);
    ht_buffer_text(out, "</svg>\n");
    free(picture.left);
}
