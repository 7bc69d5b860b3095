// A job in the background of a terminal that stops whoever writes to it (TOSTOP). It writes nothing; where
// somebody complains on its standard error (of a wrong setting, here), the job is not stopped for it.
//@ set growth=nonsense
//@ says HEAPTAP_GROWTH
//@ skip signals: between exec and a handler the signal ends the program, as it does bare
#include "children.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

static int background_job(void *unused)
{
    (void)unused;
    CHECK(!setpgid(0, 0) && tcgetpgrp(2) != getpgrp());
    execl("/proc/self/exe", "job", "inside", (char *)NULL);
    return 9;
}

// The leader of a session with this terminal, which it keeps to itself.
static int session(void *name)
{
    struct termios settings;
    CHECK(setsid() > 0);
    int terminal = open(name, O_RDWR);
    CHECK(terminal >= 0);
    ioctl(terminal, TIOCSCTTY, 0);
    CHECK(dup2(terminal, 2) == 2 && !tcgetattr(2, &settings));
    settings.c_lflag |= TOSTOP;
    CHECK(!tcsetattr(2, TCSANOW, &settings) && tcgetpgrp(2) == getpgrp());
    pid_t job = fork_into(background_job, NULL);
    int status;
    while (waitpid(job, &status, WUNTRACED) < 0)
        CHECK(errno == EINTR);
    if (WIFSTOPPED(status)) {
        kill(job, SIGKILL);
        return 8;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 9;
}

int main(int argc, char **argv)
{
    (void)argv;
    for (int i = 0; i < 40; i++)
        use_heap();
    if (argc > 1)
        return 5;
    int control = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(control >= 0 && !grantpt(control) && !unlockpt(control));
    expect_exit(fork_into(session, ptsname(control)), 5);
    puts("ok");
    return 0;
}
