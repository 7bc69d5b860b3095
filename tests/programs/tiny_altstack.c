// Handlers on the smallest alternative stack that a handler can have allocate, nested and left by siglongjmp.
#include "check.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

// What libc's own allocator and the handler take, and what is allowed to us on top.
#define HANDLER_BYTES 1024u
#define OURS_BYTES    2048u

static volatile int handled, nested;
static sigjmp_buf out;

static void allocate(void)
{
    for (size_t i = 1; i < 100; i++) {
        char *p = malloc(i * 10);
        CHECK(p);
        *p = 1;
        p = realloc(p, i * 20);
        free(p);
        free(calloc(i, 3));
    }
}

static void on_signal(int number)
{
    allocate();
    if (number == SIGUSR1 && nested) {
        nested = 0;
        raise(SIGRTMIN);
        allocate();
    }
    handled++;
}

static void jump_out(int number)
{
    (void)number;
    allocate();
    siglongjmp(out, 1);
}

// Raised synchronously: nothing is interrupted, so that a handler may allocate.
static void *on_small_stack(void *argument)
{
    size_t frame = getauxval(AT_MINSIGSTKSZ);
    size_t size = (frame < 2048 ? 2048 : frame) + HANDLER_BYTES + OURS_BYTES;
    nested = argument != NULL;
    size *= nested ? 2 : 1;
    size_t mapped = (size + 4095) / 4096 * 4096;
    // The guard page ends right where the stack does.
    char *base = mmap(NULL, mapped + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(base != MAP_FAILED && !mprotect(base + 4096, mapped, PROT_READ | PROT_WRITE));
    stack_t alternative = {.ss_sp = base + 4096, .ss_size = size}, old;
    CHECK(!sigaltstack(&alternative, &old));
    handled = 0;
    CHECK(!raise(SIGUSR1) && handled == (argument ? 2 : 1));
    if (!sigsetjmp(out, 1))
        raise(SIGVTALRM);
    CHECK(!raise(SIGUSR1) && handled == (argument ? 3 : 2));
    CHECK(!sigaltstack(&old, NULL));
    munmap(base, mapped + 4096);
    allocate();
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESTART};
    sigset_t ours;
    // A snapshot's handler would need room of its own.
    sigemptyset(&ours);
    sigaddset(&ours, SIGUSR2);
    CHECK(!sigprocmask(SIG_BLOCK, &ours, NULL));
    CHECK(!sigaction(SIGUSR1, &action, NULL) && !sigaction(SIGRTMIN, &action, NULL));
    action.sa_handler = jump_out;
    CHECK(!sigaction(SIGVTALRM, &action, NULL));
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        on_small_stack(NULL);
        on_small_stack(&ours);
        CHECK(!pthread_create(&thread, NULL, on_small_stack, NULL));
        pthread_join(thread, NULL);
    }
    puts("ok");
    return 0;
}
