// The host's own handler for the snapshot signal, installed in four ways: each signal of a child's flood and
// of its own arrives there, with what came with it, and nowhere else.
//@ skip signals: it has the signal for itself and counts it
#include "self.h"

#include <signal.h>

#define FLOOD 60

static volatile int seen, from_child, value_sum;
static int acknowledge[2];
static pid_t sender;

static void acknowledged(void)
{
    seen++;
    CHECK(write(acknowledge[1], "", 1) == 1);
}

static void plain(int number)
{
    CHECK(number == SIGUSR2);
    acknowledged();
}

static void once(int number)
{
    // SA_RESETHAND: the default is back already; the handler installs itself again, as in System V.
    struct sigaction now, again = {.sa_handler = once, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    CHECK(!sigaction(number, NULL, &now) && now.sa_handler == SIG_DFL);
    CHECK(!sigaction(number, &again, NULL));
    acknowledged();
}

static void informed(int number, siginfo_t *info, void *context)
{
    CHECK(number == SIGUSR2 && info->si_signo == SIGUSR2 && context);
    if (info->si_pid == sender) {
        CHECK(info->si_code == SI_QUEUE || info->si_code == SI_USER);
        from_child++;
        value_sum += info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
    }
    acknowledged();
}

// A child sends one signal after the other, each when the one before has been handled.
static void flood(void)
{
    seen = from_child = value_sum = 0;
    int go[2];
    CHECK(!pipe(go) && !pipe(acknowledge));
    pid_t parent = getpid();
    sender = fork();
    CHECK(sender >= 0);
    if (sender == 0) {
        char byte;
        while (read(go[0], &byte, 1) != 1)
            ;
        for (int i = 0; i < FLOOD; i++) {
            union sigval value = {.sival_int = i};
            CHECK(i % 2 ? !sigqueue(parent, SIGUSR2, value) : !kill(parent, SIGUSR2));
            while (read(acknowledge[0], &byte, 1) != 1)
                CHECK(errno == EINTR);
        }
        _exit(0);
    }
    CHECK(write(go[1], "", 1) == 1);
    int status;
    for (pid_t done = 0; done != sender;) {
        free(malloc((size_t)seen * 100));
        done = waitpid(sender, &status, WNOHANG);
        CHECK(done >= 0 || errno == EINTR);
    }
    CHECK(status == 0 && seen == FLOOD);
    for (int fd = 0; fd < 2; fd++)
        CHECK(!close(go[fd]));
    for (int i = 0; i < 20; i++)
        CHECK(!(i % 2 ? raise(SIGUSR2) : kill(getpid(), SIGUSR2)));
    CHECK(seen == FLOOD + 20);
    for (int fd = 0; fd < 2; fd++)
        CHECK(!close(acknowledge[fd]));
}

int main(void)
{
    record_some();
    CHECK(signal(SIGUSR2, plain) != SIG_ERR);
    flood();
    struct sigaction action = {.sa_handler = plain, .sa_flags = SA_RESTART};
    CHECK(!sigaction(SIGUSR2, &action, NULL));
    flood();
    action = (struct sigaction){.sa_sigaction = informed, .sa_flags = SA_SIGINFO};
    CHECK(!sigaction(SIGUSR2, &action, NULL));
    flood();
    CHECK(from_child == FLOOD && value_sum == FLOOD / 2 * (FLOOD / 2));
    action = (struct sigaction){.sa_handler = once, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    CHECK(!sigaction(SIGUSR2, &action, NULL));
    flood();
    record_some();
    puts("ok");
    return 0;
}
