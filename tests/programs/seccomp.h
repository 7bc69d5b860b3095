// What the hazard programs with seccomp filters share: building and installing one.
#ifndef HT_TESTS_SECCOMP_H
#define HT_TESTS_SECCOMP_H

#include "children.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

// Ways to install a filter. BY_HAND is a system call instruction that no library stands in front of.
enum way { BY_PRCTL, BY_SYSCALL, BY_HAND, WAY_COUNT };

static inline void restrict_to(enum way way, const struct sock_fprog *program)
{
    CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    long result = -1;
    if (way == BY_PRCTL) {
        result = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0);
#if defined(__x86_64__)
    } else if (way == BY_HAND) {
        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(SYS_seccomp), "D"(SECCOMP_SET_MODE_FILTER), "S"(0), "d"(program)
                         : "rcx", "r11", "memory");
#endif
    } else {
        result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, program);
    }
    CHECK(result == 0);
}

// The calls in the list, ended by -1, are treated in one way and all others in the other.
static inline void filter_calls(enum way way, const int *calls, uint32_t listed, uint32_t others)
{
    struct sock_filter filter[128];
    unsigned short count = 0;
    filter[count++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (; *calls >= 0 && count < 120; calls++) {
        filter[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)*calls, 0, 1);
        filter[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
    }
    CHECK(*calls < 0);
    filter[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
    struct sock_fprog program = {.len = count, .filter = filter};
    restrict_to(way, &program);
}

// From here on malloc needs no system call for a few megabytes.
static inline void prepare_arena(void)
{
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    void *room = malloc(8 << 20);
    CHECK(room);
    fill(room, 8 << 20, 1);
    free(room);
}

static inline void work(int rounds)
{
    for (int i = 0; i < rounds; i++)
        use_heap();
}

// Deep calls and many blocks at once: what grows or has to be learned elsewhere grows now.
__attribute__((noinline)) static int deep(int depth, size_t size)
{
    volatile char frame[500];
    frame[0] = (char)depth;
    void *block = malloc(size);
    CHECK(block);
    KEEP(block);
    int result = depth > 0 ? deep(depth - 1, size + 8) : 0;
    free(block);
    return result + frame[0];
}

#endif
