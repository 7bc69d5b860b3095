// Every descriptor number is taken by something of the host's (pipes, sockets, files, epoll), none is left
// for anybody else; nothing is ever written into them, neither while the program runs nor when it ends.
//@ shower tree
#include "children.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define MOST 48

static struct stat before[MOST];

static void take_numbers(int pipe_end, int socket_end, int file, int output)
{
    for (int fd = 0; fd < MOST; fd++) {
        if (fd == pipe_end || fd == socket_end || fd == file || fd == output)
            continue;
        if (fd % 4 == 3) {
            close(fd);
            CHECK(epoll_create1(0) == fd);
        } else {
            CHECK(dup2(fd % 4 == 0 ? pipe_end : fd % 4 == 1 ? socket_end : file, fd) == fd);
        }
    }
    for (int fd = 0; fd < MOST; fd++)
        CHECK(!fstat(fd, &before[fd]));
}

static int child(void *unused)
{
    (void)unused;
    for (int i = 0; i < 60; i++)
        use_heap();
    CHECK(open("/dev/null", O_RDONLY) < 0 && errno == EMFILE);
    for (int fd = 0; fd < MOST; fd++) {
        struct stat now;
        CHECK(!fstat(fd, &now) && now.st_ino == before[fd].st_ino && now.st_dev == before[fd].st_dev);
    }
    return 8; // exit handlers, and whatever else ends a process, come after this
}

int main(void)
{
    char name[] = "/tmp/heaptap-descriptors.XXXXXX";
    int ends[2], sockets[2];
    struct rlimit few = {MOST, MOST};
    CHECK(!setrlimit(RLIMIT_NOFILE, &few));
    int output = dup(STDOUT_FILENO);
    int file = mkstemp(name);
    CHECK(output >= 0 && file >= 0 && !unlink(name));
    CHECK(!pipe2(ends, O_NONBLOCK) && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets));
    use_heap();
    pid_t forked = fork();
    CHECK(forked >= 0);
    if (forked == 0) {
        close(ends[0]);
        close(sockets[0]);
        take_numbers(ends[1], sockets[1], file, output);
        exit(child(NULL));
    }
    expect_exit(forked, 8);
    char byte;
    CHECK(read(ends[0], &byte, 1) < 0 && errno == EAGAIN);
    CHECK(read(sockets[0], &byte, 1) < 0 && errno == EAGAIN);
    CHECK(lseek(file, 0, SEEK_END) == 0);
    puts("ok");
    return 0;
}
