// Children made behind libc's back: clone and clone3 without fork handlers, _Fork, children that share the
// memory, threads without a thread-local block of their own. With an argument only those that are copies (for
// kernels that have no others).
//@ objects 5400 5500
//@ unwiped
#include "children.h"

#include <dlfcn.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define STACK_BYTES (256u << 10)

static unsigned char *handed_over;

static unsigned char *parents_block(void)
{
    unsigned char *block = malloc(4000);
    CHECK(block);
    fill(block, 4000, 9);
    return block;
}

// The child has a copy of everything: its heap is usable because this process has one thread.
static void as_copy(pid_t child, unsigned char *block)
{
    CHECK(child >= 0);
    if (child == 0) {
        use_heap();
        CHECK(filled(block, 4000, 9));
        free(block);
        use_heap();
        _exit(6);
    }
    expect_exit(child, 6);
    CHECK(filled(block, 4000, 9));
    free(block);
}

// What the child allocates is the parent's as well, and the other way round. It runs alone: the parent waits.
static int in_same_memory(void *block)
{
    use_heap();
    CHECK(filled(block, 4000, 9));
    free(block);
    handed_over = parents_block();
    return 7;
}

static void shared(int flags)
{
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    handed_over = NULL;
    pid_t child = clone(in_same_memory, stack + STACK_BYTES, flags, parents_block());
    CHECK(child > 0);
    expect_exit(child, 7);
    CHECK(handed_over && filled(handed_over, 4000, 9));
    free(handed_over);
    munmap(stack, STACK_BYTES);
    use_heap();
}

// A thread of the kernel's that uses the thread pointer of the main thread, which stands still meanwhile.
static volatile int thread_gone;

static int as_thread(void *block)
{
    in_same_memory(block);
    return 0;
}

static void thread_without_tls(void)
{
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    handed_over = NULL;
    thread_gone = 1;
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                CLONE_CHILD_CLEARTID;
    CHECK(clone(as_thread, stack + STACK_BYTES, flags, parents_block(), NULL, NULL, &thread_gone) > 0);
    while (thread_gone)
        sched_yield();
    CHECK(handed_over && filled(handed_over, 4000, 9));
    free(handed_over);
    munmap(stack, STACK_BYTES);
}

int main(int argc, char **argv)
{
    (void)argv;
    use_heap();
    for (int i = 0; i < 5; i++) {
        unsigned char *block = parents_block();
        as_copy((pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), block);
#ifdef SYS_clone3
        struct clone_args arguments = {.exit_signal = SIGCHLD};
        block = parents_block();
        pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
        if (child >= 0 || errno != ENOSYS)
            as_copy(child, block);
        else
            free(block);
#endif
        pid_t (*bare_fork)(void) = (pid_t(*)(void))dlsym(RTLD_DEFAULT, "_Fork");
        if (bare_fork) {
            block = parents_block();
            as_copy(bare_fork(), block);
        }
        if (argc > 1)
            continue;
        shared(CLONE_VM | CLONE_VFORK | SIGCHLD);
        shared(CLONE_VM | SIGCHLD);
        shared(CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND);
        thread_without_tls();
    }
    puts("ok");
    return 0;
}
