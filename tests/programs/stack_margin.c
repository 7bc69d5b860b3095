// On a stack that is painted before the call the family uses at most 2 KiB more than libc's own, at its first
// call too.
//@ skip jemalloc: it holds the family against glibc's own entry points
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK_BYTES  (64u << 10)
#define MARGIN_BYTES 2048u
#define PAINT        0xa5

// glibc's allocator under names that nobody interposes.
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void *libc_aligned_alloc(size_t alignment, size_t size)
{
    return __libc_memalign(alignment, size);
}

static const struct family {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void (*free)(void *);
} host = {malloc, calloc, realloc, aligned_alloc, free},
  libc = {__libc_malloc, __libc_calloc, __libc_realloc, libc_aligned_alloc, __libc_free};

static ucontext_t back, context;
static const struct family *family;
static unsigned char *stack;

// All frames of the deepest kind: a block that grows, moves, is mapped, and goes.
static void work(void)
{
    for (size_t size = 1; size < 300000; size *= 9) {
        void *p = family->malloc(size), *q = family->calloc(size, 2), *r = family->aligned_alloc(256, size);
        p = family->realloc(p, size * 3);
        r = family->realloc(r, size);
        family->free(q);
        family->free(p);
        family->free(r);
    }
}

// How many bytes of the painted stack `work` overwrote.
static size_t used(const struct family *which)
{
    family = which;
    memset(stack, PAINT, STACK_BYTES);
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = &back;
    makecontext(&context, work, 0);
    CHECK(!swapcontext(&back, &context));
    size_t untouched = 0;
    while (untouched < STACK_BYTES && stack[untouched] == PAINT)
        untouched++;
    return STACK_BYTES - untouched;
}

static void measure(void)
{
    // The first run goes deeper: the loader binds symbols in it.
    size_t bare = used(&libc);
    bare = used(&libc);
    for (int i = 0; i < 100; i++) {
        size_t ours = used(&host);
        if (ours > bare + MARGIN_BYTES) {
            fprintf(stderr, "call %d: %zu bytes of stack, %zu bare\n", i, ours, bare);
            _Exit(1);
        }
    }
}

static void *in_thread(void *unused)
{
    (void)unused;
    measure();
    return NULL;
}

// Children that are killed leave something behind for the next process to look through.
static void leave_behind(void)
{
    for (int i = 0; i < 12; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) {
            void *p = malloc(100);
            KEEP(p);
            raise(SIGKILL);
        }
        CHECK(waitpid(pid, NULL, 0) == pid);
    }
}

int main(void)
{
    sigset_t all;
    sigfillset(&all); // a handler's frame would be taken for the allocator's
    CHECK(!sigprocmask(SIG_BLOCK, &all, NULL));
    stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    leave_behind();
    measure(); // the process's first allocation
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, in_thread, NULL));
        pthread_join(thread, NULL);
        usleep(25000); // so that whatever the recorder does at intervals falls into a measurement
        measure();
    }
    puts("ok");
    return 0;
}
