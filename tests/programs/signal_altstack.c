// The snapshot signal reaches a thread whose stack has no room for a handler, as goroutines' and coroutines'
// have none: the thread has an alternative stack, which is there for that.
//@ skip signals: it sends the signals itself, and only where somebody handles them
#include "children.h"

#include <signal.h>
#include <sys/mman.h>

#define ALTERNATIVE_BYTES (64u << 10)
#define PAGE_BYTES        4096u
#define SIGNALS           20

struct shared {
    volatile int sent_all;
};

// In another process: only from there it is a snapshot that is asked for.
static int send_signals(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < SIGNALS; i++) {
        CHECK(!kill(getppid(), SIGUSR2));
        usleep(2000);
    }
    shared->sent_all = 1;
    return 4;
}

// Spins on another stack, 64 bytes above a page that cannot be touched, until the word is not 0.
static void wait_on_stack(char *top, volatile int *word)
{
#if defined(__x86_64__)
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %0, %%rsp\n"
                     "1: pause\n\t"
                     "cmpl $0, (%1)\n\t"
                     "je 1b\n\t"
                     "movq %%rbx, %%rsp"
                     :
                     : "r"(top), "r"(word)
                     : "rbx", "memory", "cc");
#elif defined(__aarch64__)
    __asm__ volatile("mov x19, sp\n\t"
                     "mov sp, %0\n"
                     "1: yield\n\t"
                     "ldr w20, [%1]\n\t"
                     "cbz w20, 1b\n\t"
                     "mov sp, x19"
                     :
                     : "r"(top), "r"(word)
                     : "x19", "x20", "memory", "cc");
#endif
}

int main(void)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *alternative =
        mmap(NULL, ALTERNATIVE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *stack = mmap(NULL, 2 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED && alternative != MAP_FAILED && stack != MAP_FAILED);
    CHECK(!mprotect(stack + PAGE_BYTES, PAGE_BYTES, PROT_READ | PROT_WRITE));
    stack_t description = {.ss_sp = alternative, .ss_size = ALTERNATIVE_BYTES};
    CHECK(!sigaltstack(&description, NULL));
    struct sigaction action;
    CHECK(!sigaction(SIGUSR2, NULL, &action));
    use_heap();
    if (action.sa_handler != SIG_DFL) {
        pid_t child = fork_into(send_signals, shared);
        wait_on_stack(stack + PAGE_BYTES + 64, &shared->sent_all);
        expect_exit(child, 4);
    }
    use_heap();
    puts("ok");
    return 0;
}
