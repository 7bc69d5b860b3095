// Runs a program under a seccomp filter that it inherits: `refusing CALL:RESULT... -- PROGRAM ARGS`.
//
// CALL is a system call's number, or NUMBER/ARGUMENT=VALUE for one with this value in an argument (32 bits of
// it); RESULT is the errno that it fails with, 0 (it returns 0 and does nothing), or `kill`.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_STEPS 2000

static struct sock_filter filter[MAX_STEPS];
static unsigned short steps;

static void add(struct sock_filter step)
{
    if (steps == MAX_STEPS) {
        fprintf(stderr, "refusing: too many calls\n");
        exit(125);
    }
    filter[steps++] = step;
}

static void refuse(const char *wish)
{
    unsigned call, argument = 0, value = 0, error = 0;
    const char *result = strchr(wish, ':');
    int words = sscanf(wish, "%u/%u=%u", &call, &argument, &value);
    if (result == NULL || (words != 1 && words != 3) ||
        (strcmp(result, ":kill") != 0 && sscanf(result, ":%u", &error) != 1)) {
        fprintf(stderr, "refusing: not CALL:RESULT: %s\n", wish);
        exit(125);
    }
    unsigned action = strcmp(result, ":kill") == 0 ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | error;
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, words == 3 ? 3 : 1));
    if (words == 3) { // little-endian: the lower half comes first
        add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                         offsetof(struct seccomp_data, args) + argument * 8));
        add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
    }
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

int main(int argc, char **argv)
{
    int at = 1;
    for (; at < argc && strcmp(argv[at], "--") != 0; at++)
        refuse(argv[at]);
    if (at + 1 >= argc) {
        fprintf(stderr, "usage: refusing CALL:RESULT... -- PROGRAM ARGS\n");
        return 125;
    }
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    struct sock_fprog program = {steps, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
        printf("no seccomp filter can be had (errno %d)\n", errno);
        return 77;
    }
    execv(argv[at + 1], argv + at + 1);
    perror("refusing");
    return 127;
}
