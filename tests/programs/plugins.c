// dlopen and dlclose in loops from several threads while others allocate; a library that allocates while it
// is loaded.
#include "check.h"

#include <dlfcn.h>
#include <libgen.h>
#include <pthread.h>
#include <unistd.h>

static volatile int stop;
static char library[4096];

static void *allocate(void *unused)
{
    (void)unused;
    while (!stop) {
        char *p = malloc(700);
        KEEP(p);
        free(p);
    }
    return NULL;
}

int main(void)
{
    char self[4000] = "";
    pthread_t threads[2];
    CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    snprintf(library, sizeof(library), "%s/libloaded.so", dirname(self));
    for (int i = 0; i < 2; i++)
        CHECK(!pthread_create(&threads[i], NULL, allocate, NULL));
    for (int i = 0; i < 60; i++) {
        void *handle = dlopen(library, (i % 2 ? RTLD_NOW : RTLD_LAZY) | (i % 3 ? RTLD_LOCAL : RTLD_DEEPBIND));
        if (!handle)
            fprintf(stderr, "%s\n", dlerror());
        CHECK(handle);
        void *(*make)(size_t) = (void *(*)(size_t))dlsym(handle, "loaded_make");
        void *p = make(123);
        CHECK(p && filled(p, 123, 4));
        free(p);
        CHECK(!dlsym(handle, "no_such_symbol"));
        CHECK(dlerror());
        CHECK(!dlclose(handle));
    }
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    puts("ok");
    return 0;
}
