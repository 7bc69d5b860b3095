// A stack overflow is caught on an alternative stack and left by siglongjmp, again and again, with allocation
// all the way.
#include "check.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_BYTES (256u << 10)
#define LEFT_BYTES  16384u

static __thread sigjmp_buf out;
static __thread uintptr_t floor_address;
static __thread void *blocks[1000];
static __thread unsigned count;

static void on_overflow(int number, siginfo_t *info, void *unused)
{
    (void)number;
    (void)unused;
    uintptr_t address = (uintptr_t)info->si_addr;
    if (address > floor_address || floor_address - address > 65536)
        _exit(3); // some other fault
    void *p = malloc(700);
    KEEP(p);
    free(p);
    siglongjmp(out, 1);
}

// Allocates while there is room, and overflows outside of the allocator.
__attribute__((noinline)) static unsigned descend(unsigned levels)
{
    volatile char room[500];
    room[levels % 500] = 1;
    if ((uintptr_t)__builtin_frame_address(0) > floor_address + LEFT_BYTES && count < 1000)
        CHECK((blocks[count++] = malloc(levels % 300)));
    unsigned result = levels < UINT32_MAX ? descend(levels + 1) + 1 : 0;
    room[0] = room[levels % 500];
    return result + (unsigned)room[0];
}

static void *overflow(void *stack)
{
    char *own = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(own != MAP_FAILED);
    stack_t alternative = {.ss_sp = own, .ss_size = 65536};
    CHECK(!sigaltstack(&alternative, NULL));
    floor_address = (uintptr_t)stack;
    for (volatile int i = 0; i < 10; i++) {
        count = 0;
        if (!sigsetjmp(out, 1))
            CHECK(descend(0) == 0);
        CHECK(count > 100);
        while (count)
            free(blocks[--count]);
    }
    alternative.ss_flags = SS_DISABLE;
    CHECK(!sigaltstack(&alternative, NULL));
    munmap(own, 65536);
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    CHECK(!sigaction(SIGSEGV, &action, NULL));
    for (int i = 0; i < 4; i++) {
        pthread_attr_t attributes;
        pthread_t thread;
        char *stack = mmap(NULL, STACK_BYTES + 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(stack != MAP_FAILED && !mprotect(stack + 65536, STACK_BYTES, PROT_READ | PROT_WRITE));
        pthread_attr_init(&attributes);
        CHECK(!pthread_attr_setstack(&attributes, stack + 65536, STACK_BYTES));
        CHECK(!pthread_create(&thread, &attributes, overflow, stack + 65536));
        pthread_join(thread, NULL);
        munmap(stack, STACK_BYTES + 65536);
    }
    puts("ok");
    return 0;
}
