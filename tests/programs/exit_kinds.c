// A process that ends in each of the ways there are leaves the status that it would leave without us.
//@ ldflags -rdynamic
#include "self.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>

static const char *program;

static void quick(void)
{
    void *p = malloc(50000);
    CHECK(p && write(STDOUT_FILENO, "q", 1) == 1);
    free(p);
}

static void exit_again(void)
{
    record_some();
    exit(21);
}

static void exit_in_handler(int number)
{
    exit(number == SIGUSR1 ? 22 : 1);
}

static void repair_in_handler(int number)
{
    _exit(number == SIGSEGV ? 23 : 1);
}

static void *exit_in_thread(void *unused)
{
    (void)unused;
    record_some();
    exit(24);
}

static void *leave_thread(void *main_thread)
{
    CHECK(!pthread_join(*(pthread_t *)main_thread, NULL));
    record_some();
    return NULL;
}

// Called by the constructor of libwaits, and by its destructor.
void wait_for_allocations(void);
void wait_for_allocations(void)
{
    static int calls;
    record_some();
    if (calls++ == 0)
        exit(26);
}

static int *volatile nowhere;

static int end(int kind)
{
    static pthread_t self;
    pthread_t thread;
    self = pthread_self();
    record_some();
    switch (kind) {
    case 0:
        return 10;
    case 1:
        exit(11);
    case 2:
        _exit(12);
    case 3:
        _Exit(13);
    case 4:
        CHECK(!at_quick_exit(quick));
        quick_exit(14);
    case 5:
        abort();
    case 6:
        *nowhere = 1;
        break;
    case 7:
        signal(SIGSEGV, repair_in_handler);
        *nowhere = 1;
        break;
    case 8:
        raise(SIGKILL);
        break;
    case 9:
        atexit(exit_again);
        exit(1);
    case 10:
        signal(SIGUSR1, exit_in_handler);
        raise(SIGUSR1);
        break;
    case 11:
        CHECK(!pthread_create(&thread, NULL, exit_in_thread, NULL));
        pthread_join(thread, NULL);
        break;
    case 12:
        execl("/bin/sh", "sh", "-c", "exit 25", (char *)NULL);
        break;
    case 13:
        execl(program, program, "0", (char *)NULL);
        break;
    case 14:
        // The last thread's return ends the process with 0.
        CHECK(!pthread_create(&thread, NULL, leave_thread, &self));
        pthread_exit((void *)(uintptr_t)1);
    case 15:
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
        break;
    case 16:
        __builtin_trap();
    case 17:
        dlopen(beside("libwaits.so"), RTLD_NOW);
        break;
    }
    return 1;
}

static int wanted(int kind)
{
    // Exit statuses, and signals as negative numbers.
    static const int statuses[] = {10, 11, 12, 13, 14, -SIGABRT, -SIGSEGV, 23,      -SIGKILL,
                                   21, 22, 24, 25, 10, 0,        -SIGPIPE, -SIGILL, 26};
    return kind < (int)(sizeof(statuses) / sizeof(*statuses)) ? statuses[kind] : 1000;
}

int main(int count, char **arguments)
{
    program = arguments[0];
    if (count > 1)
        return end(atoi(arguments[1]));
    no_core();
    for (int kind = 0; wanted(kind) != 1000; kind++) {
        fflush(stdout);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            char word[16];
            snprintf(word, sizeof(word), "%d", kind);
            execl(program, program, word, (char *)NULL);
            _exit(1);
        }
        int status = wait_status(child);
        printf("%d: %d\n", kind, status);
        CHECK(WIFEXITED(status) ? WEXITSTATUS(status) == wanted(kind) : WTERMSIG(status) == -wanted(kind));
    }
    puts("ok");
    return 0;
}
