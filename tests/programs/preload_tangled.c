// An interposer behind the shim whose calloc, realloc and posix_memalign call malloc, memalign and free by
// name: each call of the host comes through the shim twice, one inside the other, and counts once.
//@ preload after libtangled
//@ skip jemalloc: it stands in front of the interposer
//@ objects 16000 16050
#include "self.h"

#include <pthread.h>

static void *work(void *unused)
{
    for (size_t i = 0; i < 2000; i++) {
        char *p = calloc(i, 3), *q = malloc(i + 1);
        void *aligned = NULL;
        CHECK(p && q && filled(p, i * 3, 0) && !posix_memalign(&aligned, 128, i));
        fill(q, i + 1, 2);
        q = realloc(q, 3 * i + 100);
        CHECK(q && filled(q, i + 1, 2) && (uintptr_t)aligned % 128 == 0);
        free(p);
        free(q);
        free(aligned);
    }
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK(!pthread_create(&threads[i], NULL, work, NULL));
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    puts("ok");
    return 0;
}
