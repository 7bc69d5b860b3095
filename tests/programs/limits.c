// Little address space, no files above 0 bytes, locked memory: allocation goes on, failures are those of the
// allocator.
//@ skip jemalloc: it maps more address space than the limit leaves
//@ set log=none
#include "check.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

int main(void)
{
    // One allocation first: limits that are set later must find a recorder that is already at work.
    void *first = malloc(100);
    struct rlimit no_files = {0, 0}, space = {400u << 20, 400u << 20};
    CHECK(!setrlimit(RLIMIT_FSIZE, &no_files));
    CHECK(!setrlimit(RLIMIT_AS, &space));
    int got = 0;
    void *blocks[1000];
    for (; got < 1000; got++) {
        blocks[got] = malloc(1 << 20);
        if (!blocks[got])
            break;
    }
    CHECK(got > 20 && got < 1000 && errno == ENOMEM);
    for (int i = 0; i < got; i++)
        free(blocks[i]);
    for (size_t i = 0; i < 1000; i++) {
        char *p = malloc(i * 10);
        CHECK(p);
        free(p);
    }
    free(first);
    puts("ok");
    return 0;
}
