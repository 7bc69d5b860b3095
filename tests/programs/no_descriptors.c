// Not one descriptor can be opened: the limit is 0 before anything was allocated, and 3 with the standard
// files open.
//@ set log=none
#include "children.h"

#include <fcntl.h>
#include <sys/resource.h>

static int limited(void *most)
{
    struct rlimit limit = {(rlim_t)(uintptr_t)most, 1024};
    CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
    for (int i = 0; i < 60; i++)
        use_heap();
    errno = 0;
    CHECK(open("/dev/null", O_RDONLY) < 0 && errno == EMFILE);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        use_heap();
        exit(3);
    }
    expect_exit(child, 3);
    return 3;
}

int main(void)
{
    expect_exit(fork_into(limited, (void *)0), 3);
    expect_exit(fork_into(limited, (void *)3), 3);
    for (int i = 0; i < 20; i++)
        use_heap();
    expect_exit(fork_into(limited, (void *)0), 3);
    puts("ok");
    fflush(stdout);
    return limited((void *)0) - 3;
}
