// A host with a wild pointer: it writes over the profiler's own tables. Recording ends, the host does not
// notice.
//@ set log=none
//@ garbled
#include "check.h"

#include <sys/mman.h>
#include <unistd.h>

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void allocate(void)
{
    void *blocks[200];
    for (size_t i = 0; i < 200; i++) {
        blocks[i] = malloc(i * 7);
        CHECK(blocks[i]);
        fill(blocks[i], i * 7, (unsigned char)i);
    }
    for (size_t i = 0; i < 200; i++) {
        CHECK(filled(blocks[i], i * 7, (unsigned char)i));
        blocks[i] = i % 3 ? realloc(blocks[i], i * 9 + 1) : blocks[i];
        free(blocks[i]);
    }
}

// The tables are the file ...heaptap.*.live, or where there is none, memory in the range where they like to
// be.
static int find_tables(uintptr_t *ret_start, uintptr_t *ret_limit)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];
    int found = 0;
    while (maps && !found && fgets(line, sizeof line, maps)) {
        unsigned long start, limit;
        char mode[5];
        CHECK(sscanf(line, "%lx-%lx %4s", &start, &limit, mode) == 3);
        if (mode[1] == 'w' && (strstr(line, ".live") || start >> 40 == 0x30)) {
            *ret_start = start;
            *ret_limit = limit;
            found = 1;
        }
    }
    if (maps)
        fclose(maps);
    return found;
}

// Only what is in memory: the rest of the mapping may have no room behind it.
static void scribble(uintptr_t start, uintptr_t limit, size_t step)
{
    for (uintptr_t page = start; page < limit; page += 4096) {
        unsigned char resident = 0;
        if (mincore((void *)page, 4096, &resident) != 0 || !(resident & 1))
            continue;
        for (size_t at = next_random() % step & ~(size_t)7; at + 8 <= 4096;
             at += (next_random() % step + 8) & ~(size_t)7) {
            uint64_t word = next_random() % 3 ? next_random() : next_random() >> 40;
            memcpy((void *)(page + at), &word, sizeof word);
        }
    }
}

int main(void)
{
    uintptr_t start = 0, limit = 0;
    allocate();
    // First the records behind the header, then the header as well.
    if (find_tables(&start, &limit))
        scribble(start + 16384, limit, 512);
    for (int i = 0; i < 20; i++)
        allocate();
    if (find_tables(&start, &limit))
        scribble(start, limit, 64);
    for (int i = 0; i < 20; i++)
        allocate();
    puts("ok");
    return 0;
}
