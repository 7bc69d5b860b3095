// A realloc that the system refuses leaves the block, which grows and shrinks afterwards as ever, and the
// block's record: 786,492 bytes stay in use to the end.
//@ inuse 786492 810000
#include "check.h"

#include <sys/resource.h>
#include <unistd.h>

#define BLOCKS 60u

static void limit_address_space(size_t more_bytes)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    struct rlimit limit;
    CHECK(!getrlimit(RLIMIT_AS, &limit));
    limit.rlim_cur = pages * (size_t)getpagesize() + more_bytes;
    CHECK(!setrlimit(RLIMIT_AS, &limit));
}

static void *grow_in_vain(void *p, size_t old, unsigned char byte, size_t size)
{
    void *volatile before = p;
    errno = 0;
    void *after = realloc(before, size);
    CHECK(after == NULL && errno == ENOMEM);
    CHECK(filled(p, old, byte));
    return p;
}

int main(void)
{
    static char *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    limit_address_space((size_t)256 << 20);
    for (unsigned i = 0; i < BLOCKS; i++) {
        sizes[i] = (size_t)1 << (i % 18);
        CHECK((blocks[i] = malloc(sizes[i])));
        fill(blocks[i], sizes[i], (unsigned char)i);
    }
    for (int round = 0; round < 10; round++)
        for (unsigned i = 0; i < BLOCKS; i++) {
            unsigned char byte = (unsigned char)i;
            blocks[i] = grow_in_vain(blocks[i], sizes[i], byte, (size_t)4 << 30);
            blocks[i] = grow_in_vain(blocks[i], sizes[i], byte, SIZE_MAX / 2 - 100);
            // The same size, larger, smaller: the block that the failures left behind is a whole one.
            CHECK((blocks[i] = realloc(blocks[i], sizes[i])));
            CHECK((blocks[i] = realloc(blocks[i], sizes[i] * 2)) && filled(blocks[i], sizes[i], byte));
            CHECK((blocks[i] = realloc(blocks[i], sizes[i])) && filled(blocks[i], sizes[i], byte));
            if (round % 3 == 2) {
                free(blocks[i]);
                CHECK((blocks[i] = malloc(sizes[i])));
                fill(blocks[i], sizes[i], byte);
            }
        }
    // The last of each is a failure.
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = grow_in_vain(blocks[i], sizes[i], (unsigned char)i, SIZE_MAX / 2 - 100);
    puts("ok");
    return 0;
}
