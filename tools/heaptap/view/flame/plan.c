// Finds the heaviest frames of a flame graph by sorting the stacks: what a node of the tree holds then lies
// side by side, and one pass, with the nodes of one stack open at a time, sees every node as a range of
// samples.
#include "view/flame/plan.h"

#include <stdlib.h>

// A node of the tree that is not there.
struct candidate {
    double weight;     // its largest part of any sample type
    uint32_t depth;    // the root: 0
    uint32_t first;    // the first sample through it, in the profile's order: nodes are made in that order
    size_t start, end; // of planner->samples
};

struct planner {
    const struct ht_flame *flame;
    struct ht_flame_plan *plan;
    uint32_t *samples; // sorted by their stacks
    size_t sample_count;
    double *sums;           // by place in `samples` and type: what stands before; exact up to 2^53
    struct candidate *open; // by depth
    size_t open_capacity;
    struct candidate *heap; // the best, the worst of them on top
    size_t heap_count, heap_limit;
};

// The nodes of a stack from the root.
struct walk {
    const uint32_t *frames;
    uint32_t frames_left, at, first;
};

static struct walk walk_of(const struct planner *planner, uint32_t sample)
{
    const struct ht_profile *profile = planner->flame->report->profile;
    return (struct walk){.frames = profile->frames + profile->samples[sample].frames,
                         .frames_left = profile->samples[sample].frame_count};
}

static uint32_t walk_next(const struct planner *planner, struct walk *walk)
{
    const struct ht_graph *names = &planner->flame->names;
    while (walk->at == walk->first) {
        if (walk->frames_left == 0)
            return HT_NONE;
        uint32_t location = walk->frames[--walk->frames_left];
        walk->first = names->location_first[location];
        walk->at = names->location_first[location + 1];
    }
    return names->location_nodes[--walk->at];
}

static int compare_samples(const void *left, const void *right, void *context)
{
    const struct planner *planner = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    struct walk walk_a = walk_of(planner, a), walk_b = walk_of(planner, b);
    uint32_t node_a, node_b;
    do {
        node_a = walk_next(planner, &walk_a);
        node_b = walk_next(planner, &walk_b);
    } while (node_a == node_b && node_a != HT_NONE);
    return node_a != node_b ? (node_a > node_b) - (node_a < node_b) : (a > b) - (a < b);
}

static bool is_better(const struct candidate *a, const struct candidate *b)
{
    if (a->weight != b->weight)
        return a->weight > b->weight;
    return a->depth != b->depth ? a->depth < b->depth : a->first < b->first;
}

static void cut(struct planner *planner, const struct candidate *candidate)
{
    if (candidate->weight > planner->plan->cut_fraction)
        planner->plan->cut_fraction = candidate->weight;
}

