// A program that sends the snapshot signal to itself, by whatever call, timer or descriptor, dies of it.
//@ skip signals: it dies of the signal
#include "self.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

static void *wait_for_ever(void *unused)
{
    (void)unused;
    for (;;)
        free(malloc(100));
    return NULL;
}

static void *raise_there(void *unused)
{
    (void)unused;
    raise(SIGUSR2);
    return NULL;
}

static void by_timer(void)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
    CHECK(!timer_create(CLOCK_MONOTONIC, &event, &timer) && !timer_settime(timer, 0, &soon, NULL));
}

static void by_descriptor(void)
{
    int pair[2];
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && !fcntl(pair[0], F_SETSIG, SIGUSR2));
    CHECK(!fcntl(pair[0], F_SETOWN, getpid()) && !fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    CHECK(write(pair[1], "", 1) == 1);
}

static void die(int way)
{
    pthread_t thread;
    union sigval value = {.sival_int = 1};
    sigset_t set;
    switch (way) {
    case 0:
        raise(SIGUSR2);
        break;
    case 1:
        kill(getpid(), SIGUSR2);
        break;
    case 2:
        pthread_kill(pthread_self(), SIGUSR2);
        break;
    case 3:
        syscall(SYS_tgkill, getpid(), gettid(), SIGUSR2);
        break;
    case 4:
        sigqueue(getpid(), SIGUSR2, value);
        break;
    case 5:
        CHECK(!pthread_create(&thread, NULL, wait_for_ever, NULL));
        pthread_kill(thread, SIGUSR2);
        break;
    case 6:
        CHECK(!pthread_create(&thread, NULL, raise_there, NULL));
        break;
    case 7:
        by_timer();
        break;
    case 8:
        by_descriptor();
        break;
    case 9:
        // Blocked when it is sent, and deadly as soon as it is not.
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGUSR2);
        record_some();
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        break;
    default:
        CHECK(0);
    }
    for (;;)
        pause();
}

int main(void)
{
    record_some();
    for (int way = 0; way < 10; way++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            record_some();
            die(way);
        }
        int status = wait_status(child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
    }
    puts("ok");
    fflush(stdout);
    raise(SIGUSR2);
    return 1;
}
