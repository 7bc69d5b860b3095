// Blocks are freed and resized behind everybody's back, by libc's internal names; their addresses come again.
//@ skip jemalloc: the internal names are glibc's
#include "check.h"

#include <malloc.h>
#include <pthread.h>

// glibc's allocator under names that nobody interposes.
extern void *__libc_malloc(size_t), *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

#define BLOCKS 200u

static void *work(void *argument)
{
    unsigned char *blocks[BLOCKS];
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            size_t size = 20 + i % 7 * 300 + round;
            blocks[i] = i % 2 ? malloc(size) : __libc_malloc(size);
            CHECK(blocks[i] && malloc_usable_size(blocks[i]) >= size);
            fill(blocks[i], 20, (unsigned char)i);
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            size_t size = 30 + i % 5 * 700;
            CHECK((blocks[i] = i % 3 ? realloc(blocks[i], size) : __libc_realloc(blocks[i], size)));
            CHECK(filled(blocks[i], 20, (unsigned char)i));
        }
        for (unsigned i = 0; i < BLOCKS; i++)
            i % 4 < 2 ? free(blocks[i]) : __libc_free(blocks[i]);
        // The same addresses at once, with other sizes.
        for (unsigned i = 0; i < BLOCKS; i++)
            CHECK((blocks[i] = malloc(25 + i % 11 * 200)));
        for (unsigned i = 0; i < BLOCKS; i++)
            i % 5 ? __libc_free(blocks[i]) : free(blocks[i]);
    }
    return argument;
}

int main(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK(!pthread_create(&threads[i], NULL, work, NULL));
    work(NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    puts("ok");
    return 0;
}
