// Descriptors are the host's: it closes all of them, opens its own, and finds in its file what it wrote and
// nothing else. (log=none: a snapshot that has just begun when it allows itself no descriptor says so.)
//@ set log=none
#include "check.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static void allocate(void)
{
    for (size_t i = 1; i < 2000; i++) {
        void *p = malloc(i);
        KEEP(p);
        free(p);
    }
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

int main(void)
{
    int output = dup(STDOUT_FILENO);
    int before = open_descriptors();
    allocate();
    printf("descriptors open after allocating: %+d\n", open_descriptors() - before);
    fflush(stdout);
    for (int fd = 0; fd < 256; fd++)
        if (fd != output)
            close(fd);
    char name[] = "/tmp/heaptap-descriptors.XXXXXX";
    int file = mkstemp(name);
    CHECK(file == 0);
    unlink(name);
    allocate();
    CHECK(dup(file) == 1 && dup(file) == 2);
    CHECK(write(file, "mine", 4) == 4);
    allocate();
    struct rlimit none = {.rlim_cur = 0, .rlim_max = 256};
    CHECK(!setrlimit(RLIMIT_NOFILE, &none));
    allocate();
    char content[100];
    CHECK(pread(file, content, sizeof(content), 0) == 4 && !memcmp(content, "mine", 4));
    CHECK(dup2(output, 1) < 0);
    CHECK(write(output, "ok\n", 3) == 3);
    return 5;
}
