// What a walk costs: ours by tables and by frame pointers, and libunwind's, over the same stack.
#include "unwind/objects.h"
#include "unwind/unwind.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define UNW_LOCAL_ONLY
#include <libunwind.h>

#define NOINLINE __attribute__((noinline))
#define ROUNDS   1000u
#define REPEATS  100u

static struct ht_unwind_scratch scratch;
static struct ht_unwind_window window;
static struct ht_unwind_result result;

static bool report_nothing(const struct ht_module_desc *desc, int64_t *ret_delta)
{
    (void)desc;
    *ret_delta = 0;
    return true;
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

// The way that is measured, and the frames that it found.
static NOINLINE unsigned walk(int way)
{
    static void *frames[HT_MAX_FRAMES];
    if (way == 2) {
        return (unsigned)unw_backtrace(frames, (int)HT_MAX_FRAMES);
    }
    struct ht_unwind_start start;
    ht_unwind_capture(&start);
    ht_unwind(&scratch, &window, &start, &result);
    return result.frame_count;
}

static double best_ns[3], first_ns; // first_ns: when nothing is in the cache
static unsigned found[3];

static void measure(void)
{
    static const enum ht_unwind_mode modes[] = {HT_UNWIND_CFI, HT_UNWIND_FP, HT_UNWIND_CFI};
    for (int way = 0; way < 3; way++) {
        ht_unwind_start(modes[way]);
        double cold = now_ns();
        found[way] = walk(way);
        first_ns = first_ns == 0 ? now_ns() - cold : first_ns;
        best_ns[way] = 1e18;
        for (unsigned repeat = 0; repeat < REPEATS; repeat++) {
            double begin = now_ns();
            for (unsigned i = 0; i < ROUNDS; i++) {
                walk(way);
            }
            double each = (now_ns() - begin) / ROUNDS;
            best_ns[way] = each < best_ns[way] ? each : best_ns[way];
        }
    }
}

// Frames with a frame pointer and without, of different sizes.
static NOINLINE int nest(unsigned depth);

static NOINLINE int nest_wide(unsigned depth)
{
    volatile char bytes[200];
    bytes[0] = (char)depth;
    int below = nest(depth - 1);
    __asm__ volatile("" ::: "memory");
    return below + bytes[0];
}

static NOINLINE int nest(unsigned depth)
{
    if (depth == 0) {
        measure();
        return 0;
    }
    int below = depth % 3 == 0 ? nest_wide(depth) : nest(depth - 1);
    __asm__ volatile("" ::: "memory");
    return below + 1;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"cfi", "fp", "unw_backtrace"};
    ht_objects_init(dlsym(RTLD_DEFAULT, "_dl_find_object"), report_nothing);
    printf("%-8s %-14s %8s %10s %10s %8s\n", "frames", "way", "found", "ns/walk", "ns/frame", "ratio");
    for (int i = 1; i < argc || i == 1; i++) {
        unsigned depth = argc > 1 ? (unsigned)atoi(argv[i]) : 20;
        nest(depth);
        for (int way = 0; way < 3; way++) {
            printf("%-8u %-14s %8u %10.1f %10.2f %8.2f\n", found[0], names[way], found[way], best_ns[way],
                   best_ns[way] / found[way], best_ns[way] / best_ns[2]);
        }
    }
    printf("the very first walk: %.0f ns\n", first_ns);
    return 0;
}
