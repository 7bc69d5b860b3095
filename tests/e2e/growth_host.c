// A server in small: one call site leaks, one fills a cache and then replaces what is in it, one grows in
// steps, one only uses memory. By the clock, so that all go on together; says its pid, runs for so many
// seconds, and ends at once.
//
// Usage: growth_host SECONDS
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CACHE 4000
#define RING  3000

static void *cache[CACHE], *ring[RING], *chain;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void keep(void **block)
{
    if (block == NULL)
        _exit(1);
    *block = chain;
    chain = block;
}

__attribute__((noinline)) static void forget_session(void)
{
    keep(malloc(4096));
}

__attribute__((noinline)) static void roll_log(void)
{
    for (int i = 0; i < 100; i++)
        keep(malloc(20000));
}

__attribute__((noinline)) static void fill_cache(unsigned page)
{
    free(cache[page % CACHE]);
    cache[page % CACHE] = malloc(8192);
}

__attribute__((noinline)) static void handle_request(unsigned request)
{
    free(ring[request % RING]);
    ring[request % RING] = malloc(1000 + request % 500);
}

int main(int argc, char **argv)
{
    double length = argc > 1 ? atof(argv[1]) : 10, begin = now(), time = 0;
    double session = 0, page = 0, request = 0, log = length / 20;
    unsigned pages = 0, requests = 0;
    printf("%ld\n", (long)getpid());
    fflush(stdout);
    for (; time < length; time = now() - begin) {
        for (; session < time; session += length / 4000)
            forget_session();
        for (; page < time; page += length / 4 / CACHE)
            fill_cache(pages++);
        for (; request < time; request += length / 100000)
            handle_request(requests++);
        for (; log < time; log += length / 9)
            roll_log();
        usleep(1000);
    }
    _exit(0);
}
