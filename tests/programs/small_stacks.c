// Threads with the smallest stack, handlers on an alternative stack, coroutines on hand-made stacks: all
// allocate.
#include "check.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int handled;
static ucontext_t main_context, coroutine;

static void allocate(void)
{
    for (size_t i = 1; i < 200; i++) {
        char *p = malloc(i * 10);
        CHECK(p);
        *p = 1;
        free(p);
    }
}

static void *in_small_thread(void *unused)
{
    (void)unused;
    allocate();
    return NULL;
}

static void on_signal(int number)
{
    (void)number;
    allocate();
    handled++;
}

static void in_coroutine(void)
{
    allocate();
    swapcontext(&coroutine, &main_context);
    allocate();
}

int main(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(!pthread_attr_setstacksize(&attributes, 16384));
    for (int i = 0; i < 20; i++) {
        CHECK(!pthread_create(&thread, &attributes, in_small_thread, NULL));
        pthread_join(thread, NULL);
    }
    // A guard page below the alternative stack: too much use of it is a crash.
    size_t size = 16384;
    char *stack = mmap(NULL, size + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED && !mprotect(stack + 4096, size, PROT_READ | PROT_WRITE));
    stack_t alternative = {.ss_sp = stack + 4096, .ss_size = size};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    CHECK(!sigaltstack(&alternative, NULL) && !sigaction(SIGUSR1, &action, NULL));
    raise(SIGUSR1);
    CHECK(handled == 1);
    char *other = mmap(NULL, size + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(other != MAP_FAILED && !mprotect(other + 4096, size, PROT_READ | PROT_WRITE));
    getcontext(&coroutine);
    coroutine.uc_stack.ss_sp = other + 4096;
    coroutine.uc_stack.ss_size = size;
    coroutine.uc_link = &main_context;
    makecontext(&coroutine, in_coroutine, 0);
    swapcontext(&main_context, &coroutine);
    allocate();
    swapcontext(&main_context, &coroutine);
    puts("ok");
    return 0;
}
