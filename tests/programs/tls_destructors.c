// Destructors of pthread keys that allocate, free and set their keys again, to the last round and in the
// order of libc.
#include "check.h"

#include <limits.h>
#include <pthread.h>

#define KEYS 40

static pthread_key_t keys[KEYS];
static unsigned rounds[PTHREAD_DESTRUCTOR_ITERATIONS + 2];
static unsigned ended;

struct value {
    unsigned key, round;
    char *block;
};

// Every key arms itself and its neighbour again until libc gives up; the last values leak, as they do without
// us.
static void destroy(void *argument)
{
    struct value *value = argument;
    CHECK(filled(value->block, 200, (unsigned char)value->key));
    free(value->block);
    CHECK(value->round < PTHREAD_DESTRUCTOR_ITERATIONS);
    __atomic_add_fetch(&rounds[value->round], 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
    value->round++;
    if (value->round == PTHREAD_DESTRUCTOR_ITERATIONS) {
        free(value);
        return;
    }
    CHECK((value->block = malloc(200)));
    fill(value->block, 200, (unsigned char)value->key);
    CHECK(!pthread_setspecific(keys[value->key], value));
}

static void *work(void *argument)
{
    for (unsigned i = 0; i < KEYS; i++) {
        struct value *value = calloc(1, sizeof(*value));
        CHECK(value && !value->round);
        value->key = i;
        CHECK((value->block = malloc(200)));
        fill(value->block, 200, (unsigned char)i);
        CHECK(!pthread_setspecific(keys[i], value));
    }
    return argument;
}

int main(void)
{
    pthread_t threads[6];
    // Beyond the first 32 keys libc itself allocates for each thread, and frees at its very end.
    for (unsigned i = 0; i < KEYS; i++)
        CHECK(!pthread_key_create(&keys[i], destroy));
    for (int run = 0; run < 10; run++) {
        for (int i = 0; i < 6; i++)
            CHECK(!pthread_create(&threads[i], NULL, work, NULL));
        for (int i = 0; i < 6; i++)
            pthread_join(threads[i], NULL);
    }
    CHECK(ended == 60 * KEYS * PTHREAD_DESTRUCTOR_ITERATIONS);
    for (unsigned i = 0; i < PTHREAD_DESTRUCTOR_ITERATIONS; i++)
        CHECK(rounds[i] == 60 * KEYS);
    // All keys that there are belong to the program: nobody else took one.
    unsigned more = 0;
    pthread_key_t key;
    while (!pthread_key_create(&key, NULL))
        more++;
    printf("ok, %u keys more\n", more);
    return 0;
}
