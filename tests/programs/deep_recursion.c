// A hundred thousand frames, down to the last kilobytes above the guard page, in the main thread and in
// others.
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define FRAMES 100000u

// What libc's allocator takes below the last frame once its symbols are bound (half a kilobyte), and 2 KiB
// for ours.
#define LEFT_BYTES 3072u

static __thread uintptr_t floor_address;
static __thread unsigned deepest;

__attribute__((noinline)) static unsigned descend(unsigned levels)
{
    char *here = __builtin_frame_address(0);
    if ((uintptr_t)here < floor_address + LEFT_BYTES)
        return 0; // as near to the guard page as a caller of malloc may be
    char *p =
        levels % 16 == 0 || (uintptr_t)here < floor_address + 3 * LEFT_BYTES ? malloc(levels % 100) : NULL;
    KEEP(p);
    deepest++;
    unsigned below = levels ? descend(levels - 1) : 0;
    free(p);
    return below + 1;
}

static void *in_thread(void *argument)
{
    pthread_attr_t attributes;
    void *base;
    size_t size;
    CHECK(!pthread_getattr_np(pthread_self(), &attributes));
    CHECK(!pthread_attr_getstack(&attributes, &base, &size));
    pthread_attr_destroy(&attributes);
    floor_address = (uintptr_t)base;
    for (int i = 0; i < 3; i++) {
        deepest = 0;
        CHECK(descend(UINT32_MAX) == deepest && deepest > 100);
    }
    return argument;
}

int main(void)
{
    sigset_t all;
    sigfillset(&all); // no handler would find room
    CHECK(!sigprocmask(SIG_BLOCK, &all, NULL));
    free(malloc(1));
    struct rlimit limit;
    CHECK(!getrlimit(RLIMIT_STACK, &limit));
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > (64u << 20)) {
        limit.rlim_cur = 64u << 20;
        CHECK(!setrlimit(RLIMIT_STACK, &limit));
    }
    for (int i = 0; i < 3; i++) {
        unsigned frames = limit.rlim_cur >= (8u << 20) ? FRAMES : 1000;
        CHECK(descend(frames / (unsigned)(i + 1)) == frames / (unsigned)(i + 1) + 1);
    }
    const size_t sizes[] = {16384, 32768, 262144, 8u << 20};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        pthread_attr_t attributes;
        pthread_t thread;
        pthread_attr_init(&attributes);
        CHECK(!pthread_attr_setstacksize(&attributes, sizes[i]));
        CHECK(!pthread_create(&thread, &attributes, in_thread, NULL));
        pthread_join(thread, NULL);
    }
    puts("ok");
    return 0;
}
