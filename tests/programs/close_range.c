// A daemon that closes every descriptor with close_range, opens its own log, socket and pipe under the same
// low numbers, forks twice, and finds in them what it wrote and nothing else.
//@ shower tree
#include "children.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static void close_all(unsigned from)
{
    if (syscall(SYS_close_range, from, ~0u, 0) == 0)
        return;
    for (unsigned fd = from; fd < 1024; fd++)
        close((int)fd);
}

static int daemon_life(void *path)
{
    for (int round = 0; round < 10; round++) {
        use_heap();
        close_all(0);
        int log = open(path, O_RDWR | O_CREAT | O_APPEND, 0600), ends[2];
        CHECK(log == 0 && dup(log) == 1 && dup(log) == 2);
        CHECK(!pipe2(ends, O_NONBLOCK) && ends[0] == 3 && ends[1] == 4);
        CHECK(write(log, "x", 1) == 1);
        for (int i = 0; i < 10; i++)
            use_heap();
        char content[100];
        CHECK(read(ends[0], content, 1) < 0 && errno == EAGAIN);
        CHECK(pread(log, content, sizeof content, 0) == round + 1);
        CHECK(fcntl(5, F_GETFD) < 0 && errno == EBADF);
    }
    return 4;
}

int main(void)
{
    char folder[] = "/tmp/heaptap-close-range.XXXXXX", path[64];
    struct stat log;
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    use_heap();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(setsid() > 0);
        exit(WEXITSTATUS(wait_status(fork_into(daemon_life, path))));
    }
    expect_exit(child, 4);
    CHECK(!stat(path, &log) && log.st_size == 10);
    CHECK(!unlink(path) && !rmdir(folder));
    // Inherited by nobody, and closed only at the next exec.
    syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
    use_heap();
    puts("ok");
    return 0;
}
