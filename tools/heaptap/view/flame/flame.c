// Builds the flame graph's tree from a report's samples and cuts what is too small to be seen.
#include "view/flame/flame.h"
#include "view/flame/plan.h"

#include "base/error.h"
#include "base/pairs.h"
#include "base/path.h"

#include <stdlib.h>

enum { VALUES_LIMIT = 1 << 24 }; // of all nodes, with 100 bytes of each

struct builder {
    struct ht_flame *flame;
    struct ht_pairs table; // (parent, frame) -> node
    double *weight;        // by node: its largest part of any sample type
    struct ht_flame_plan plan;
    uint32_t depth_limit; // of the sample's stack, by the plan, or where no node can be added
    size_t node_limit;
    bool is_full;
};

// With a plan, all that goes from a node is in one child of it, which stands for no frame.
static bool is_rest(const struct ht_flame *flame, size_t node)
{
    return node > 0 && flame->nodes[node].frame == HT_NONE;
}

static uint32_t add_node(struct ht_flame *flame, uint32_t parent, uint32_t frame)
{
    size_t types = flame->type_count, values = (flame->node_count + 1) * types;
    HT_RESERVE(flame->nodes, flame->node_capacity, flame->node_count + 1);
    HT_RESERVE(flame->now.self, flame->self_capacity, values);
    memset(flame->now.self + values - types, 0, types * sizeof *flame->now.self);
    if (flame->has_base) {
        HT_RESERVE(flame->base.self, flame->base_capacity, values);
        memset(flame->base.self + values - types, 0, types * sizeof *flame->base.self);
    }
    uint32_t added = (uint32_t)flame->node_count++;
    uint32_t depth = parent == HT_NONE ? 0 : flame->nodes[parent].depth + 1;
    flame->nodes[added] =
        (struct ht_flame_node){.frame = frame, .parent = parent, .depth = depth, .kept = true};
    return added;
}

// HT_NONE: there are too many.
static uint32_t find_or_add(struct builder *builder, uint32_t parent, uint32_t frame)
{
    bool is_new;
    if (builder->flame->node_count >= builder->node_limit) {
        const uint32_t *known = ht_pairs_find(&builder->table, parent, frame);
        builder->is_full = builder->is_full || known == NULL;
        return known != NULL ? *known : HT_NONE;
    }
    uint32_t *node = ht_pairs_at(&builder->table, parent, frame, &is_new);
    if (is_new)
        *node = add_node(builder->flame, parent, frame);
    return *node;
}

// The places of all stacks through a node become one: the same file with a range of lines, or nothing.
static void add_place(struct ht_flame_node *node, uint32_t file, int64_t line)
{
    if (!node->has_place) {
        node->has_place = true;
        node->file = file;
        node->line_first = node->line_last = line;
    } else if (node->file != file) {
        node->file = 0;
        node->line_first = node->line_last = 0;
    } else if (file != 0 && line != 0) {
        if (node->line_first == 0 || line < node->line_first)
            node->line_first = line;
        if (line > node->line_last)
            node->line_last = line;
    }
}

// The frames of one location, from the function that was called to the innermost inlined one.
static uint32_t add_location(struct builder *builder, uint32_t parent, uint32_t position)
{
    struct ht_flame *flame = builder->flame;
    const struct ht_profile *profile = flame->report->profile;
    const struct ht_location *location = &profile->locations[position];
    uint32_t first = flame->names.location_first[position], end = flame->names.location_first[position + 1];
    uint32_t skipped = location->line_count == 0 ? 0 : location->line_count - (end - first); // by --noinlines
    for (uint32_t at = end; at > first && flame->nodes[parent].depth < builder->depth_limit; at--) {
        uint32_t child = find_or_add(builder, parent, flame->names.location_nodes[at - 1]);
        if (child == HT_NONE) {
            builder->depth_limit = flame->nodes[parent].depth;
            break;
        }
        struct ht_flame_node *node = &flame->nodes[child];
        if (at == end)
            node->is_called = true;
        else
            node->is_inlined = true;
        if (location->line_count > 0) {
            const struct ht_line *line = &profile->lines[location->lines + skipped + (at - 1 - first)];
            add_place(node, profile->functions[line->function].file, line->line);
        }
        if (node->object == 0 && location->mapping != HT_NONE)
            node->object = profile->mappings[location->mapping].file;
        parent = child;
    }
    return parent;
}

