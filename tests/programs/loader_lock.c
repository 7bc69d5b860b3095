// One thread is inside dlopen, dlclose or dl_iterate_phdr and waits there for another one that allocates:
// from functions that were never seen before, in a thread that is new, and through a library that is.
//@ ldflags -rdynamic
#include "self.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>

void wait_for_allocations(void);

static sem_t wanted, done;
static void *(*through_library)(size_t);

// 64 functions, so that each round allocates with return addresses that are new.
#define FUNCTION(n)                                                                                          \
    static void *allocate_##n(size_t size)                                                                   \
    {                                                                                                        \
        void *p = malloc(size + n);                                                                          \
        KEEP(p);                                                                                             \
        return p;                                                                                            \
    }
#define EIGHT(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7)
#define NAME(n)     allocate_##n,
EIGHT(FUNCTION, 1)
EIGHT(FUNCTION, 2)
EIGHT(FUNCTION, 3)
EIGHT(FUNCTION, 4)
EIGHT(FUNCTION, 5)
EIGHT(FUNCTION, 6)
EIGHT(FUNCTION, 7)
static void *(*const functions[])(size_t) = {EIGHT(NAME, 1) EIGHT(NAME, 2) EIGHT(NAME, 3) EIGHT(NAME, 4)
                                                 EIGHT(NAME, 5) EIGHT(NAME, 6) EIGHT(NAME, 7)};
#define FUNCTIONS (sizeof(functions) / sizeof(*functions))

static size_t next_function;

static void allocate_anew(void)
{
    for (int i = 0; i < 5; i++) {
        void *p = functions[next_function++ % FUNCTIONS](4 << 20);
        CHECK(p);
        free(p);
    }
    void *p = through_library(3 << 20);
    CHECK(p);
    free(p);
}

static void *allocate_in_new_thread(void *unused)
{
    allocate_anew();
    return unused;
}

static void *serve(void *unused)
{
    (void)unused;
    for (;;) {
        while (sem_wait(&wanted))
            CHECK(errno == EINTR);
        allocate_anew();
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, allocate_in_new_thread, NULL));
        pthread_join(thread, NULL);
        sem_post(&done);
    }
}

// Called with the loader's lock held.
void wait_for_allocations(void)
{
    sem_post(&wanted);
    while (sem_wait(&done))
        CHECK(errno == EINTR);
}

static int visit(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)info;
    (void)size;
    wait_for_allocations();
    return ++*(int *)data == 2;
}

int main(void)
{
    pthread_t thread;
    CHECK(!sem_init(&wanted, 0, 0) && !sem_init(&done, 0, 0));
    void *place = dlopen(beside("libplace_a.so"), RTLD_NOW);
    CHECK(place);
    through_library = (void *(*)(size_t))dlsym(place, "place_make");
    CHECK(through_library && !pthread_create(&thread, NULL, serve, NULL));
    for (int i = 0; i < 5; i++) {
        int visited = 0;
        void *handle = dlopen(beside("libwaits.so"), RTLD_NOW);
        CHECK(handle && !dlclose(handle));
        dl_iterate_phdr(visit, &visited);
        CHECK(visited == 2);
    }
    puts("ok");
    return 0;
}
