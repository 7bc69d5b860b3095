// A filter that kills at everything but the calls of a computing process, installed before or after the first
// allocations, by prctl, by seccomp, and with other threads running: allocation goes on, and the process
// leaves normally.
//@ shower tree
#include "seccomp.h"

#include <pthread.h>
#include <sys/resource.h>

static const int allowed[] = {SYS_read,
                              SYS_write,
                              SYS_exit,
                              SYS_exit_group,
                              SYS_rt_sigreturn,
                              SYS_brk,
                              SYS_mmap,
                              SYS_munmap,
                              SYS_mremap,
                              SYS_madvise,
                              SYS_futex,
                              SYS_mprotect,
                              SYS_rt_sigprocmask,
                              SYS_clock_gettime,
                              SYS_getrandom,
                              SYS_sched_getaffinity,
                              -1};

static volatile int stop;
static pthread_barrier_t begun;

static void *compute(void *unused)
{
    work(3);
    pthread_barrier_wait(&begun);
    while (!stop)
        use_heap();
    return unused;
}

static int sandboxed(void *way)
{
    filter_calls((enum way)(uintptr_t)way, allowed, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
    work(40);
    deep(100, 10);
    for (size_t size = 1; size < 4u << 20; size *= 3) {
        void *block = malloc(size);
        CHECK(block);
        KEEP(block);
        block = realloc(block, size * 2);
        CHECK(block);
        free(block);
    }
    return 5;
}

static int warm(void *way)
{
    work(20);
    return sandboxed(way);
}

// The filter is put on all threads, which are in the middle of their allocations.
static int with_threads(void *unused)
{
    pthread_t thread;
    (void)unused;
    pthread_barrier_init(&begun, NULL, 2);
    CHECK(!pthread_create(&thread, NULL, compute, NULL));
    pthread_barrier_wait(&begun);
    sandboxed((void *)BY_SYSCALL);
    stop = 1;
    pthread_join(thread, NULL);
    return 5;
}

// Only the thread that asks for it is restricted.
static void *alone(void *unused)
{
    sandboxed((void *)BY_PRCTL);
    return unused;
}

static int one_thread(void *unused)
{
    pthread_t thread;
    work(2);
    CHECK(!pthread_create(&thread, NULL, alone, unused));
    work(20);
    pthread_join(thread, NULL);
    work(20);
    return 5;
}

int main(void)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    mallopt(M_TRIM_THRESHOLD, 64 << 20); // before it trims a thread's heap, glibc reads a file in /proc
    for (enum way way = BY_PRCTL; way <= BY_SYSCALL; way++) {
        expect_exit(fork_into(sandboxed, (void *)way), 5);
        expect_exit(fork_into(warm, (void *)way), 5);
    }
    expect_exit(fork_into(with_threads, NULL), 5);
    expect_exit(fork_into(one_thread, NULL), 5);
    puts("ok");
    return 0;
}
