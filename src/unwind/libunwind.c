// HEAPTAP_UNWIND=libunwind: unw_backtrace, the reference. It takes the loader's lock and more stack than the
// other ways.
#include "sys/libdl.h"
#include "unwind/walk.h"

#include <dlfcn.h>
#include <string.h>

static int (*ht_unw_backtrace)(void **buffer, int size);

bool ht_libunwind_load(void)
{
    // RTLD_LOCAL: its _Unwind_ names must not capture the exceptions of the host.
    void *library = ht_dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
    void *function = library != NULL ? ht_dlsym(library, "unw_backtrace") : NULL;
    memcpy(&ht_unw_backtrace, &function, sizeof ht_unw_backtrace);
    return function != NULL;
}

enum ht_step ht_walk_libunwind(struct ht_walk *walk)
{
    void *frames[HT_MAX_FRAMES]; // this way is not for small stacks anyway
    int count = ht_unw_backtrace(frames, (int)HT_MAX_FRAMES);
    for (int i = 0; i < count; i++) {
        walk->pc = (uintptr_t)frames[i] - 1;
        uint32_t object = ht_walk_object(walk);
        ht_walk_deliver(walk, walk->pc, object);
    }
    if (count < 0) {
        return HT_STEP_FAILED;
    }
    return (unsigned)count == HT_MAX_FRAMES ? HT_STEP_TRUNCATED : HT_STEP_END;
}
