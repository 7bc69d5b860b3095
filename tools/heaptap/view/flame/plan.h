// Which frames of a large flame graph will be left, found without building its tree: it can have more nodes
// than memory.
#ifndef HT_VIEW_FLAME_PLAN_H
#define HT_VIEW_FLAME_PLAN_H

#include "view/flame/flame.h"

// What the tree takes of a sample's stack.
struct ht_flame_share {
    uint32_t depth;      // frames from the root that are left
    uint32_t frames;     // of the whole stack
    uint32_t cut_frames; // nodes of the tree above `depth` that no other sample accounts for
};

struct ht_flame_plan {
    struct ht_flame_share *shares; // by sample; NULL: no plan, everything goes into the tree
    size_t deep_frames;            // of all cut_frames those deeper than HT_FLAME_DEPTH
    double cut_fraction;           // the largest part of any other cut frame
};

// Context: tool; pure. Fills *plan if the samples have at least `least` frames in all and if only node_count
// decides; needs flame->names. Its choice is that of the whole tree's keep(). Free the shares.
void ht_flame_plan(const struct ht_flame *flame, const bool *is_base, size_t least,
                   struct ht_flame_plan *plan);

#endif