static bool is_base_sample(const struct ht_profile *profile, const struct ht_sample *sample, uint32_t key,
                           uint32_t value)
{
    for (uint32_t i = 0; i < sample->label_count; i++) {
        const struct ht_label *label = &profile->labels[sample->labels + i];
        if (label->key == key && label->text == value)
            return true;
    }
    return false;
}

static bool has_value(const struct ht_flame *flame, size_t sample)
{
    const int64_t *values = ht_profile_values(flame->report->profile, sample);
    for (size_t type = 0; type < flame->type_count; type++)
        if (values[type] != 0)
            return true;
    return false;
}

static void add_samples(struct builder *builder, const bool *is_base)
{
    struct ht_flame *flame = builder->flame;
    const struct ht_profile *profile = flame->report->profile;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct ht_sample *sample = &profile->samples[i];
        const int64_t *values = ht_profile_values(profile, i);
        uint32_t node = 0;
        if (!has_value(flame, i))
            continue;
        const struct ht_flame_share *share = builder->plan.shares != NULL ? &builder->plan.shares[i] : NULL;
        builder->depth_limit = share != NULL ? share->depth : UINT32_MAX;
        for (uint32_t frame = sample->frame_count; frame > 0; frame--)
            node = add_location(builder, node, profile->frames[sample->frames + frame - 1]);
        if (share != NULL && share->frames > share->depth) {
            uint32_t rest = find_or_add(builder, node, HT_NONE);
            node = rest != HT_NONE ? rest : node;
            flame->nodes[node].cut_frames += share->cut_frames;
        }
        int64_t *self = (is_base[i] ? flame->base.self : flame->now.self) + node * flame->type_count;
        for (size_t type = 0; type < flame->type_count; type++) // a base's values come negated
            self[type] =
                ht_wrap_add(self[type], is_base[i] ? (int64_t)(0 - (uint64_t)values[type]) : values[type]);
    }
}

// Which samples are the base's: pprof marks them with a label.
static bool *find_base(struct ht_flame *flame)
{
    struct ht_profile *profile = flame->report->profile;
    uint32_t key = ht_profile_intern_text(profile, "pprof::base"),
             value = ht_profile_intern_text(profile, "true");
    bool *is_base = ht_alloc_zero(profile->sample_count + 1, sizeof *is_base);
    for (size_t i = 0; i < profile->sample_count; i++)
        if (is_base_sample(profile, &profile->samples[i], key, value))
            is_base[i] = flame->has_base = true;
    return is_base;
}

// Children stand behind their parents, so one pass from the end sums everything up.
static void sum_up(const struct ht_flame *flame, int64_t *values)
{
    size_t types = flame->type_count;
    for (size_t i = flame->node_count - 1; i > 0; i--) {
        int64_t *to = values + flame->nodes[i].parent * types, *from = values + i * types;
        for (size_t type = 0; type < types; type++)
            to[type] = ht_wrap_add(to[type], from[type]);
    }
}

static int64_t *copy_and_sum(const struct ht_flame *flame, const int64_t *self)
{
    size_t bytes = flame->node_count * flame->type_count * sizeof *self;
    int64_t *values = ht_alloc(bytes > 0 ? bytes : 1);
    memcpy(values, self, bytes);
    sum_up(flame, values);
    return values;
}

static int64_t base_value(const struct ht_flame *flame, const int64_t *values, size_t at)
{
    return flame->has_base ? values[at] : 0;
}

