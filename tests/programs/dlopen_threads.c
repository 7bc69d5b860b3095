// Several threads open and close libraries at once, one of which opens another from its constructor, while
// all allocate.
#include "self.h"

#include <dlfcn.h>
#include <pthread.h>

static char paths[3][5000];
static const char *const names[3] = {"libnested.so", "libloaded.so", "libplace_b.so"};
static const char *const symbols[3] = {"nested_works", "loaded_make", "place_make"};

static void *open_and_close(void *argument)
{
    size_t first = (size_t)(uintptr_t)argument;
    for (size_t i = 0; i < 40; i++) {
        size_t at = (first + i) % 3;
        void *handle = dlopen(paths[at], i % 2 ? RTLD_LAZY : RTLD_NOW);
        CHECK(handle);
        void *symbol = dlsym(handle, symbols[at]);
        CHECK(symbol);
        if (at == 0) {
            CHECK(((int (*)(void))symbol)());
        } else {
            void *p = ((void *(*)(size_t))symbol)(i * 100 + 1);
            CHECK(p);
            fill(p, i * 100 + 1, 1);
            free(p);
        }
        CHECK(!dlclose(handle));
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 3; i++)
        strcpy(paths[i], beside(names[i]));
    record_some();
    for (size_t i = 0; i < 4; i++)
        CHECK(!pthread_create(&threads[i], NULL, open_and_close, (void *)(uintptr_t)i));
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    puts("ok");
    return 0;
}
