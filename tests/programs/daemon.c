// A daemon's start: fork, setsid, another root-less working directory that is removed, dropped privileges, no
// standard files.
#include "check.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void allocate(void)
{
    for (size_t i = 1; i < 1000; i++) {
        void *p = malloc(i * 5);
        KEEP(p);
        free(p);
    }
}

int main(void)
{
    char folder[] = "/tmp/heaptap-daemon.XXXXXX";
    int report[2];
    allocate();
    CHECK(mkdtemp(folder) && !chdir(folder) && !rmdir(folder) && !pipe(report));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        setsid();
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        allocate();
        if (geteuid() == 0)
            CHECK(!setgroups(0, NULL) && !setgid(65534) && !setuid(65534));
        allocate();
        umask(077);
        if (fork() == 0) {
            allocate();
            // Whatever is opened now gets 0, 1, 2: they must be free.
            int lowest = open("/dev/null", O_RDWR);
            CHECK(write(report[1], lowest == 0 ? "y" : "n", 1) == 1);
            exit(0);
        }
        exit(0);
    }
    close(report[1]);
    char answer = 0;
    ssize_t n;
    while ((n = read(report[0], &answer, 1)) < 0)
        CHECK(errno == EINTR);
    CHECK(n == 1 && answer == 'y');
    while (waitpid(child, NULL, 0) < 0)
        CHECK(errno == EINTR);
    puts("ok");
    return 0;
}
