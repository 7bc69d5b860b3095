// longjmp over frames that allocated, out of libc's callbacks, between coroutines' frames, out of handlers
// and of atexit.
#include "check.h"

#include <search.h>
#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

static jmp_buf again;
static sigjmp_buf out;
static volatile int armed;

static void allocate(size_t n)
{
    char *p = malloc(n * 7 % 1000 + 1);
    CHECK(p);
    *p = 1;
    p = realloc(p, n * 11 % 2000 + 1);
    CHECK(p);
    free(p);
}

__attribute__((noinline)) static void jump_below(unsigned levels)
{
    allocate(levels);
    if (levels)
        jump_below(levels - 1);
    else if (armed)
        longjmp(again, 1);
    allocate(levels);
}

// The sixtieth comparison leaves the sort, in which libc holds a block of its own.
static int compare(const void *a, const void *b)
{
    static int calls;
    allocate(40);
    if (armed && ++calls % 60 == 0)
        longjmp(again, 1);
    return *(const int *)a - *(const int *)b;
}

static void visit(const void *node, VISIT which, int depth)
{
    (void)node;
    (void)which;
    allocate((size_t)depth);
    if (depth == 3)
        longjmp(again, 1);
}

static void callbacks(void)
{
    static int numbers[3000];
    static void *root;
    for (volatile int i = 0; i < 20; i++) {
        for (int j = 0; j < 3000; j++)
            numbers[j] = j * 7919 % 3000;
        if (!setjmp(again)) {
            qsort(numbers, 3000, sizeof(*numbers), compare);
            CHECK(0);
        }
    }
    armed = 0;
    qsort(numbers, 3000, sizeof(*numbers), compare);
    for (int i = 0; i < 3000; i++)
        CHECK(numbers[i] == i);
    for (int i = 0; i < 200; i++)
        tsearch(&numbers[i * 17 % 200], &root, compare);
    for (volatile int i = 0; i < 20; i++)
        if (!setjmp(again)) {
            twalk(root, visit);
            CHECK(0);
        }
    for (int i = 0; i < 200; i++)
        tdelete(&numbers[i], &root, compare);
    armed = 1;
}

static void on_signal(int number)
{
    allocate((size_t)number);
    siglongjmp(out, number);
}

static void signals(void)
{
    for (volatile int i = 0; i < 50; i++) {
        volatile int number = i % 2 ? SIGUSR1 : SIGALRM;
        int left = sigsetjmp(out, 1);
        if (!left) {
            jump_below(5);
            raise(number);
            CHECK(0);
        }
        CHECK(left == number);
    }
}

static void from_exit(void)
{
    puts("ok");
    fflush(stdout);
    for (volatile int i = 0; i < 10; i++)
        if (!setjmp(again)) {
            armed = 1;
            jump_below(20);
        }
}

int main(void)
{
    atexit(from_exit);
    signal(SIGUSR1, on_signal);
    signal(SIGALRM, on_signal);
    for (volatile unsigned i = 0; i < 300; i++) {
        armed = 1;
        if (!setjmp(again)) {
            jump_below(i % 60);
            CHECK(0);
        }
    }
    callbacks();
    armed = 0;
    signals();
    return 0;
}
