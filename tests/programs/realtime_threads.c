// Threads of fixed priority and idle ones on one processor: nobody waits for a thread that cannot run. And a
// thread with a deadline, which may not make new ones: clone is refused.
//@ root: fixed priorities
#include "self.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define DEADLINE_POLICY 6

static atomic_int stop;

static void churn(void)
{
    void *p[50];
    for (size_t i = 0; i < 50; i++)
        CHECK((p[i] = malloc(100 + i)));
    for (size_t i = 0; i < 50; i++)
        free(p[i]);
}

static void *low(void *unused)
{
    struct sched_param none = {0};
    CHECK(!pthread_setschedparam(pthread_self(), SCHED_IDLE, &none));
    while (!stop)
        churn();
    return unused;
}

static void *high(void *unused)
{
    struct sched_param ten = {.sched_priority = 10};
    CHECK(!pthread_setschedparam(pthread_self(), SCHED_FIFO, &ten));
    for (int i = 0; i < 100; i++) {
        churn();
        usleep(1000);
    }
    return unused;
}

static int with_deadline(void *unused)
{
    (void)unused;
    // struct sched_attr: 2 of each 10 ms.
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
    } wanted = {48, DEADLINE_POLICY, 0, 0, 0, 2000000, 10000000, 10000000};
    syscall(SYS_sched_setattr, 0, &wanted, 0); // where it is refused, the rest goes without
    for (int i = 0; i < 50; i++) {
        churn();
        usleep(1000);
    }
    record_some();
    return 3;
}

int main(void)
{
    struct sched_param ten = {.sched_priority = 10}, none = {0};
    if (sched_setscheduler(0, SCHED_FIFO, &ten)) {
        printf("no fixed priority can be had (errno %d)\n", errno); // some control groups refuse them
        return 77;
    }
    CHECK(!sched_setscheduler(0, SCHED_OTHER, &none));
    expect_exit(fork_into(with_deadline, NULL), 3);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    CHECK(!sched_setaffinity(0, sizeof(one), &one));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(!pthread_create(&threads[i], NULL, i < 2 ? low : high, NULL));
    pthread_join(threads[2], NULL);
    pthread_join(threads[3], NULL);
    stop = 1;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    puts("ok");
    return 0;
}
