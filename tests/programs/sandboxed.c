// A program that locks itself up: from then on any system call but a handful kills it.
//@ skip jemalloc: when it gives memory back, by madvise, depends on the time
#include "check.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *blocks[20000];

__attribute__((noinline)) static void in_the_sandbox(int depth)
{
    char room[1000], *all = room; // 60 KB deeper than ever before
    KEEP(all);
    if (depth > 0) {
        in_the_sandbox(depth - 1);
        KEEP(all);
        return;
    }
    for (size_t i = 0; i < 20000; i++) {
        blocks[i] = malloc(i % 300);
        CHECK(blocks[i]);
        fill(blocks[i], i % 300, (unsigned char)i);
        if (i % 3) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    }
    for (size_t i = 0; i < 20000; i++) {
        CHECK(!blocks[i] || filled(blocks[i], i % 300, (unsigned char)i));
        free(blocks[i]);
    }
}

int main(void)
{
    static const struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 5,
                 0), // for the variant in which signals arrive
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_brk, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], (struct sock_filter *)filter};
    for (size_t i = 0; i < 1000; i++)
        free(malloc(i));
    char *text = malloc(100); // stays
    KEEP(text);
    CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    // A filter that the kernel refuses leaves everything as it was.
    struct sock_fprog empty = {0, NULL};
    errno = 0;
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &empty) == -1 && errno == EINVAL);
    errno = 0;
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) == -1 && errno == EFAULT);
    CHECK(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    in_the_sandbox(60);
    CHECK(write(1, "ok\n", 3) == 3);
    return 0;
}
