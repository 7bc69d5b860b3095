// A signal handler that allocates, in the midst of each malloc and free of the host, on the host's stack and
// on an alternative one; some of its blocks are freed outside and some of the host's inside.
//@ preload after libraise
//@ skip jemalloc: it stands in front of the interposer
#include "self.h"

#include <dlfcn.h>
#include <signal.h>

static void *passed[16];
static volatile size_t handled;

static void handler(int number)
{
    (void)number;
    size_t i = handled++;
    int saved = errno;
    void *p = malloc(i % 700 + 10);
    CHECK(p);
    fill(p, i % 700 + 10, 4);
    free(passed[i % 16]);
    passed[i % 16] = p;
    p = calloc(1, i % 300);
    free(realloc(p, i % 500 + 1));
    errno = saved;
}

int main(void)
{
    static char stack[1 << 16];
    volatile int *number = dlsym(RTLD_DEFAULT, "raise_number");
    CHECK(number);
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
    CHECK(!sigaltstack(&alternative, NULL));
    for (int flags = 0; flags < 2; flags++) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = flags ? SA_ONSTACK : 0};
        CHECK(!sigaction(SIGUSR1, &action, NULL));
        *number = SIGUSR1;
        for (size_t i = 0; i < 500; i++) {
            errno = 4711;
            unsigned char *p = malloc(i);
            CHECK(p && errno == 4711);
            fill(p, i, 8);
            CHECK(filled(p, i, 8));
            void *other = passed[i % 16];
            passed[i % 16] = NULL;
            free(other);
            free(p);
            CHECK(errno == 4711);
        }
        *number = 0;
    }
    CHECK(handled >= 4000);
    puts("ok");
    return 0;
}
