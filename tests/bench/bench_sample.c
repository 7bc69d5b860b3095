// Times one malloc+free pair below a stack of 25 frames and prints nanoseconds, the fastest of several
// batches. Run with HEAPTAP_RATE=1 every pair is a sample; minus the same below the empty shim that is what a
// warm sample costs.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCH_OPERATIONS 2000
#define BATCHES          40

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double best_ns;

static void measure(void)
{
    for (int i = 0; i < BATCHES; i++) {
        double begin_ns = now_ns();
        for (int j = 0; j < BATCH_OPERATIONS; j++) {
            char *p = malloc(64);
            __asm__ volatile("" : "+r"(p) : : "memory");
            free(p);
        }
        double ns = (now_ns() - begin_ns) / BATCH_OPERATIONS;
        if (i == 0 || ns < best_ns)
            best_ns = ns;
    }
}

// The asm behind the call keeps it from becoming a tail call: each level is a frame.
__attribute__((noinline)) static void descend(int levels)
{
    if (levels)
        descend(levels - 1);
    else
        measure();
    __asm__ volatile("" : : : "memory");
}

int main(int argc, char **argv)
{
    // main, measure and libc's two start frames make up the rest of the depth.
    int depth = argc > 1 ? atoi(argv[1]) : 25;
    descend(depth > 5 ? depth - 5 : 0);
    printf("%.3f\n", best_ns);
    return 0;
}
