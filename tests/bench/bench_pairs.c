// Times the allocator's common cases and prints nanoseconds per operation, the fastest of several batches.
//
// Usage: bench_pairs MODE THREADS [OPERATIONS]
//   pair16 pair64 pair1024   one malloc and its free
//   ring64                   10,000 live blocks of 64 bytes, the oldest replaced by a new one (a free and a
//   malloc) realloc                  a block grown 64 -> 128 -> 256 bytes and freed, per step calloc64 one
//   calloc and its free
// With OPERATIONS it makes exactly so many in one thread and times nothing: for counting instructions.
// It is run as a process of its own for each preload, alternately, by bench.py.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RING_BLOCKS      10000
#define BATCH_OPERATIONS 200000
#define BATCHES          25

// The compiler must neither remove a pair nor see that the block is unused.
#define KEEP(p) __asm__ volatile("" : "+r"(p) : : "memory")

static void pairs(size_t size, long operations)
{
    for (long i = 0; i < operations; i++) {
        char *p = malloc(size);
        KEEP(p);
        free(p);
    }
}

static void pair16(long operations)
{
    pairs(16, operations);
}

static void pair64(long operations)
{
    pairs(64, operations);
}

static void pair1024(long operations)
{
    pairs(1024, operations);
}

static void ring64(long operations)
{
    static __thread char **ring;
    if (!ring)
        ring = calloc(RING_BLOCKS, sizeof(*ring));
    for (long i = 0, at = 0; i < operations; i++) {
        free(ring[at]);
        ring[at] = malloc(64);
        KEEP(ring[at]);
        at = at + 1 == RING_BLOCKS ? 0 : at + 1;
    }
}

static void realloc_steps(long operations)
{
    for (long i = 0; i < operations; i += 3) {
        char *p = realloc(NULL, 64);
        KEEP(p);
        p = realloc(p, 128);
        KEEP(p);
        p = realloc(p, 256);
        KEEP(p);
        free(p);
    }
}

static void calloc64(long operations)
{
    for (long i = 0; i < operations; i++) {
        char *p = calloc(1, 64);
        KEEP(p);
        free(p);
    }
}

static const struct ht_mode {
    const char *name;
    void (*run)(long operations);
} modes[] = {{"pair16", pair16}, {"pair64", pair64},         {"pair1024", pair1024},
             {"ring64", ring64}, {"realloc", realloc_steps}, {"calloc64", calloc64}};

struct ht_worker {
    pthread_t thread;
    const struct ht_mode *mode;
    pthread_barrier_t *start;
    double best_ns;
};

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void *work(void *argument)
{
    struct ht_worker *worker = argument;
    worker->mode->run(BATCH_OPERATIONS);
    pthread_barrier_wait(worker->start);
    for (int i = 0; i < BATCHES; i++) {
        double begin_ns = now_ns();
        worker->mode->run(BATCH_OPERATIONS);
        double ns = (now_ns() - begin_ns) / BATCH_OPERATIONS;
        if (i == 0 || ns < worker->best_ns)
            worker->best_ns = ns;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct ht_mode *mode = NULL;
    for (size_t i = 0; argc > 2 && i < sizeof(modes) / sizeof(*modes); i++)
        if (!strcmp(modes[i].name, argv[1]))
            mode = &modes[i];
    int threads = argc > 2 ? atoi(argv[2]) : 0;
    if (!mode || threads < 1 || threads > 64) {
        fprintf(stderr,
                "usage: bench_pairs pair16|pair64|pair1024|ring64|realloc|calloc64 THREADS [OPERATIONS]\n");
        return 2;
    }
    if (argc > 3) {
        mode->run(atol(argv[3]));
        return 0;
    }
    struct ht_worker workers[64] = {0};
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    double worst_ns = 0;
    for (int i = 0; i < threads; i++) {
        workers[i].mode = mode;
        workers[i].start = &start;
        if (threads > 1 && pthread_create(&workers[i].thread, NULL, work, &workers[i]))
            return 1;
    }
    if (threads == 1)
        work(&workers[0]);
    for (int i = 0; i < threads; i++) {
        if (threads > 1)
            pthread_join(workers[i].thread, NULL);
        if (workers[i].best_ns > worst_ns)
            worst_ns = workers[i].best_ns;
    }
    printf("%.3f\n", worst_ns);
    return 0;
}