static void offer(struct planner *planner, const struct candidate *candidate)
{
    struct candidate *heap = planner->heap;
    if (planner->heap_count < planner->heap_limit) {
        size_t at = planner->heap_count++;
        for (; at > 0 && is_better(&heap[(at - 1) / 2], candidate); at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
        heap[at] = *candidate;
        return;
    }
    if (planner->heap_count == 0 || is_better(&heap[0], candidate)) {
        cut(planner, candidate);
        return;
    }
    cut(planner, &heap[0]);
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < planner->heap_count; at = child) {
        if (child + 1 < planner->heap_count && is_better(&heap[child], &heap[child + 1]))
            child++;
        if (!is_better(candidate, &heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = *candidate;
}

// No later sample goes through the open nodes below `depth`.
static void close_nodes(struct planner *planner, uint32_t from, uint32_t depth, size_t end)
{
    size_t types = planner->flame->type_count;
    const double *totals = planner->sums + planner->sample_count * types;
    for (; from > depth; from--) {
        struct candidate *node = &planner->open[from], *caller = &planner->open[from - 1];
        node->end = end;
        node->weight = 0;
        for (size_t type = 0; type < types; type++) {
            double sum = planner->sums[end * types + type] - planner->sums[node->start * types + type];
            if (totals[type] > 0 && sum / totals[type] > node->weight)
                node->weight = sum / totals[type];
        }
        if (node->first < caller->first)
            caller->first = node->first;
        if (from <= HT_FLAME_DEPTH)
            offer(planner, node);
    }
}

// Nodes that this sample has in common with the one before; counts its own.
static uint32_t common_nodes(const struct planner *planner, size_t place, struct ht_flame_share *share)
{
    struct walk walk = walk_of(planner, planner->samples[place]), before = {0};
    if (place > 0)
        before = walk_of(planner, planner->samples[place - 1]);
    uint32_t common = 0;
    bool is_common = place > 0;
    share->frames = 0;
    for (uint32_t node; (node = walk_next(planner, &walk)) != HT_NONE; share->frames++) {
        is_common = is_common && walk_next(planner, &before) == node;
        common += is_common;
    }
    return common;
}

static void see_nodes(struct planner *planner)
{
    uint32_t depth = 0;
    HT_RESERVE(planner->open, planner->open_capacity, 1);
    planner->open[0] = (struct candidate){.first = HT_NONE};
    for (size_t place = 0; place < planner->sample_count; place++) {
        uint32_t sample = planner->samples[place];
        struct ht_flame_share *share = &planner->plan->shares[sample];
        uint32_t common = common_nodes(planner, place, share);
        close_nodes(planner, depth, common, place);
        depth = share->frames;
        HT_RESERVE(planner->open, planner->open_capacity, (size_t)depth + 1);
        for (uint32_t at = common + 1; at <= depth; at++)
            planner->open[at] = (struct candidate){.depth = at, .first = HT_NONE, .start = place};
        if (sample < planner->open[depth].first)
            planner->open[depth].first = sample;
        share->cut_frames = depth - common; // until it is known how many are left
        uint32_t deep = common > HT_FLAME_DEPTH ? common : HT_FLAME_DEPTH;
        planner->plan->deep_frames += depth > deep ? depth - deep : 0;
    }
    close_nodes(planner, depth, 0, planner->sample_count);
}

static void share_out(struct planner *planner)
{
    struct ht_flame_share *shares = planner->plan->shares;
    for (size_t i = 0; i < planner->heap_count; i++)
        for (size_t place = planner->heap[i].start; place < planner->heap[i].end; place++)
            if (shares[planner->samples[place]].depth < planner->heap[i].depth)
                shares[planner->samples[place]].depth = planner->heap[i].depth;
    for (size_t place = 0; place < planner->sample_count; place++) {
        struct ht_flame_share *share = &shares[planner->samples[place]];
        uint32_t above = share->frames - share->depth;
        share->cut_frames = above < share->cut_frames ? above : share->cut_frames;
    }
}

// With the inlined functions.
static size_t frames_of(const struct planner *planner, const struct ht_sample *sample)
{
    const struct ht_flame *flame = planner->flame;
    size_t frames = 0;
    for (uint32_t i = 0; i < sample->frame_count; i++) {
        uint32_t location = flame->report->profile->frames[sample->frames + i];
        frames += flame->names.location_first[location + 1] - flame->names.location_first[location];
    }
    return frames;
}

// Fills `samples` and says how many frames they have. Fails with a base and with values below zero: there
// changes are shown, and those of frames that are cut together could cancel each other.
static bool take_samples(struct planner *planner, const bool *is_base, size_t *ret_frames)
{
    const struct ht_profile *profile = planner->flame->report->profile;
    size_t frames = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const int64_t *values = ht_profile_values(profile, i);
        bool has_value = false;
        for (size_t type = 0; type < planner->flame->type_count; type++) {
            if (is_base[i] || values[type] < 0)
                return false;
            has_value = has_value || values[type] != 0;
        }
        if (!has_value)
            continue;
        planner->samples[planner->sample_count++] = (uint32_t)i;
        frames += frames_of(planner, &profile->samples[i]);
    }
    *ret_frames = frames;
    return true;
}

static void sum_up(struct planner *planner)
{
    size_t types = planner->flame->type_count;
    planner->sums = ht_realloc_array(NULL, (planner->sample_count + 1) * types + 1, sizeof *planner->sums);
    memset(planner->sums, 0, types * sizeof *planner->sums);
    for (size_t place = 0; place < planner->sample_count; place++) {
        const int64_t *values = ht_profile_values(planner->flame->report->profile, planner->samples[place]);
        double *sums = planner->sums + place * types;
        for (size_t type = 0; type < types; type++)
            sums[types + type] = sums[type] + (double)values[type];
    }
}

void ht_flame_plan(const struct ht_flame *flame, const bool *is_base, size_t least,
                   struct ht_flame_plan *plan)
{
    const struct ht_view_options *options = &flame->report->options;
    struct planner planner = {.flame = flame, .plan = plan};
    size_t count = flame->report->profile->sample_count, frames = 0;
    *plan = (struct ht_flame_plan){0};
    if (!options->trim || options->node_count <= 0 || options->node_count > (1 << 20) ||
        options->drop_negative)
        return;
    planner.samples = ht_realloc_array(NULL, count + 1, sizeof *planner.samples);
    if (take_samples(&planner, is_base, &frames) && frames >= least) {
        plan->shares = ht_alloc_zero(count + 1, sizeof *plan->shares);
        qsort_r(planner.samples, planner.sample_count, sizeof *planner.samples, compare_samples, &planner);
        sum_up(&planner);
        planner.heap_limit = (size_t)options->node_count - 1; // the root is one
        planner.heap = ht_realloc_array(NULL, planner.heap_limit + 1, sizeof *planner.heap);
        see_nodes(&planner);
        share_out(&planner);
    }
    free(planner.samples);
    free(planner.sums);
    free(planner.open);
    free(planner.heap);
}
