// The address space and the data segment are made smaller step by step while the program runs, until malloc
// fails: with NULL and ENOMEM, as often as it is asked, and it works again when there is room.
//@ skip jemalloc: it maps more address space than the limit leaves
//@ set log=none
#include "children.h"

#include <sys/resource.h>

#define BLOCKS 256

static unsigned char *blocks[BLOCKS];

// In kilobytes, from the line of this name in /proc/self/status.
static size_t status_kilobytes(const char *key)
{
    char line[256];
    size_t found = 0;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file);
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key)))
            found = strtoul(line + strlen(key), NULL, 10);
    fclose(file);
    return found;
}

static int exhaust(void)
{
    int got = 0;
    for (; got < BLOCKS; got++) {
        errno = 0;
        blocks[got] = malloc(1 << 20);
        if (!blocks[got])
            break;
        blocks[got][0] = blocks[got][(1 << 20) - 1] = 1;
    }
    CHECK(got == BLOCKS || errno == ENOMEM);
    return got;
}

static void give_back(int got)
{
    for (int i = 0; i < got; i++)
        free(blocks[i]);
}

static int steps(void *what)
{
    __rlimit_resource_t resource = what ? RLIMIT_DATA : RLIMIT_AS;
    int least = BLOCKS;
    use_heap();
    for (size_t room = 64; room > 0; room /= 4) {
        struct rlimit limit = {0, RLIM_INFINITY};
        limit.rlim_cur = (status_kilobytes(what ? "VmData:" : "VmSize:") + room * 1024) * 1024;
        CHECK(!setrlimit(resource, &limit));
        int got = exhaust();
        CHECK(got < BLOCKS && got <= (int)room && got <= least);
        least = got;
        for (int i = 0; i < 20; i++) {
            errno = 0;
            CHECK(!malloc(200u << 20) && errno == ENOMEM);
            CHECK(!calloc(200, 1 << 20) && errno == ENOMEM);
        }
        if (got > 0) {
            CHECK(!realloc(blocks[0], 200u << 20) && errno == ENOMEM && blocks[0][0] == 1);
        }
        give_back(got);
        use_heap();
    }
    struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    CHECK(!setrlimit(resource, &none));
    CHECK(exhaust() == BLOCKS);
    give_back(BLOCKS);
    use_heap();
    return 6;
}

// A program that is started under the limit, as `ulimit -v` leaves it.
static int start_small(void *unused)
{
    (void)unused;
    struct rlimit limit = {64u << 20, 64u << 20};
    CHECK(!setrlimit(RLIMIT_AS, &limit));
    execl("/proc/self/exe", "small", "small", (char *)NULL);
    return 9;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "small")) {
        int got = exhaust();
        CHECK(got >= 24 && got < 64);
        give_back(got);
        for (int i = 0; i < 50; i++)
            use_heap();
        return 6;
    }
    expect_exit(fork_into(start_small, NULL), 6);
    expect_exit(fork_into(steps, NULL), 6);
    expect_exit(fork_into(steps, (void *)1), 6);
    puts("ok");
    return 0;
}
