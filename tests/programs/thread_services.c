// Services of libc that hosts use beside malloc: the main thread's stack by pthread_getattr_np, robust
// mutexes whose owner dies, names of threads, thread-local destructors, and stacks of the host's own.
#include "self.h"

#include <pthread.h>
#include <sys/mman.h>

static pthread_mutex_t robust;
static pthread_key_t key;
static volatile int destroyed;

static void on_stack_of_main(void)
{
    pthread_attr_t attributes;
    void *start;
    size_t size;
    CHECK(!pthread_getattr_np(pthread_self(), &attributes) &&
          !pthread_attr_getstack(&attributes, &start, &size));
    char here = 0;
    CHECK(&here > (char *)start && &here < (char *)start + size);
    pthread_attr_destroy(&attributes);
    // All that is left of a stack belongs to the host, down to its end.
    CHECK(size >= 1 << 20);
}

static void *die_with_lock(void *unused)
{
    CHECK(!pthread_mutex_lock(&robust));
    record_some();
    return unused;
}

static void destroy(void *block)
{
    destroyed++;
    free(block);
    if (destroyed % 4)
        pthread_setspecific(key, malloc(50));
}

static void *with_name(void *stack)
{
    char name[16];
    CHECK(!pthread_setname_np(pthread_self(), "a-host's-thread"));
    record_some();
    CHECK(!pthread_getname_np(pthread_self(), name, sizeof(name)) && !strcmp(name, "a-host's-thread"));
    if (stack)
        CHECK(name > (char *)stack && name < (char *)stack + 65536);
    CHECK(!pthread_setspecific(key, malloc(100)));
    return NULL;
}

int main(void)
{
    pthread_t thread;
    pthread_mutexattr_t attributes;
    record_some();
    on_stack_of_main();
    CHECK(!pthread_key_create(&key, destroy) && !pthread_mutexattr_init(&attributes));
    CHECK(!pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
    CHECK(!pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED));
    CHECK(!pthread_mutex_init(&robust, &attributes));
    for (int i = 0; i < 10; i++) {
        CHECK(!pthread_create(&thread, NULL, die_with_lock, NULL) && !pthread_join(thread, NULL));
        CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD && !pthread_mutex_consistent(&robust));
        CHECK(!pthread_mutex_unlock(&robust));
    }
    pthread_attr_t own_stack;
    void *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    CHECK(stack != MAP_FAILED && !pthread_attr_init(&own_stack));
    CHECK(!pthread_attr_setstack(&own_stack, stack, 65536));
    for (int i = 0; i < 10; i++) {
        CHECK(!pthread_create(&thread, i % 2 ? &own_stack : NULL, with_name, i % 2 ? stack : NULL));
        CHECK(!pthread_join(thread, NULL));
    }
    CHECK(destroyed == 40);
    puts("ok");
    return 0;
}
