// Two threads free and allocate the same addresses to and fro: whoever takes a record out must do so before
// the free, or takes the other thread's. In use to the end are 10,000 blocks of 2,000 bytes, stdout's buffer,
// and what libc keeps of the threads.
//@ inuse 20004096 20005500
#include "check.h"

#include <malloc.h>
#include <pthread.h>

// Too large for thread caches, so that a freed block is the other thread's next one.
#define SMALL_BYTES  2000u
#define MAPPED_BYTES 150000u
#define ROUNDS       40000u

static void *slots[4], *kept[2][ROUNDS / 8];
static pthread_barrier_t barrier;

// Owns a block for a moment: anybody else's byte in it means that it was handed out twice.
static void own(size_t size, unsigned char byte)
{
    unsigned char *p = malloc(size);
    CHECK(p);
    p[0] = p[size / 2] = p[size - 1] = byte;
    KEEP(p);
    CHECK(p[0] == byte && p[size / 2] == byte && p[size - 1] == byte);
    free(p);
}

static void exchange(size_t slot, size_t size, unsigned char byte)
{
    unsigned char *mine = malloc(size);
    CHECK(mine);
    mine[0] = byte;
    unsigned char *theirs = __atomic_exchange_n(&slots[slot], mine, __ATOMIC_ACQ_REL);
    if (theirs && byte % 2)
        CHECK((theirs = realloc(theirs, size + size / 2)));
    free(theirs);
}

static void *work(void *argument)
{
    unsigned char byte = (unsigned char)(uintptr_t)argument;
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < ROUNDS; i++) {
        own(SMALL_BYTES, byte);
        exchange(i % 4, SMALL_BYTES + i % 3 * 16, byte);
        // Stays, as often as not where the other thread has just freed something.
        if (i % 8 == 0)
            CHECK((kept[byte - 1][i / 8] = malloc(SMALL_BYTES)));
        if (i % 16 == 0)
            own(MAPPED_BYTES, byte);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[2];
    mallopt(M_ARENA_MAX, 1);
    pthread_barrier_init(&barrier, NULL, 2);
    for (uintptr_t i = 0; i < 2; i++)
        CHECK(!pthread_create(&threads[i], NULL, work, (void *)(i + 1)));
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 4; i++)
        free(slots[i]);
    puts("ok");
    return 0;
}
