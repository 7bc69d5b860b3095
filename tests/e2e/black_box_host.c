// A host for the black box test: allocates in threads and forked children, writes down what it is about to do
// and what it has done in a file that outlives it, and dies in the way and at the moment it is told.
//
// Usage: black_box_host LOG HOW DELAY_US SEED THREADS FORKS
//   wait      go on until somebody kills it
//   segv, abort, _exit, exit   die in that way after the delay
//   leak      take memory until a memory limit kills it
//   worker, orphan   a child (a daemon of its own) is killed after the delay while the program idles until
//   its
//             standard input ends
//   leakworker   a child takes memory until a limit kills it
//   leavers   FORKS children allocate a little and leave by _exit or exit
//
// The log is a mapped file: stores that a thread made before the process was killed are in it, in their
// order. Counters come in pairs, "begun" before the call and "done" behind it, each written by one thread
// only; the truth at the moment of death lies between them.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SITES         14
#define REALLOC_SITE  12
#define LEAK_SITE     13
#define MAX_THREADS   4
#define MAX_PROCESSES 16
#define KEPT_BLOCKS   4000 // by each thread, at most
#define SHARED_BLOCKS 256  // handed from thread to thread
#define MAX_DEPTH     6    // of the call chain, 2^depth ways each

enum { BEGUN_ALLOC, DONE_ALLOC, BEGUN_FREE, DONE_FREE, COUNTERS };

struct record {
    uint64_t pid, running; // running: it allocates for itself, what it inherited is written down
    uint64_t parent;       // index
    // The parent's sums right before fork, and right behind it as the child and as the parent saw them.
    uint64_t before[SITES][COUNTERS], behind[2][SITES][COUNTERS], has_behind[2];
    uint64_t counters[MAX_THREADS][SITES][COUNTERS];
};

struct log {
    uint64_t process_count;
    struct record processes[MAX_PROCESSES];
};

static const uint32_t site_bytes[SITES] = {0,    8,  16,  40,  100,  250, 1000,
                                           3000, 64, 129, 520, 9000, 700, 262144};

static struct log *shared_log;
static struct record *own;
static uintptr_t shared_blocks[SHARED_BLOCKS]; // address | site; blocks are aligned to 16
static int forks_left;

struct thread {
    int index;
    uint64_t random;
    uint32_t kept_count;
    uintptr_t kept[KEPT_BLOCKS];
};
static struct thread threads[MAX_THREADS];

static uint64_t draw(struct thread *thread)
{
    thread->random ^= thread->random << 13;
    thread->random ^= thread->random >> 7;
    thread->random ^= thread->random << 17;
    return thread->random * UINT64_C(0x2545F4914F6CDD1D) >> 16;
}

static void count(const struct thread *thread, unsigned site, int which)
{
    uint64_t *counter = &own->counters[thread->index][site][which];
    __atomic_store_n(counter, *counter + 1, __ATOMIC_SEQ_CST); // neither side of it may be moved across
}

#define SITE(name, call)                                                                                     \
    __attribute__((noinline)) static void *name(size_t bytes, void *old)                                     \
    {                                                                                                        \
        (void)old;                                                                                           \
        void *block = call;                                                                                  \
        __asm__ volatile("" ::"r"(block) : "memory");                                                        \
        return block;                                                                                        \
    }
SITE(site_00, malloc(bytes))
SITE(site_01, malloc(bytes))
SITE(site_02, malloc(bytes))
SITE(site_03, calloc(4, bytes / 4))
SITE(site_04, malloc(bytes))
SITE(site_05, malloc(bytes))
SITE(site_06, malloc(bytes))
SITE(site_07, malloc(bytes))
SITE(site_08, aligned_alloc(64, bytes))
SITE(site_09, malloc(bytes))
SITE(site_10, calloc(1, bytes))
SITE(site_11, malloc(bytes))
SITE(site_12, realloc(old, bytes))
SITE(site_13, malloc(bytes))
static void *(*const sites[SITES])(size_t, void *) = {site_00, site_01, site_02, site_03, site_04,
                                                      site_05, site_06, site_07, site_08, site_09,
                                                      site_10, site_11, site_12, site_13};

// The ways to a site: each bit chooses one of two functions.
__attribute__((noinline)) static void *via_a(unsigned depth, unsigned bits, unsigned site, void *old);
__attribute__((noinline)) static void *via_b(unsigned depth, unsigned bits, unsigned site, void *old)
{
    void *block = depth == 0 ? sites[site](site_bytes[site], old)
                  : bits & 1 ? via_a(depth - 1, bits >> 1, site, old)
                             : via_b(depth - 1, bits >> 1, site, old);
    __asm__ volatile("" ::: "memory");
    return block;
}
static void *via_a(unsigned depth, unsigned bits, unsigned site, void *old)
{
    void *block = depth == 0 ? sites[site](site_bytes[site], old)
                  : bits & 1 ? via_a(depth - 1, bits >> 1, site, old)
                             : via_b(depth - 1, bits >> 1, site, old);
    __asm__ volatile("" ::: "memory");
    return block;
}

