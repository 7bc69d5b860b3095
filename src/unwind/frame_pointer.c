// HEAPTAP_UNWIND=fp: frame pointers alone, for programs that are built with them throughout.
#include "unwind/walk.h"

enum ht_step ht_walk_fp(struct ht_walk *walk)
{
    for (;;) {
        uint32_t object;
        uintptr_t pc;
        if (!ht_walk_frame(walk, &object, &pc)) {
            return HT_STEP_FAILED;
        }
        if (!ht_walk_deliver(walk, pc, object)) {
            return HT_STEP_TRUNCATED;
        }
        enum ht_step step = ht_walk_step_fp(walk);
        if (step != HT_STEP_ON) {
            return step;
        }
    }
}
