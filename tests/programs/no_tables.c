// A program without unwind tables and without frame pointers: callbacks, threads, recursion and exits all
// allocate.
//@ cflags -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer -O2
//@ ldflags -Wl,--no-eh-frame-hdr -Wl,--no-ld-generated-unwind-info
#include "check.h"

#include <pthread.h>
#include <search.h>
#include <signal.h>

static volatile int handled;

__attribute__((noinline)) static size_t recurse(size_t levels, size_t salt)
{
    char *p = malloc(levels * 3 + salt);
    CHECK(p);
    p[0] = (char)salt;
    size_t below = levels ? recurse(levels - 1, salt * 31 % 1000 + 1) : 0;
    free(p);
    return below + 1;
}

static int compare(const void *a, const void *b)
{
    char *p = malloc(33);
    CHECK(p);
    KEEP(p);
    free(p);
    return *(const int *)a - *(const int *)b;
}

static void on_signal(int number)
{
    (void)number;
    handled += recurse(10, 5) == 11;
}

static void *work(void *argument)
{
    int numbers[300];
    for (int i = 0; i < 300; i++)
        numbers[i] = i * 7919 % 300;
    qsort(numbers, 300, sizeof(*numbers), compare);
    for (int i = 0; i < 300; i++)
        CHECK(numbers[i] == i);
    CHECK(recurse(100, 1) == 101);
    return argument;
}

static void at_exit(void)
{
    CHECK(recurse(20, 3) == 21);
}

int main(void)
{
    pthread_t threads[4];
    atexit(at_exit);
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < 4; i++)
        CHECK(!pthread_create(&threads[i], NULL, work, NULL));
    work(NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 10; i++)
        CHECK(!raise(SIGUSR1) && handled == i + 1);
    puts("ok");
    return 0;
}
