// malloc is no cancellation point, and a longjmp or a cancelled thread leaves the recorder usable.
#include "check.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

static jmp_buf again;
static sigjmp_buf out;
static volatile int armed = 1;

static void *allocate_then_test(void *ret_reached)
{
    // A cancellation is pending; nothing below may act on it before pthread_testcancel.
    pthread_cancel(pthread_self());
    for (size_t i = 1; i < 3000; i++) {
        void *p = malloc(i * 3);
        KEEP(p);
        free(p);
    }
    *(int *)ret_reached = 1;
    pthread_testcancel();
    *(int *)ret_reached = 2;
    return NULL;
}

static void jump(int levels)
{
    void *p = malloc(50);
    free(p);
    if (levels)
        jump(levels - 1);
    else if (armed)
        longjmp(again, 1);
    KEEP(p);
}

static void on_signal(int number)
{
    (void)number;
    siglongjmp(out, 1);
}

int main(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        void *result;
        int reached = 0;
        CHECK(!pthread_create(&thread, NULL, allocate_then_test, &reached));
        pthread_join(thread, &result);
        CHECK(reached == 1 && result == PTHREAD_CANCELED);
    }
    for (volatile int i = 0; i < 100; i++)
        if (!setjmp(again))
            jump(10);
    signal(SIGALRM, on_signal);
    if (!sigsetjmp(out, 1))
        raise(SIGALRM);
    for (size_t i = 0; i < 100; i++)
        free(malloc(i));
    puts("ok");
    return 0;
}