// cum and change of all nodes.
static void sum_values(struct ht_flame *flame)
{
    size_t types = flame->type_count, count = flame->node_count * types;
    flame->is_signed = ht_alloc_zero(types + 1, sizeof *flame->is_signed);
    bool any_signed = false;
    for (size_t i = 0; i < count; i++)
        if (flame->now.self[i] < 0 || base_value(flame, flame->base.self, i) < 0)
            any_signed = flame->is_signed[i % types] = true;
    flame->now.cum = copy_and_sum(flame, flame->now.self);
    if (flame->has_base)
        flame->base.cum = copy_and_sum(flame, flame->base.self);
    if (!flame->has_base && !any_signed)
        return;
    flame->now.change = ht_alloc_zero(count, sizeof *flame->now.change);
    for (size_t i = 0; i < count; i++) {
        uint64_t difference = (uint64_t)flame->now.self[i] - (uint64_t)base_value(flame, flame->base.self, i);
        flame->now.change[i] = ht_wrap_abs((int64_t)difference);
    }
    sum_up(flame, flame->now.change);
}

size_t ht_flame_cut_frames(const struct ht_flame *flame)
{
    size_t frames = 0;
    for (int reason = 0; reason < HT_FLAME_CUT_COUNT; reason++)
        frames += flame->cut_frames[reason];
    return frames;
}

int64_t ht_flame_width(const struct ht_flame *flame, uint32_t node, size_t type)
{
    return ht_flame_value(flame, flame->is_signed[type] ? flame->now.change : flame->now.cum, node, type);
}

// A node's part of a type's total, new, base and change alike. It never grows from a parent to its child.
static void weigh(struct builder *builder)
{
    struct ht_flame *flame = builder->flame;
    double *gross = ht_realloc_array(NULL, flame->node_count, sizeof *gross);
    builder->weight = ht_alloc_zero(flame->node_count, sizeof *builder->weight);
    for (size_t type = 0; type < flame->type_count; type++) {
        for (size_t i = 0; i < flame->node_count; i++) {
            size_t at = i * flame->type_count + type;
            double now = (double)flame->now.self[at], base = (double)base_value(flame, flame->base.self, at);
            gross[i] = (now < 0 ? -now : now) + (base < 0 ? -base : base);
        }
        for (size_t i = flame->node_count - 1; i > 0; i--)
            gross[flame->nodes[i].parent] += gross[i];
        for (size_t i = 0; i < flame->node_count && gross[0] > 0; i++)
            if (gross[i] / gross[0] > builder->weight[i])
                builder->weight[i] = gross[i] / gross[0];
    }
    free(gross);
}

static int compare_weights(const void *left, const void *right, void *context)
{
    const struct builder *builder = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    double weight_a = builder->weight[a], weight_b = builder->weight[b];
    uint32_t depth_a = builder->flame->nodes[a].depth, depth_b = builder->flame->nodes[b].depth;
    if (weight_a != weight_b)
        return weight_a > weight_b ? -1 : 1;
    if (depth_a != depth_b)
        return depth_a < depth_b ? -1 : 1; // so that no child comes before its parent
    return (a > b) - (a < b);
}

static void cut(struct builder *builder, uint32_t position, enum ht_flame_cut reason)
{
    struct ht_flame *flame = builder->flame;
    flame->nodes[position].kept = false;
    flame->nodes[position].cut = reason;
    if (reason == HT_FLAME_SMALL && !is_rest(flame, position) &&
        builder->weight[position] > flame->cut_fraction)
        flame->cut_fraction = builder->weight[position];
}

// Why the options hide a frame, HT_FLAME_CUT_COUNT: they do not. What stands on a hidden frame is hidden for
// the same reason.
static enum ht_flame_cut reason_to_cut(const struct builder *builder, uint32_t position)
{
    const struct ht_flame *flame = builder->flame;
    const struct ht_view_options *options = &flame->report->options;
    const struct ht_flame_node *node = &flame->nodes[position], *parent = &flame->nodes[node->parent];
    size_t at = position * flame->type_count + flame->report->sample_index;
    if (!parent->kept)
        return parent->cut;
    if (is_rest(flame, position))
        return HT_FLAME_SMALL;
    if (options->drop_negative && flame->now.cum[at] < base_value(flame, flame->base.cum, at))
        return HT_FLAME_NEGATIVE;
    if (options->trim && node->depth > HT_FLAME_DEPTH)
        return HT_FLAME_DEEP;
    if (options->trim && builder->weight[position] < options->node_fraction)
        return HT_FLAME_SMALL;
    return HT_FLAME_CUT_COUNT;
}

