// Signals that every thread of the host blocks stay pending until the host takes them: no thread of ours ever
// runs one of its handlers.
//@ set interval=10ms
#include "self.h"

#include <signal.h>
#include <time.h>

static const int numbers[] = {SIGUSR1, SIGALRM, SIGCHLD, SIGTERM, SIGPROF};
#define COUNT (sizeof(numbers) / sizeof(numbers[0]))

static volatile sig_atomic_t handled;

static void on_signal(int number)
{
    (void)number;
    handled++;
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(!sigaction(numbers[i], &action, NULL));
        sigaddset(&blocked, numbers[i]);
    }
    CHECK(!sigprocmask(SIG_BLOCK, &blocked, NULL));
    for (int round = 0; round < 5; round++) {
        // To the process, not to this thread: any thread that does not block them would get them.
        for (size_t i = 0; i < COUNT; i++)
            CHECK(!kill(getpid(), numbers[i]));
        for (int i = 0; i < 10; i++) {
            record_some();
            usleep(4000);
        }
        CHECK(handled == 0);
        const struct timespec at_once = {0, 0};
        for (size_t i = 0; i < COUNT; i++)
            CHECK(sigtimedwait(&blocked, NULL, &at_once) > 0);
        CHECK(sigtimedwait(&blocked, NULL, &at_once) < 0);
    }
    puts("ok");
    return 0;
}
