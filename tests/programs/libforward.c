// Another interposer of malloc, preloaded in front of the shim or behind it: counts and forwards to the next
// one, which it looks up inside its first call, where dlsym calls it again; reports at exit.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

long forward_calls[4]; // malloc, free, calloc, realloc

static void *(*next_malloc)(size_t);
static void (*next_free)(void *);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static volatile int finding; // compilers take dlsym for a function that never comes back here
static char early[16384] __attribute__((aligned(16)));
static size_t early_used;

static void *take_early(size_t size)
{
    size_t at = early_used;
    early_used += (size + 15) & ~(size_t)15;
    if (early_used > sizeof(early))
        abort();
    return early + at;
}

static int is_early(const void *block)
{
    return (const char *)block >= early && (const char *)block < early + sizeof(early);
}

static void find(void)
{
    if (finding || next_malloc)
        return;
    finding = 1;
    // The first two allocate when there is no such symbol, through the functions below.
    dlsym(RTLD_NEXT, "no_such_function");
    dlerror();
    next_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
    next_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
    next_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    finding = 0;
}

void *malloc(size_t size)
{
    __atomic_fetch_add(&forward_calls[0], 1, __ATOMIC_RELAXED);
    find();
    return next_malloc ? next_malloc(size) : take_early(size);
}

void free(void *block)
{
    __atomic_fetch_add(&forward_calls[1], 1, __ATOMIC_RELAXED);
    if (!is_early(block) && next_free)
        next_free(block);
}

void *calloc(size_t count, size_t size)
{
    __atomic_fetch_add(&forward_calls[2], 1, __ATOMIC_RELAXED);
    find();
    return next_calloc ? next_calloc(count, size) : take_early(count * size);
}

void *realloc(void *block, size_t size)
{
    __atomic_fetch_add(&forward_calls[3], 1, __ATOMIC_RELAXED);
    find();
    if (next_realloc && !is_early(block))
        return next_realloc(block, size);
    void *fresh = next_malloc ? next_malloc(size) : take_early(size);
    if (fresh && block)
        memcpy(fresh, block,
               (size_t)(early + sizeof(early) - (char *)block) < size
                   ? (size_t)(early + sizeof(early) - (char *)block)
                   : size);
    return fresh;
}

static void report(void)
{
    int reached = forward_calls[0] > 1000;
    if (write(STDOUT_FILENO, reached ? "counted\n" : "not reached\n", reached ? 8 : 12) < 0)
        _exit(1);
}

__attribute__((constructor)) static void load(void)
{
    atexit(report);
}