static void keep(struct builder *builder)
{
    const struct ht_flame *flame = builder->flame;
    const struct ht_view_options *options = &flame->report->options;
    size_t kept = 1;
    uint32_t *by_weight = ht_realloc_array(NULL, flame->node_count, sizeof *by_weight);
    by_weight[0] = 0;
    for (uint32_t i = 1; i < flame->node_count; i++) {
        enum ht_flame_cut reason = reason_to_cut(builder, i);
        if (reason == HT_FLAME_CUT_COUNT)
            by_weight[kept++] = i;
        else
            cut(builder, i, reason);
    }
    if (options->trim && options->node_count > 0 && (uint64_t)options->node_count < kept) {
        qsort_r(by_weight, kept, sizeof *by_weight, compare_weights, builder);
        for (size_t i = (size_t)options->node_count; i < kept; i++)
            cut(builder, by_weight[i], HT_FLAME_SMALL);
    }
    free(by_weight);
}

static int64_t *zeros(const struct ht_flame *flame)
{
    return ht_alloc_zero(flame->node_count * flame->type_count + 1, sizeof(int64_t));
}

static void add_cut(const struct ht_flame *flame, const int64_t *values, int64_t *cut, size_t node)
{
    size_t types = flame->type_count;
    for (size_t type = 0; type < types && cut != NULL; type++) {
        int64_t *to = &cut[flame->nodes[node].parent * types + type];
        *to = ht_wrap_add(*to, values[node * types + type]);
    }
}

// Each subtree that is not kept counts to the node from which it was cut.
static void count_cut(struct ht_flame *flame)
{
    flame->now.cut = zeros(flame);
    flame->base.cut = flame->has_base ? zeros(flame) : NULL;
    flame->now.cut_change = flame->now.change != NULL ? zeros(flame) : NULL;
    for (size_t i = flame->node_count - 1; i > 0; i--) {
        struct ht_flame_node *node = &flame->nodes[i], *parent = &flame->nodes[node->parent];
        if (node->kept)
            continue;
        uint32_t frames = is_rest(flame, i) ? node->cut_frames : 1;
        flame->cut_frames[node->cut] += frames;
        parent->cut_frames += is_rest(flame, i) ? frames : frames + node->cut_frames;
        if (!parent->kept)
            continue;
        add_cut(flame, flame->now.cum, flame->now.cut, i);
        add_cut(flame, flame->base.cum, flame->base.cut, i);
        add_cut(flame, flame->now.change, flame->now.cut_change, i);
    }
}

static int compare_siblings(const void *left, const void *right, void *context)
{
    struct ht_flame *flame = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const struct ht_flame_node *node_a = &flame->nodes[a], *node_b = &flame->nodes[b];
    size_t type = flame->report->sample_index;
    if (node_a->parent != node_b->parent)
        return node_a->parent < node_b->parent ? -1 : 1;
    int64_t width_a = ht_flame_width(flame, a, type), width_b = ht_flame_width(flame, b, type);
    if (width_a != width_b)
        return width_a > width_b ? -1 : 1;
    int order = strcmp(ht_flame_name(flame, a), ht_flame_name(flame, b));
    return order != 0 ? order : (a > b) - (a < b);
}

// Fills order_by_parent: the kept nodes but the root, siblings side by side.
static void group_children(struct ht_flame *flame)
{
    size_t kept = 0;
    flame->order_by_parent = ht_realloc_array(NULL, flame->node_count, sizeof *flame->order_by_parent);
    for (size_t i = 1; i < flame->node_count; i++)
        if (flame->nodes[i].kept)
            flame->order_by_parent[kept++] = (uint32_t)i;
    qsort_r(flame->order_by_parent, kept, sizeof *flame->order_by_parent, compare_siblings, flame);
    for (size_t i = 0; i < kept; i++) {
        struct ht_flame_node *parent = &flame->nodes[flame->nodes[flame->order_by_parent[i]].parent];
        if (parent->child_count++ == 0)
            parent->child_first = (uint32_t)i;
    }
    flame->order_count = kept + 1;
}

