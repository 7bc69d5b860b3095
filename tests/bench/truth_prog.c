// Makes allocations that are known by construction: each call site allocates one size a given number of times
// and keeps a given number of the blocks to the end, so that a profile's estimates can be held against the
// truth.
//
// Usage: truth_prog THREADS plain|pause|settle SIZE:COUNT:KEPT:SITES ...
// COUNT and KEPT are for each of the first SITES (1 to 4) call sites of that size, functions
// site_<size>_<a..d>, and are multiples of 2 * THREADS: threads and halves share them evenly. With `pause`
// the program says "half" on standard output after the first half of every site's work and waits for a line
// on standard input; with `settle` each thread then also allocates one block of 64 MiB (in settle(), freed at
// once), which is a sample at any sane rate, so that no distance drawn before the pause reaches into the
// second half.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZES       9
#define SITES       4
#define THREADS_MAX 64

// The block is used, as far as the compiler can tell, so neither it nor its free can be left out.
#define KEEP(p) __asm__ volatile("" : "+r"(p) : : "memory")

#define SITE(size, letter)                                                                                   \
    __attribute__((noinline)) static void site_##size##_##letter(long count, long kept)                      \
    {                                                                                                        \
        long owed = 0;                                                                                       \
        for (long i = 0; i < count; i++) {                                                                   \
            size_t bytes = size;                                                                             \
            KEEP(bytes); /* compilers warn of a malloc of nothing that they see */                           \
            char *p = malloc(bytes);                                                                         \
            KEEP(p);                                                                                         \
            owed += kept;                                                                                    \
            if (owed >= count)                                                                               \
                owed -= count;                                                                               \
            else                                                                                             \
                free(p);                                                                                     \
        }                                                                                                    \
    }
#define SITE4(size) SITE(size, a) SITE(size, b) SITE(size, c) SITE(size, d)
#define ROW(size)                                                                                            \
    {                                                                                                        \
        size,                                                                                                \
        {                                                                                                    \
            site_##size##_a, site_##size##_b, site_##size##_c, site_##size##_d                               \
        }                                                                                                    \
    }

SITE4(0)
SITE4(1)
SITE4(16)
SITE4(100)
SITE4(1000)
SITE4(4096)
SITE4(65536)
SITE4(1048576)
SITE4(4194304)

static const struct ht_row {
    size_t size;
    void (*sites[SITES])(long count, long kept);
} rows[SIZES] = {ROW(0),    ROW(1),     ROW(16),      ROW(100),    ROW(1000),
                 ROW(4096), ROW(65536), ROW(1048576), ROW(4194304)};

static struct ht_work {
    const struct ht_row *row;
    long count, kept, sites;
} work[SIZES];
static int work_count, threads;
static int pauses, settles;
static pthread_barrier_t half_done, go_on;

__attribute__((noinline)) static void settle(void)
{
    char *p = malloc(64u << 20);
    KEEP(p);
    free(p);
}

// Called from one place only, so that every site has one stack and its figures are rounded once.
__attribute__((noinline)) static void do_half(void)
{
    for (int i = 0; i < work_count; i++)
        for (long site = 0; site < work[i].sites; site++)
            work[i].row->sites[site](work[i].count / 2 / threads, work[i].kept / 2 / threads);
}

static void *run(void *unused)
{
    (void)unused;
    for (volatile int half = 0; half < 2; half++) { // volatile: not unrolled into two call sites
        if (half && pauses) {
            pthread_barrier_wait(&half_done);
            pthread_barrier_wait(&go_on);
            if (settles)
                settle();
        }
        do_half();
    }
    return NULL;
}

static void pause_at_half(void)
{
    char line[16];
    pthread_barrier_wait(&half_done);
    puts("half");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        exit(1);
    pthread_barrier_wait(&go_on);
}

static int parse(int argc, char **argv)
{
    for (int i = 3; i < argc && work_count < SIZES; i++) {
        struct ht_work *w = &work[work_count];
        size_t size;
        if (sscanf(argv[i], "%zu:%ld:%ld:%ld", &size, &w->count, &w->kept, &w->sites) != 4 ||
            w->sites > SITES)
            return 0;
        for (int j = 0; j < SIZES; j++)
            if (rows[j].size == size)
                w->row = &rows[j];
        if (!w->row || w->count % (2 * threads) || w->kept % (2 * threads))
            return 0;
        work_count++;
    }
    return work_count;
}

int main(int argc, char **argv)
{
    pthread_t ids[THREADS_MAX];
    threads = argc > 3 ? atoi(argv[1]) : 0;
    if (threads < 1 || threads > THREADS_MAX || !parse(argc, argv)) {
        fprintf(stderr, "usage: truth_prog THREADS plain|pause|settle SIZE:COUNT:KEPT:SITES ...\n");
        return 2;
    }
    settles = !strcmp(argv[2], "settle");
    pauses = settles || !strcmp(argv[2], "pause");
    pthread_barrier_init(&half_done, NULL, (unsigned)threads + (threads > 1 || pauses));
    pthread_barrier_init(&go_on, NULL, (unsigned)threads + (threads > 1 || pauses));
    if (threads == 1 && !pauses) {
        run(NULL);
        return 0;
    }
    for (int i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, run, NULL))
            return 1;
    if (pauses)
        pause_at_half();
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    return 0;
}
