// A host with its own profiler: SIGPROF a thousand times a second, whose handler walks the stack with
// backtrace from wherever it strikes, also within the shim; the first backtrace of all loads a library.
#include "self.h"

#include <execinfo.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

static volatile int struck, walked;

static void on_timer(int number)
{
    void *frames[64];
    int saved = errno;
    (void)number;
    struck++;
    walked += backtrace(frames, 64) > 2;
    errno = saved;
}

__attribute__((noinline)) static size_t down(int levels)
{
    void *p = malloc((size_t)levels * 30);
    CHECK(p);
    size_t sum = levels ? down(levels - 1) + 1 : 0;
    KEEP(p);
    free(p);
    return sum;
}

int main(void)
{
    void *frames[32];
    int depth = backtrace(frames, 32);
    char **names = backtrace_symbols(frames, depth);
    CHECK(depth >= 2 && names && strstr(names[0], "profiling_timer"));
    free(names);
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    struct itimerval every = {{.tv_usec = 1000}, {.tv_usec = 1000}}, off = {0};
    CHECK(!sigaction(SIGPROF, &action, NULL) && !setitimer(ITIMER_PROF, &every, NULL));
    clock_t end = clock() + CLOCKS_PER_SEC / 8;
    while (clock() < end || struck < 10)
        CHECK(down(40) == 40);
    CHECK(!setitimer(ITIMER_PROF, &off, NULL));
    CHECK(struck >= 10 && walked == struck);
    puts("ok");
    return 0;
}