static void sort_nodes(struct ht_flame *flame)
{
    group_children(flame);
    flame->order = ht_realloc_array(NULL, flame->order_count, sizeof *flame->order);
    uint32_t *stack = ht_realloc_array(NULL, flame->order_count, sizeof *stack);
    size_t depth = 0, count = 0;
    stack[depth++] = 0;
    while (depth > 0) {
        uint32_t position = stack[--depth];
        struct ht_flame_node *node = &flame->nodes[position];
        node->order = (uint32_t)count;
        flame->order[count++] = position;
        for (uint32_t i = node->child_count; i > 0; i--)
            stack[depth++] = flame->order_by_parent[node->child_first + i - 1];
    }
    free(stack);
}

int ht_flame_build(struct ht_flame *flame, struct ht_report *report)
{
    enum { PLANNED_FRAMES = 4000000 }; // from where on the tree could be too large
    return ht_flame_build_planned(flame, report, PLANNED_FRAMES);
}

int ht_flame_build_planned(struct ht_flame *flame, struct ht_report *report, size_t planned_frames)
{
    if (report->options.mean)
        return ht_fail(
            "--mean does not go with a flame graph: means of callees do not add up to their caller's");
    *flame = (struct ht_flame){.report = report, .type_count = report->profile->sample_type_count};
    struct builder builder = {.flame = flame, .node_limit = VALUES_LIMIT / (flame->type_count + 1)};
    bool *is_base = find_base(flame);
    ht_graph_build_names(&flame->names, report, true);
    ht_flame_plan(flame, is_base, planned_frames, &builder.plan);
    flame->cut_fraction = builder.plan.cut_fraction;
    add_node(flame, HT_NONE, HT_NONE);
    add_samples(&builder, is_base);
    if (builder.is_full)
        ht_warn("the flame graph is made of the first %zu frames: what is above them counts to their callers",
                builder.node_limit);
    sum_values(flame);
    weigh(&builder);
    keep(&builder);
    count_cut(flame);
    flame->cut_frames[HT_FLAME_SMALL] -= builder.plan.deep_frames;
    flame->cut_frames[HT_FLAME_DEEP] += builder.plan.deep_frames;
    sort_nodes(flame);
    free(is_base);
    ht_pairs_free(&builder.table);
    free(builder.weight);
    free(builder.plan.shares);
    return 0;
}

static void free_values(struct ht_flame_values *values)
{
    free(values->self);
    free(values->cum);
    free(values->cut);
    free(values->change);
    free(values->cut_change);
}

void ht_flame_free(struct ht_flame *flame)
{
    ht_graph_free(&flame->names);
    free_values(&flame->now);
    free_values(&flame->base);
    free(flame->nodes);
    free(flame->is_signed);
    free(flame->order);
    free(flame->order_by_parent);
    memset(flame, 0, sizeof *flame);
}

const char *ht_flame_name(struct ht_flame *flame, uint32_t node)
{
    return flame->nodes[node].frame == HT_NONE ? "all"
                                               : ht_graph_text(&flame->names, flame->nodes[node].frame);
}

void ht_flame_program(const struct ht_flame *flame, struct ht_buffer *out)
{
    const struct ht_profile *profile = flame->report->profile;
    const char *name = ht_profile_comment_value(profile, "program");
    if (name != NULL && name[0] != '\0')
        ht_buffer_text(out, name);
    else if (profile->mapping_count > 0 && profile->mappings[0].file != 0)
        ht_path_base(ht_profile_text(profile, profile->mappings[0].file), out);
}

