// A host that takes the snapshot signal without a handler: blocked in main, inherited by threads and through
// exec, read by sigwait, sigwaitinfo, sigtimedwait and a signalfd under epoll.
//@ skip signals: it has the signal for itself and counts it
#include "self.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>

static sigset_t set;
static int taken[2]; // a byte for each signal that was taken

static void *wait_for_signals(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) {
        int number = 0;
        siginfo_t info;
        if (i % 2)
            CHECK(!sigwait(&set, &number) && number == SIGUSR2);
        else
            CHECK(sigwaitinfo(&set, &info) == SIGUSR2 && info.si_code == SI_USER && info.si_pid != getpid());
        record_some();
        CHECK(write(taken[1], "", 1) == 1);
    }
    return NULL;
}

// Sends the signal to the parent, each time that the one before has been taken.
static pid_t start_sender(int count)
{
    pid_t parent = getpid(), child = fork();
    CHECK(child >= 0);
    if (child != 0)
        return child;
    for (int i = 0; i < count; i++) {
        char byte;
        CHECK(!kill(parent, SIGUSR2));
        CHECK(read(taken[0], &byte, 1) == 1);
    }
    _exit(0);
}

static void by_descriptor(void)
{
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(descriptor >= 0 && epoll >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event));
    pid_t child = start_sender(20);
    for (int i = 0; i < 20; i++) {
        struct signalfd_siginfo info;
        CHECK(epoll_wait(epoll, &event, 1, 10000) == 1);
        CHECK(read(descriptor, &info, sizeof(info)) == sizeof(info));
        CHECK(info.ssi_signo == SIGUSR2 && info.ssi_pid == (uint32_t)child);
        CHECK(read(descriptor, &info, sizeof(info)) < 0 && errno == EAGAIN);
        record_some();
        CHECK(write(taken[1], "", 1) == 1);
    }
    CHECK(wait_status(child) == 0 && !close(descriptor) && !close(epoll));
}

int main(int count, char **arguments)
{
    sigset_t now;
    struct timespec soon = {.tv_sec = 10}, never = {0};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    record_some();
    if (count > 1) {
        // The second life: blocked and pending since before exec.
        CHECK(!strcmp(arguments[1], "again") && !pthread_sigmask(SIG_BLOCK, NULL, &now));
        CHECK(sigismember(&now, SIGUSR2) && !sigpending(&now) && sigismember(&now, SIGUSR2));
        CHECK(sigtimedwait(&set, NULL, &soon) == SIGUSR2);
        CHECK(sigtimedwait(&set, NULL, &never) < 0 && errno == EAGAIN);
        puts("ok");
        return 0;
    }
    CHECK(!pipe(taken) && !sigprocmask(SIG_BLOCK, &set, NULL));
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, wait_for_signals, NULL));
    pid_t child = start_sender(20);
    CHECK(!pthread_join(thread, NULL) && wait_status(child) == 0);
    by_descriptor();
    raise(SIGUSR2);
    record_some();
    execl(arguments[0], arguments[0], "again", (char *)NULL);
    CHECK(0);
}
