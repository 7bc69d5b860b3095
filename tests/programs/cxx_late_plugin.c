// A C program, without a C++ library, opens a plugin that brings its own, with a scope of its own; once more
// after it was closed. What the plugin allocates is counted.
//@ allocators jemalloc tcmalloc mimalloc alone
//@ inuse 1000000 1095000
#include "self.h"

#include <dlfcn.h>
#include <pthread.h>

static long (*there_work)(int);

static void *work(void *unused)
{
    there_work(50);
    return unused;
}

int main(void)
{
    record_some();
    for (int round = 0; round < 3; round++) {
        void *handle = dlopen(beside("libcxx_there.so"), round == 1 ? RTLD_LAZY : RTLD_NOW);
        CHECK(handle);
        void *(*there_make)(size_t) = (void *(*)(size_t))dlsym(handle, "there_make");
        void (*there_drop)(void *) = (void (*)(void *))dlsym(handle, "there_drop");
        int (*there_fail)(void) = (int (*)(void))dlsym(handle, "there_fail");
        there_work = (long (*)(int))dlsym(handle, "there_work");
        CHECK(there_make && there_drop && there_fail && there_work);
        CHECK(there_work(90) > 0);
        // mimalloc is C: it ends the process instead of throwing.
        CHECK(dlsym(RTLD_DEFAULT, "mi_version") || there_fail() == 3);
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, work, NULL));
        work(NULL);
        pthread_join(thread, NULL);
        for (int i = 0; round == 2 && i < 1000; i++) {
            void *kept = there_make(1000);
            CHECK(kept);
            fill(kept, 1000, 1);
            there_drop(there_make(1));
        }
        CHECK(round == 2 || !dlclose(handle));
    }
    puts("ok");
    return 0;
}