void ht_flame_object(const struct ht_flame *flame, uint32_t node, struct ht_buffer *out)
{
    const char *object = ht_profile_text(flame->report->profile, flame->nodes[node].object);
    if (object[0] != '\0')
        ht_path_base(object, out);
}

const char *ht_flame_file(const struct ht_flame *flame, uint32_t node)
{
    const struct ht_view_options *options = &flame->report->options;
    const char *path = ht_profile_text(flame->report->profile, flame->nodes[node].file);
    return path[0] != '\0' ? ht_path_trim(path, options->trim_path, options->source_path) : path;
}

static int check_sums(const struct ht_flame *flame, const struct ht_flame_values *values, size_t node)
{
    const struct ht_flame_node *it = &flame->nodes[node];
    for (size_t type = 0; type < flame->type_count; type++) {
        size_t at = node * flame->type_count + type;
        int64_t sum = ht_wrap_add(values->self[at], values->cut[at]);
        for (uint32_t i = 0; i < it->child_count; i++)
            sum = ht_wrap_add(
                sum, ht_flame_value(flame, values->cum, flame->order_by_parent[it->child_first + i], type));
        if (sum != values->cum[at])
            return ht_fail("the parts of node %zu do not add up", node);
    }
    return 0;
}

int ht_flame_check(const struct ht_flame *flame)
{
    size_t kept = 0;
    for (size_t i = 0; i < flame->node_count; i++) {
        const struct ht_flame_node *node = &flame->nodes[i];
        if (i == 0 ? node->parent != HT_NONE : node->parent >= i)
            return ht_fail("node %zu stands before its parent", i);
        if (!node->kept)
            continue;
        kept++;
        if (i > 0 && !flame->nodes[node->parent].kept)
            return ht_fail("node %zu is kept without its parent", i);
        if (flame->order[node->order] != i)
            return ht_fail("node %zu is not in its place", i);
        if (check_sums(flame, &flame->now, i) < 0 ||
            (flame->has_base && check_sums(flame, &flame->base, i) < 0))
            return -1;
    }
    return kept == flame->order_count
               ? 0
               : ht_fail("%zu nodes are kept and %zu in order", kept, flame->order_count);
}

// Absolute: a part of a whole that may be negative.
static void add_percent(double fraction, struct ht_buffer *out)
{
    double percent = (fraction < 0 ? -fraction : fraction) * 100;
    ht_buffer_printf(out, percent >= 0.01 || percent == 0 ? "%.2f%%" : "%.1g%%", percent);
}

void ht_flame_cut_words(const struct ht_flame *flame, size_t type, struct ht_buffer *out)
{
    size_t frames = ht_flame_cut_frames(flame);
    int64_t value = 0, total = ht_flame_width(flame, 0, type);
    char label[HT_MEASURE_TEXT_BYTES];
    if (frames == 0)
        return;
    const int64_t *cut_values = flame->is_signed[type] ? flame->now.cut_change : flame->now.cut;
    for (size_t i = 0; i < flame->order_count; i++)
        value = ht_wrap_add(value, ht_flame_value(flame, cut_values, flame->order[i], type));
    ht_report_label(flame->report, value, label);
    ht_buffer_printf(out, "%zu frame%s left out: %s, ", frames, frames == 1 ? " was" : "s were", label);
    add_percent(total != 0 ? (double)value / (double)total : 0, out);
    ht_buffer_text(out, " in all");
    if (flame->cut_frames[HT_FLAME_SMALL] > 0) {
        ht_buffer_printf(out, "; %zu with at most ", flame->cut_frames[HT_FLAME_SMALL]);
        add_percent(flame->cut_fraction, out);
        ht_buffer_text(out, " each");
    }
    if (flame->cut_frames[HT_FLAME_DEEP] > 0)
        ht_buffer_printf(out, "; %zu deeper than %d frames", flame->cut_frames[HT_FLAME_DEEP],
                         HT_FLAME_DEPTH);
    if (flame->cut_frames[HT_FLAME_NEGATIVE] > 0)
        ht_buffer_printf(out, "; %zu negative", flame->cut_frames[HT_FLAME_NEGATIVE]);
}
