// Allocation before main, in destructors, after the environment is cleared, with the main thread gone, and
// exit from it.
#include "check.h"

#include <pthread.h>
#include <unistd.h>

static void *from_constructor, *from_preinit;

static void preinit(void)
{
    from_preinit = malloc(77);
}
__attribute__((section(".preinit_array"), used)) static void (*const early)(void) = preinit;

__attribute__((constructor(101))) static void construct(void)
{
    from_constructor = calloc(3, 30);
}

__attribute__((destructor(101))) static void destruct(void)
{
    free(from_constructor);
    free(from_preinit);
    void *p = malloc(10);
    CHECK(p);
    free(p);
}

static void at_exit(void)
{
    void *p = realloc(malloc(10), 100000);
    CHECK(p);
    free(p);
}

static void *outlive(void *main_thread)
{
    CHECK(!pthread_join(*(pthread_t *)main_thread, NULL));
    for (size_t i = 0; i < 1000; i++)
        free(malloc(i));
    puts("ok");
    exit(6);
}

int main(void)
{
    static pthread_t self;
    pthread_t thread;
    self = pthread_self();
    CHECK(from_preinit && from_constructor && filled(from_constructor, 90, 0));
    from_preinit = realloc(from_preinit, 7777);
    atexit(at_exit);
    clearenv();
    CHECK(!setenv("A", "B", 1));
    CHECK(!pthread_create(&thread, NULL, outlive, &self));
    pthread_exit(NULL);
}
