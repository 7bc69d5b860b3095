// Standard error is a pipe that is full and that nobody reads: whoever has something to complain about (a
// wrong setting, here) does without.
//@ set growth=nonsense
//@ says HEAPTAP_GROWTH
//@ skip signals: between exec and a handler the signal ends the program, as it does bare
#include "children.h"

#include <fcntl.h>

static int silent(void *unused)
{
    char page[4096] = {0};
    int ends[2];
    (void)unused;
    alarm(10); // instead of waiting for ever; holds on through exec
    CHECK(!pipe(ends) && !fcntl(ends[1], F_SETFL, O_NONBLOCK));
    while (write(ends[1], page, sizeof page) > 0 || write(ends[1], page, 1) > 0)
        ;
    CHECK(errno == EAGAIN && !fcntl(ends[1], F_SETFL, 0) && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    execl("/proc/self/exe", "silent", "inside", (char *)NULL);
    return 9;
}

int main(int argc, char **argv)
{
    (void)argv;
    for (int i = 0; i < 40; i++)
        use_heap();
    if (argc > 1)
        return 5;
    expect_exit(fork_into(silent, NULL), 5);
    puts("ok");
    return 0;
}
