// An interposer behind the shim that raises a signal inside each malloc and free, when it is told to: the
// host's handler then allocates while an allocation is under way.
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>

volatile int raise_number;
static __thread volatile int raising __attribute__((tls_model("initial-exec")));
static void *(*next_malloc)(size_t);
static void (*next_free)(void *);

static void interrupt(void)
{
    if (raise_number && !raising) {
        raising = 1;
        raise(raise_number);
        raising = 0;
    }
}

void *malloc(size_t size)
{
    if (!next_malloc)
        next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    interrupt();
    void *block = next_malloc(size);
    interrupt();
    return block;
}

void free(void *block)
{
    if (!next_free)
        next_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    interrupt();
    next_free(block);
    interrupt();
}
