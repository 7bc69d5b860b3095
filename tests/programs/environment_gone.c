// The environment belongs to the host: cleared, replaced, freed, overwritten where it stood (as setproctitle
// does), and empty for the programs that are started.
//@ skip signals: between exec and a handler the signal ends the program, as it does bare
#include "children.h"

extern char **environ;

static int emptied(void *self)
{
    char *arguments[] = {(char *)"again", (char *)"again", NULL}, *nothing[] = {NULL};
    execve(self, arguments, nothing);
    return 9;
}

static int null_environment(void *unused)
{
    (void)unused;
    environ = NULL;
    use_heap();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        use_heap();
        exit(4);
    }
    expect_exit(child, 4);
    return 4;
}

static int overwritten(void *start)
{
    char *limit = start;
    for (char **one = environ; *one; one++)
        limit = *one + strlen(*one) + 1;
    use_heap();
    memset(start, 'x', (size_t)(limit - (char *)start) - 1);
    environ = NULL;
    use_heap();
    return 4;
}

int main(int argc, char **argv)
{
    use_heap();
    if (argc > 1)
        return !environ || !*environ ? 3 : 9;
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    self[length] = '\0';
    expect_exit(fork_into(emptied, self), 3);
    expect_exit(fork_into(null_environment, NULL), 4);
    expect_exit(fork_into(overwritten, argv[0]), 4);
    char *owned = strdup("HEAPTAP_RATE=nonsense");
    CHECK(owned && !putenv(owned));
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "NAME_%d", i);
        CHECK(!setenv(name, "a value of some length", 1));
    }
    use_heap();
    unsetenv("HEAPTAP_RATE");
    fill(owned, 21, 'y');
    free(owned);
    expect_exit(fork_into(null_environment, NULL), 4);
    CHECK(!clearenv());
    use_heap();
    CHECK(!environ || !*environ);
    CHECK(!setenv("A", "b", 1) && environ[0] && !environ[1]);
    use_heap();
    puts("ok");
    return 0;
}