static void drop(struct thread *thread, uintptr_t block)
{
    unsigned site = block & 15;
    count(thread, site, BEGUN_FREE);
    free((void *)(block & ~(uintptr_t)15));
    count(thread, site, DONE_FREE);
}

static void keep(struct thread *thread, void *block, unsigned site)
{
    uintptr_t value = (uintptr_t)block | site;
    if (draw(thread) % 8 == 0) // somebody else's from now on, for somebody else's block or none
        value = __atomic_exchange_n(&shared_blocks[draw(thread) % SHARED_BLOCKS], value, __ATOMIC_ACQ_REL);
    if (value == 0)
        return;
    if (thread->kept_count < KEPT_BLOCKS)
        thread->kept[thread->kept_count++] = value;
    else
        drop(thread, value);
}

static uintptr_t take(struct thread *thread)
{
    uint32_t i = (uint32_t)(draw(thread) % thread->kept_count);
    uintptr_t block = thread->kept[i];
    thread->kept[i] = thread->kept[--thread->kept_count];
    return block;
}

__attribute__((noinline)) static void work(struct thread *thread)
{
    uint64_t choice = draw(thread) % 100;
    unsigned depth = (unsigned)(draw(thread) % MAX_DEPTH), bits = (unsigned)draw(thread);
    if (choice < 42 && thread->kept_count > 0) {
        drop(thread, take(thread));
    } else if (choice < 50 && thread->kept_count > 0) {
        uintptr_t old = take(thread);
        unsigned old_site = old & 15;
        count(thread, old_site, BEGUN_FREE);
        count(thread, REALLOC_SITE, BEGUN_ALLOC);
        void *block = via_a(depth, bits, REALLOC_SITE, (void *)(old & ~(uintptr_t)15));
        count(thread, REALLOC_SITE, DONE_ALLOC);
        count(thread, old_site, DONE_FREE);
        keep(thread, block, REALLOC_SITE);
    } else {
        unsigned site = (unsigned)(draw(thread) % REALLOC_SITE);
        count(thread, site, BEGUN_ALLOC);
        void *block = via_b(depth, bits, site, NULL);
        count(thread, site, DONE_ALLOC);
        keep(thread, block, site);
    }
}

static uint64_t sum(const struct record *record, unsigned site, int which)
{
    uint64_t total = 0;
    for (int thread = 0; thread < MAX_THREADS; thread++)
        total += __atomic_load_n(&record->counters[thread][site][which], __ATOMIC_SEQ_CST);
    return total;
}

static void pause_us(uint64_t us)
{
    struct timespec wait = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000)};
    while (nanosleep(&wait, &wait) != 0) {
    }
}

__attribute__((noreturn)) static void die(const char *how)
{
    if (strcmp(how, "segv") == 0) {
        static volatile uintptr_t nowhere = 8;
        *(volatile int *)nowhere = 1;
    } else if (strcmp(how, "abort") == 0) {
        abort();
    } else if (strcmp(how, "_exit") == 0) {
        _exit(3);
    } else if (strcmp(how, "exit") == 0) {
        exit(0);
    }
    for (;;)
        pause();
}

static void look_behind(const struct record *parent, struct record *child, int who)
{
    for (unsigned site = 0; site < SITES; site++)
        for (int which = 0; which < COUNTERS; which++)
            child->behind[who][site][which] = sum(parent, site, which);
    __atomic_store_n(&child->has_behind[who], 1, __ATOMIC_SEQ_CST);
}

__attribute__((noinline)) static void child_process(struct thread *thread, struct record *mine)
{
    look_behind(own, mine, 0);
    mine->pid = (uint64_t)getpid();
    own = mine;
    __atomic_store_n(&mine->running, 1, __ATOMIC_SEQ_CST);
    thread->random += mine->pid * UINT64_C(0x9E3779B97F4A7C15);
    uint64_t rounds = 200 + draw(thread) % 60000;
    static const char *const endings[] = {"wait", "segv", "abort", "_exit", "exit", "wait", "wait", "wait"};
    const char *how = endings[draw(thread) % 8];
    for (uint64_t i = 0; i < rounds || strcmp(how, "wait") == 0; i++)
        work(thread);
    die(how);
}

__attribute__((noinline)) static void fork_one(struct thread *thread)
{
    uint64_t index = __atomic_fetch_add(&shared_log->process_count, 1, __ATOMIC_SEQ_CST);
    if (index >= MAX_PROCESSES)
        return;
    struct record *child = &shared_log->processes[index];
    child->parent = (uint64_t)(own - shared_log->processes);
    for (unsigned site = 0; site < SITES; site++)
        for (int which = 0; which < COUNTERS; which++)
            child->before[site][which] = sum(own, site, which);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (fork() == 0)
        child_process(thread, child);
    look_behind(own, child, 1);
}

