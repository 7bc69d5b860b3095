// A host that has every system call from outside of libc's code sent to itself as SIGSYS
// (PR_SET_SYSCALL_USER_DISPATCH, as Wine does): it sees its own calls and nobody else's.
#include "check.h"

#include <link.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

static uintptr_t code, code_bytes;
static volatile char selector; // 1: dispatched
static volatile sig_atomic_t dispatched;

static int find_code(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    for (int i = 0; strstr(info->dlpi_name, "libc.so") && i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
            code = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            code_bytes = info->dlpi_phdr[i].p_memsz;
        }
    }
    return 0;
}

static void on_dispatch(int number)
{
    (void)number;
    dispatched++;
}

static void work(void)
{
    static void *blocks[3000];
    for (size_t i = 0; i < 3000; i++) {
        blocks[i] = malloc(1000 + i);
        CHECK(blocks[i]);
    }
    for (size_t i = 0; i < 3000; i++)
        free(blocks[i]);
}

// One that libc does not make.
static void own_call(void)
{
#ifdef __x86_64__
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_getppid) : "rcx", "r11", "memory");
#endif
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_dispatch};
    CHECK(!sigaction(SIGSYS, &action, NULL));
    dl_iterate_phdr(find_code, NULL);
    CHECK(code);
    free(malloc(100000));
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, code, code_bytes, &selector)) {
        puts("this kernel has no PR_SET_SYSCALL_USER_DISPATCH");
        return 77;
    }
    for (int i = 1; i <= 3; i++) {
        selector = 1;
        work();
        CHECK(dispatched == i - 1);
        own_call();
        work();
        selector = 0;
#ifdef __x86_64__
        CHECK(dispatched == i);
#endif
    }
    puts("ok");
    return 0;
}
