// A host that holds record locks (fcntl) on its own executable and on its libraries: such a lock is gone when
// its process closes any descriptor of that file, so nobody else may have opened one in the host's table.
#include "self.h"

#include <fcntl.h>

static int lock(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct flock all = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    CHECK(fd >= 0 && !fcntl(fd, F_SETLK, &all));
    return fd;
}

// Seen from another process, for one's own locks are never in one's way.
static int look(void *argument)
{
    const char *const *paths = argument;
    for (; *paths; paths++) {
        int fd = open(*paths, O_RDONLY | O_CLOEXEC);
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        CHECK(fd >= 0 && !fcntl(fd, F_GETLK, &all));
        CHECK(all.l_type == F_RDLCK && all.l_pid == getppid());
        close(fd);
    }
    return 4;
}

int main(void)
{
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    CHECK(length > 0);
    program[length] = '\0';
    const char *locked[] = {program, "/lib/x86_64-linux-gnu/libc.so.6", NULL};
    if (access(locked[1], R_OK))
        locked[1] = NULL;
    for (int i = 0; locked[i]; i++)
        lock(locked[i]);
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < 100; k++)
            use_heap();
        record_some();
        expect_exit(fork_into(look, locked), 4);
        usleep(10000);
    }
    puts("ok");
    return 0;
}
