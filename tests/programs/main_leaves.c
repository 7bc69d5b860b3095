// The main thread leaves by pthread_exit; others go on, start more, and the last one's return is the end,
// with status 0.
#include "check.h"

#include <pthread.h>
#include <unistd.h>

static int running = 9;
static void *passed;

static void allocate(size_t n)
{
    void *blocks[50];
    for (size_t i = 0; i < 50; i++)
        CHECK((blocks[i] = malloc(i * n + 1)));
    for (size_t i = 0; i < 50; i++)
        free(blocks[i]);
}

static void at_exit(void)
{
    allocate(3);
    free(passed);
    CHECK(running == 0);
    puts("ok");
}

static void *work(void *argument)
{
    size_t index = (size_t)(uintptr_t)argument;
    for (size_t i = 0; i < 5 + index; i++) {
        allocate(index);
        usleep(3000);
    }
    if (index < 6) {
        // A thread that starts another and leaves before it.
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, work, (void *)(index + 3)));
        CHECK(!pthread_detach(thread));
    } else {
        free(__atomic_exchange_n(&passed, malloc(100 + index), __ATOMIC_ACQ_REL));
    }
    __atomic_sub_fetch(&running, 1, __ATOMIC_ACQ_REL);
    return NULL;
}

int main(void)
{
    atexit(at_exit);
    allocate(1);
    for (uintptr_t i = 0; i < 3; i++) {
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, work, (void *)i));
        CHECK(!pthread_detach(thread));
    }
    passed = malloc(50);
    pthread_exit(NULL);
}