__attribute__((noinline)) static void *worker(void *arg)
{
    struct thread *thread = arg;
    for (uint64_t i = 1;; i++) {
        work(thread);
        // One thread at a time, or the mutual bounds of the children would grow wide.
        if (thread->index == 1 && i % 4096 == 0 && forks_left > 0) {
            forks_left--;
            fork_one(thread);
        }
        if (i % 1024 == 0)
            while (waitpid(-1, NULL, WNOHANG) > 0) {
            }
    }
    return NULL;
}

// Takes memory until the kernel says no.
__attribute__((noinline)) static void leak(struct thread *thread)
{
    for (;;) {
        count(thread, LEAK_SITE, BEGUN_ALLOC);
        char *block = via_a(2, 1, LEAK_SITE, NULL);
        count(thread, LEAK_SITE, DONE_ALLOC);
        for (uint32_t at = 0; at < site_bytes[LEAK_SITE]; at += 4096)
            block[at] = 1;
        pause_us(500);
    }
}

// A process of its own that records under `index`; 0 in it.
static pid_t start_member(uint64_t index)
{
    pid_t pid = fork();
    if (pid == 0) {
        own = &shared_log->processes[index];
        own->pid = (uint64_t)getpid();
        __atomic_store_n(&own->running, 1, __ATOMIC_SEQ_CST);
    }
    return pid;
}

// A child that is killed while its parent goes on.
__attribute__((noinline)) static int lose_worker(struct thread *thread, uint64_t delay_us, const char *how)
{
    shared_log->process_count = 2;
    bool is_orphan = strcmp(how, "orphan") == 0;
    pid_t between = is_orphan ? fork() : 0;
    if (is_orphan && between != 0)
        waitpid(between, NULL, 0);
    else if (is_orphan)
        setsid();
    if (between == 0 && start_member(1) == 0) {
        if (strcmp(how, "leakworker") == 0)
            leak(thread);
        for (;;)
            work(thread);
    }
    if (is_orphan && between == 0)
        _exit(0);
    while (__atomic_load_n(&shared_log->processes[1].running, __ATOMIC_SEQ_CST) == 0)
        pause_us(100);
    pause_us(delay_us);
    if (strcmp(how, "leakworker") != 0)
        kill((pid_t)shared_log->processes[1].pid, SIGKILL);
    while (!is_orphan && waitpid(-1, NULL, 0) < 0) {
    }
    puts("the worker is dead");
    fflush(stdout);
    getchar(); // until the test has looked
    return 0;
}

__attribute__((noinline)) static int part_from_leavers(struct thread *thread, int count)
{
    for (int i = 0; i < count; i++) {
        if (fork() == 0) {
            for (int j = 0; j < 200; j++)
                work(thread);
            pause_us(2000);
            die(i % 4 == 0 ? "exit" : "_exit");
        }
        if (i % 3 == 0)
            while (waitpid(-1, NULL, 0) > 0) {
            }
    }
    while (waitpid(-1, NULL, 0) > 0) {
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    const char *how = argv[2];
    uint64_t delay_us = strtoull(argv[3], NULL, 10), seed = strtoull(argv[4], NULL, 10);
    int thread_count = atoi(argv[5]);
    forks_left = atoi(argv[6]);
    int fd = open(argv[1], O_RDWR | O_CREAT, 0600);
    if (fd < 0 || thread_count > MAX_THREADS || ftruncate(fd, sizeof *shared_log) != 0)
        return 2;
    shared_log = mmap(NULL, sizeof *shared_log, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared_log == MAP_FAILED)
        return 2;
    own = &shared_log->processes[0];
    own->pid = (uint64_t)getpid();
    shared_log->process_count = 1;
    own->running = 1;
    for (int i = 0; i < MAX_THREADS; i++)
        threads[i] =
            (struct thread){.index = i, .random = (seed * MAX_THREADS + (uint64_t)i + 1) * 0x9E3779B9u};
    if (strcmp(how, "worker") == 0 || strcmp(how, "orphan") == 0 || strcmp(how, "leakworker") == 0)
        return lose_worker(&threads[0], delay_us, how);
    if (strcmp(how, "leavers") == 0)
        return part_from_leavers(&threads[0], forks_left);
    for (int i = 1; i < thread_count; i++) {
        pthread_t handle;
        if (pthread_create(&handle, NULL, worker, &threads[i]) != 0)
            return 2;
    }
    if (strcmp(how, "leak") == 0)
        leak(&threads[0]);
    pause_us(delay_us);
    die(how);
}
