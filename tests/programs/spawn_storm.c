// Starting programs from several threads at once: posix_spawn with attributes and file actions, system,
// popen.
#include "children.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>

extern char **environ;

static volatile int stop;

static void *allocate(void *unused)
{
    while (!stop)
        use_heap();
    return unused;
}

static void spawn_one(int status)
{
    char text[16];
    char *arguments[] = {(char *)"spawned", text, NULL};
    int ends[2], answer = 0;
    snprintf(text, sizeof text, "%d", status);
    CHECK(!pipe2(ends, O_CLOEXEC));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    CHECK(!posix_spawn_file_actions_init(&actions) && !posix_spawnattr_init(&attributes));
    CHECK(!posix_spawn_file_actions_adddup2(&actions, ends[1], 5));
    CHECK(!posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0));
    CHECK(!posix_spawnattr_setsigmask(&attributes, &none));
    CHECK(!posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP));
    pid_t child;
    CHECK(!posix_spawn(&child, "/proc/self/exe", &actions, &attributes, arguments, environ));
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    ssize_t n;
    while ((n = read(ends[0], &answer, sizeof answer)) < 0)
        CHECK(errno == EINTR);
    CHECK(n == sizeof answer && answer == status);
    expect_exit(child, status);
    while ((n = read(ends[0], &answer, sizeof answer)) < 0)
        CHECK(errno == EINTR);
    CHECK(n == 0); // nobody else holds the other end
    close(ends[0]);
}

static void *start_programs(void *unused)
{
    for (int i = 0; i < 4; i++) {
        char line[64] = "";
        spawn_one(50 + i);
        CHECK(WEXITSTATUS(system("exit 12")) == 12);
        FILE *pipe = popen("echo from the shell", "r");
        CHECK(pipe && fgets(line, sizeof line, pipe) && !strcmp(line, "from the shell\n"));
        CHECK(pclose(pipe) == 0);
    }
    return unused;
}

int main(int argc, char **argv)
{
    use_heap();
    if (argc > 1) {
        int status = atoi(argv[1]);
        CHECK(write(5, &status, sizeof status) == sizeof status);
        return status;
    }
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        CHECK(!pthread_create(&threads[i], NULL, i < 2 ? start_programs : allocate, NULL));
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    stop = 1;
    pthread_join(threads[2], NULL);
    puts("ok");
    return 0;
}
