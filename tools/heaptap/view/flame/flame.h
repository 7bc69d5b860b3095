// The flame graph's tree: frames merged by their way from the root, with one value for each sample type, and
// what was cut.
#ifndef HT_VIEW_FLAME_FLAME_H
#define HT_VIEW_FLAME_FLAME_H

#include "view/graph/graph.h"
#include "view/reports.h"

// Invariants (ht_flame_check() runs them):
//  1. nodes[0] is the root "all"; every other node stands behind its parent.
//  2. cum of a node = its self + cum of its kept children + what was cut from it, for each sample type, new
//  and base.
//  3. The parent of a kept node is kept.
// Values wrap as in all reports. "Base" is what --base and --diff-base took off: here it is kept apart.

enum ht_flame_cut {
    HT_FLAME_SMALL,    // too little
    HT_FLAME_DEEP,     // deeper than HT_FLAME_DEPTH
    HT_FLAME_NEGATIVE, // less than in the base, or below zero, with --drop-negative
    HT_FLAME_CUT_COUNT
};

struct ht_flame_node {
    uint32_t frame;                // in names.nodes; HT_NONE: the root
    uint32_t parent;               // HT_NONE: the root
    uint32_t depth;                // of the root: 0
    uint32_t file, object;         // strings; file 0: unknown or several
    int64_t line_first, line_last; // lines of the file that stacks go through; 0: unknown
    bool is_inlined, is_called;    // some stacks have it inlined into its parent, some do not
    bool has_place;                // file and lines are set, or were dropped because they differ
    bool kept;
    enum ht_flame_cut cut; // why not
    uint32_t order;        // its place in `order`, if kept
    uint32_t cut_frames;   // what was cut from this node, with everything above that
    uint32_t child_first;  // in `order_by_parent`
    uint32_t child_count;  // kept ones
};

// One value of each sample type for each node: values[node * type_count + type].
struct ht_flame_values {
    int64_t *self, *cum, *cut;
    int64_t
        *change; // sum of |self - base's self| of the node and everything above it; NULL where it equals cum
    int64_t *cut_change;
};

struct ht_flame {
    struct ht_report *report;
    struct ht_graph names;
    struct ht_flame_node *nodes;
    size_t node_count, node_capacity;
    size_t type_count;
    struct ht_flame_values now, base; // base: all NULL without a base; its change is never used
    bool has_base;
    bool *is_signed; // by type: some self value is negative, so widths are those of `change`
    size_t self_capacity, base_capacity;
    uint32_t *
        order; // kept nodes: parents before children, the heaviest child first; all below one before the next
    size_t order_count;
    uint32_t *order_by_parent;
    size_t cut_frames[HT_FLAME_CUT_COUNT];
    double cut_fraction; // no frame that was cut as small has more than this part of any sample type
};

enum {
    HT_FLAME_NODES = 20000, // the default of --nodecount
    HT_FLAME_DEPTH = 1000,  // deeper frames are cut, unless --no-trim
};

// Context: tool; pure. Builds the tree of an initialised report and cuts it by its options: node_fraction,
// node_count (0: no limit), trim, drop_negative. Fails with --mean: means do not add up.
int ht_flame_build(struct ht_flame *flame, struct ht_report *report);

// The same, with the number of frames in all samples from which on the cut is planned before the tree is
// built. For tests: the result is the same with and without a plan.
int ht_flame_build_planned(struct ht_flame *flame, struct ht_report *report, size_t planned_frames);
void ht_flame_free(struct ht_flame *flame);

// Fails with the invariant that does not hold. For tests.
int ht_flame_check(const struct ht_flame *flame);

// Name as printed ("all" for the root); valid until the flame is freed.
const char *ht_flame_name(struct ht_flame *flame, uint32_t node);

// What the user calls the program: the recorder's word for it, or the base name of the executable, which may
// be what a link led to; nothing if neither is known. Appended to *out.
void ht_flame_program(const struct ht_flame *flame, struct ht_buffer *out);

// Where a node's function comes from: base name of its executable or library, "" if unknown. Appended to
// *out.
void ht_flame_object(const struct ht_flame *flame, uint32_t node, struct ht_buffer *out);

// Source file, trimmed as --trim-path says; "" if unknown or if there are several.
const char *ht_flame_file(const struct ht_flame *flame, uint32_t node);

static inline int64_t ht_flame_value(const struct ht_flame *flame, const int64_t *values, uint32_t node,
                                     size_t type)
{
    return values[node * flame->type_count + type];
}

// Frames that were cut, for whatever reason.
size_t ht_flame_cut_frames(const struct ht_flame *flame);

// How wide a node is drawn: its value now, or, where values are signed, all that changed above it.
int64_t ht_flame_width(const struct ht_flame *flame, uint32_t node, size_t type);

// The forms of the report; `type` is a sample type. Each appends to *out.
void ht_flame_json(struct ht_flame *flame, const char *name, struct ht_buffer *out);
void ht_flame_svg(struct ht_flame *flame, size_t type, bool root_on_top, struct ht_buffer *out);
// Fails where heaptap was built without the page, with what to do.
int ht_flame_page(struct ht_flame *flame, bool root_on_top, struct ht_buffer *out);
// The data that the page reads, as JSON that is safe inside a script element.
void ht_flame_page_data(struct ht_flame *flame, bool root_on_top, struct ht_buffer *out);

// "12 frames were left out: ..." in words, or nothing. Appended to *out, without a newline.
void ht_flame_cut_words(const struct ht_flame *flame, size_t type, struct ht_buffer *out);

#endif
