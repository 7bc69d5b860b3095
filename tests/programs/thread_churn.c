// Many short threads with destructors that allocate and free, blocks freed by threads that did not allocate
// them.
#include "check.h"

#include <pthread.h>

#define THREADS 400

static pthread_key_t key;
static void *passed[THREADS];

static void destroy(void *p)
{
    void *q = malloc(333);
    CHECK(q && filled(p, 100, 9));
    free(q);
    free(p);
}

static void *work(void *argument)
{
    size_t i = (size_t)(uintptr_t)argument;
    char *own = malloc(100);
    fill(own, 100, 9);
    pthread_setspecific(key, own);
    for (size_t n = 0; n < 200; n++) {
        char *p = malloc(n * 17);
        KEEP(p);
        free(p);
    }
    passed[i] = malloc(1000 + i);
    fill(passed[i], 1000 + i, (unsigned char)i);
    return NULL;
}

int main(void)
{
    pthread_t threads[8];
    pthread_key_create(&key, destroy);
    for (size_t i = 0; i < THREADS; i += 8) {
        for (size_t j = 0; j < 8; j++)
            CHECK(!pthread_create(&threads[j], NULL, work, (void *)(uintptr_t)(i + j)));
        for (size_t j = 0; j < 8; j++)
            pthread_join(threads[j], NULL);
    }
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(filled(passed[i], 1000 + i, (unsigned char)i));
        free(passed[i]);
    }
    puts("ok");
    return 0;
}
