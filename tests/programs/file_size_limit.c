// No file may grow (RLIMIT_FSIZE), with SIGXFSZ ending the program, handled, or blocked and pending: what
// others write raises nothing, and what the program itself writes still raises it.
//@ set log=none
//@ shower tree
#include "children.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

static char name[] = "/tmp/heaptap-file-size.XXXXXX";
static volatile sig_atomic_t arrived;

static void on_signal(int number)
{
    arrived += number == SIGXFSZ;
}

static void limit_to(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0)
        limit.rlim_cur = bytes;
    CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
}

static void work(void)
{
    for (int i = 0; i < 60; i++)
        use_heap();
}

// With the default action one byte too many would end the process.
static int default_action(void *bytes)
{
    limit_to((rlim_t)(uintptr_t)bytes);
    work();
    return 5;
}

static int handled(void *unused)
{
    (void)unused;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGXFSZ, &action, NULL);
    int file = open(name, O_RDWR);
    limit_to(10);
    work();
    CHECK(arrived == 0);
    for (int i = 1; i <= 5; i++) {
        CHECK(pwrite(file, "over the limit", 14, 10) < 0 && errno == EFBIG && arrived == i);
        work();
        CHECK(arrived == i);
    }
    return 5;
}

static int pending(void *unused)
{
    (void)unused;
    sigset_t blocked, waiting;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGXFSZ);
    sigaddset(&blocked, SIGPIPE);
    CHECK(!sigprocmask(SIG_BLOCK, &blocked, NULL));
    work();
    CHECK(!sigpending(&waiting) && !sigismember(&waiting, SIGXFSZ) && !sigismember(&waiting, SIGPIPE));
    int file = open(name, O_RDWR), ends[2];
    CHECK(!pipe(ends) && !close(ends[0]) && write(ends[1], "x", 1) < 0 && errno == EPIPE);
    limit_to(0);
    CHECK(write(file, "x", 1) < 0 && errno == EFBIG);
    work();
    CHECK(!sigpending(&waiting) && sigismember(&waiting, SIGXFSZ) && sigismember(&waiting, SIGPIPE));
    int number = 0;
    CHECK(!sigwait(&blocked, &number) && !sigwait(&blocked, &number));
    return 5;
}

int main(void)
{
    int file = mkstemp(name);
    CHECK(file >= 0);
    expect_exit(fork_into(default_action, (void *)0), 5);
    expect_exit(fork_into(default_action, (void *)300), 5);
    work();
    expect_exit(fork_into(default_action, (void *)0), 5);
    expect_exit(fork_into(handled, NULL), 5);
    expect_exit(fork_into(pending, NULL), 5);
    CHECK(lseek(file, 0, SEEK_END) == 0 && !unlink(name));
    puts("ok");
    fflush(stdout);
    limit_to(0);
    work();
    return 0;
}
