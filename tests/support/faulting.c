// Runs a program whose chosen system calls fail: `faulting [OPTIONS] -- PROGRAM ARGS`. Ends with the
// program's status (128 and the signal's number where one ended it), once all of its processes have ended.
// x86-64 only.
//
//   -o NAME        only calls out of the mapped file of this name are ours; without it all calls of the
//   program
//                  itself, but for those of the loader, in all processes until they run another one
//   -m OFFSET      (hexadecimal, the symbol main) the calls before main() are not ours
//   -l FILE        writes a line for each of our calls: PLACE RESULT ARGUMENTS, and `hit PLACE` for each that
//   failed -f PLACE=WHAT  PLACE is TASK/CALL/N: the Nth call of this number in this task, N+: and all behind
//   it, in all
//                  tasks. TASK is 0 for the first, 0.1 for what it made first (a thread or a process), and so
//                  on. WHAT: an errno, and the call is not made; late:ERRNO, it is made before; short: half
//                  of what it is asked to write or read
//   -t CLOCK:S,... what our clock_gettime says is off by so many seconds, a number for each look, over and
//   over; the
//                  program has no vdso
//
// The tracer is no seccomp filter: a program looks for those, and fares differently under them.
#include <stdio.h>

#if !defined(__x86_64__)
int main(void)
{
    puts("system calls are made to fail on x86-64 only");
    return 77;
}
#else
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS                 512
#define MAX_FAULTS            16
#define MAX_OFFSETS           16
#define TRAP                  0xccu // int3

struct range {
    uint64_t begin, end; // [begin, end), 0 where it is not known
};

struct task {
    struct task *next;
    pid_t pid;
    char name[100]; // empty: it stopped before its maker told of it
    bool ours;      // it runs the program itself, behind main()
    bool ignored;   // it runs another program
    struct range library, loader;
    unsigned made; // tasks that it made
    unsigned calls[CALLS];
    bool inside;             // between the two stops of a call
    bool counted;            // of one of our calls
    unsigned call, position; // which
    uint64_t arguments[6];
    const struct fault *fault;
};

struct fault {
    char task[100];
    unsigned call, position;
    bool onwards, late, shorter;
    int error;
};

static struct task *tasks;
static struct fault faults[MAX_FAULTS];
static unsigned fault_count;
static const char *library; // -o
static uint64_t main_offset, main_address;
static long main_word; // what the trap stands in
static char program[4096];
static FILE *log_file;
static int64_t offsets_s[2][MAX_OFFSETS]; // of CLOCK_REALTIME, CLOCK_MONOTONIC
static unsigned offset_count[2], looks[2];

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "faulting: %s: %s\n", what, strerror(errno));
    exit(125);
}

static struct task *task_of(pid_t pid)
{
    for (struct task *task = tasks; task != NULL; task = task->next) {
        if (task->pid == pid)
            return task;
    }
    struct task *task = calloc(1, sizeof *task);
    if (task == NULL)
        give_up("memory");
    task->pid = pid;
    task->next = tasks;
    tasks = task;
    return task;
}

static void forget(pid_t pid)
{
    for (struct task **link = &tasks; *link != NULL; link = &(*link)->next) {
        if ((*link)->pid == pid) {
            struct task *gone = *link;
            *link = gone->next;
            free(gone);
            return;
        }
    }
}

// The mappings of files whose path ends with a name (or, for the loader, has it in it).
static struct range mapped(pid_t pid, const char *name, bool at_end)
{
    char path[64], line[4400];
    struct range found = {0, 0};
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *file = strchr(line, '/');
        uint64_t begin, end;
        if (file == NULL || sscanf(line, "%lx-%lx", &begin, &end) != 2)
            continue;
        const char *at = strstr(file, name);
        if (at == NULL || (at_end && strcmp(file + strlen(file) - strlen(name), name) != 0))
            continue;
        if (found.begin == 0)
            found.begin = begin;
        found.end = end;
    }
    if (maps != NULL)
        fclose(maps);
    return found;
}

static bool within(struct range range, uint64_t address)
{
    return range.begin <= address && address <= range.end; // the address is that behind the call
}

static bool is_ours(struct task *task, uint64_t address)
{
    if (library != NULL) {
        if (task->library.begin == 0)
            task->library = mapped(task->pid, library, true);
        return task->library.begin != 0 && within(task->library, address);
    }
    return task->ours && !within(task->loader, address);
}

static void poke(pid_t pid, size_t where, uint64_t value)
{
    if (ptrace(PTRACE_POKEUSER, pid, where, value) != 0 && errno != ESRCH)
        give_up("a register");
}
#define SET(pid, name, value) poke(pid, offsetof(struct user, regs.name), (uint64_t)(value))

static const struct fault *fault_of(const struct task *task)
{
    for (unsigned i = 0; i < fault_count; i++) {
        const struct fault *fault = &faults[i];
        if (fault->call != task->call)
            continue;
        if (strcmp(fault->task, task->name) == 0
                ? fault->position == task->position || (fault->onwards && fault->position < task->position)
                : fault->onwards && strcmp(fault->task, "*") == 0)
            return fault;
    }
    return NULL;
}

// Which argument says how many bytes.
static unsigned amount_of(unsigned call)
{
    return call == SYS_sendfile ? 3 : 2;
}

static void on_entry(struct task *task, const struct __ptrace_syscall_info *info)
{
    task->inside = true;
    task->fault = NULL;
    task->counted = !task->ignored && info->entry.nr < CALLS && is_ours(task, info->instruction_pointer);
    if (!task->counted)
        return;
    task->call = (unsigned)info->entry.nr;
    task->position = ++task->calls[task->call];
    for (unsigned i = 0; i < 6; i++)
        task->arguments[i] = info->entry.args[i];
    task->fault = fault_of(task);
    if (task->fault == NULL)
        return;
    uint64_t amount = task->arguments[amount_of(task->call)];
    if (task->fault->shorter && amount_of(task->call) == 3)
        SET(task->pid, r10, (amount + 1) / 2);
    else if (task->fault->shorter)
        SET(task->pid, rdx, (amount + 1) / 2);
    else if (task->call == SYS_brk)
        SET(task->pid, rdi, 0); // it has no error: what is refused stays as it is
    else if (!task->fault->late)
        SET(task->pid, orig_rax, -1);
}

static void turn_clock(struct task *task)
{
    uint64_t clock = task->arguments[0];
    if (clock > 1 || offset_count[clock] == 0)
        return;
    int64_t off = offsets_s[clock][looks[clock]++ % offset_count[clock]];
    errno = 0;
    long seconds = ptrace(PTRACE_PEEKDATA, task->pid, task->arguments[1], NULL);
    if (errno != 0)
        return;
    seconds = seconds + off < 0 ? 0 : seconds + off;
    if (ptrace(PTRACE_POKEDATA, task->pid, task->arguments[1], seconds) != 0)
        give_up("the clock");
}

static void tell(const struct task *task, int64_t result)
{
    static const char takes_path[CALLS] = {
        [SYS_openat] = 2,  [SYS_newfstatat] = 2, [SYS_unlinkat] = 2, [SYS_readlinkat] = 2,
        [SYS_mkdirat] = 2, [SYS_renameat2] = 2,  [SYS_renameat] = 2, [SYS_linkat] = 2,
        [SYS_statfs] = 1,  [SYS_access] = 1,     [SYS_readlink] = 1, [SYS_unlink] = 1,
        [SYS_rename] = 1,  [SYS_mkdir] = 1,      [SYS_execve] = 1,   [SYS_openat2] = 2};
    char path[200] = "";
    if (takes_path[task->call] != 0) {
        struct iovec ours = {path, sizeof path - 1};
        // No further than its page: the next may be none.
        uint64_t at = task->arguments[takes_path[task->call] - 1], room = 4096 - at % 4096;
        struct iovec theirs = {(void *)at, room < sizeof path - 1 ? room : sizeof path - 1};
        if (process_vm_readv(task->pid, &ours, 1, &theirs, 1, 0) < 0)
            path[0] = 0;
    }
    fprintf(log_file, "%s/%u/%u %ld %lx %lx %lx %lx %s\n", task->name, task->call, task->position, result,
            task->arguments[0], task->arguments[1], task->arguments[2], task->arguments[3], path);
    if (task->fault != NULL)
        fprintf(log_file, "hit %s/%u/%u\n", task->name, task->call, task->position);
    fflush(log_file);
}

static void on_return(struct task *task, const struct __ptrace_syscall_info *info)
{
    task->inside = false;
    if (!task->counted)
        return;
    int64_t result = info->exit.rval;
    if (task->fault != NULL && task->fault->shorter) {
        if (amount_of(task->call) == 3)
            SET(task->pid, r10, task->arguments[3]);
        else
            SET(task->pid, rdx, task->arguments[2]);
    } else if (task->fault != NULL && task->call == SYS_brk) {
        SET(task->pid, rdi, task->arguments[0]);
    } else if (task->fault != NULL && !(task->fault->late && result < 0)) {
        result = -task->fault->error;
        SET(task->pid, rax, result);
    } else if (task->call == SYS_clock_gettime && result == 0) {
        turn_clock(task);
    }
    if (log_file != NULL)
        tell(task, result);
}

static void on_call(struct task *task)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, task->pid, sizeof info, &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        on_entry(task, &info);
    else if (info.op == PTRACE_SYSCALL_INFO_EXIT && task->inside)
        on_return(task, &info);
    // A call whose way in nobody saw: execve, and what a new task returns from.
}

static void set_trap(pid_t pid)
{
    char path[64];
    Elf64_Ehdr header;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, &header, sizeof header) != sizeof header)
        give_up(path);
    close(fd);
    main_address = main_offset + (header.e_type == ET_DYN ? mapped(pid, program, true).begin : 0);
    errno = 0;
    main_word = ptrace(PTRACE_PEEKTEXT, pid, main_address, NULL);
    if (errno != 0 ||
        ptrace(PTRACE_POKETEXT, pid, main_address, ((unsigned long)main_word & ~0xfful) | TRAP) != 0)
        give_up("main");
}

// Without a vdso all looks at the clock are calls.
static void hide_vdso(pid_t pid)
{
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) != 0)
        give_up("registers");
    uint64_t at = registers.rsp;
    long argc = ptrace(PTRACE_PEEKDATA, pid, at, NULL);
    at += 8 * ((uint64_t)argc + 2);
    while (ptrace(PTRACE_PEEKDATA, pid, at, NULL) != 0)
        at += 8;
    for (at += 8;; at += 16) {
        long type = ptrace(PTRACE_PEEKDATA, pid, at, NULL);
        if (type == AT_SYSINFO_EHDR && ptrace(PTRACE_POKEDATA, pid, at, AT_IGNORE) != 0)
            give_up("auxiliary vector");
        if (type == AT_NULL)
            return;
    }
}

static void on_exec(struct task *task)
{
    char path[64], target[sizeof program];
    snprintf(path, sizeof path, "/proc/%d/exe", task->pid);
    ssize_t size = readlink(path, target, sizeof target - 1);
    target[size < 0 ? 0 : size] = 0;
    bool program_itself = strcmp(target, program) == 0;
    task->ours = program_itself && main_offset == 0;
    task->ignored = library == NULL && !program_itself;
    task->inside = false;
    task->library = (struct range){0, 0};
    task->loader = mapped(task->pid, "/ld-linux", false);
    if (program_itself && main_offset != 0)
        set_trap(task->pid);
    if (offset_count[0] + offset_count[1] != 0)
        hide_vdso(task->pid);
}

static void resume(pid_t pid, int sig)
{
    if (ptrace(PTRACE_SYSCALL, pid, 0, sig) != 0 && errno != ESRCH)
        give_up("PTRACE_SYSCALL");
}

static void on_new_task(struct task *maker)
{
    unsigned long number;
    if (ptrace(PTRACE_GETEVENTMSG, maker->pid, NULL, &number) != 0)
        return;
    struct task *made = task_of((pid_t)number);
    maker->made++;
    int size = snprintf(made->name, sizeof made->name, "%s.%u", maker->name, maker->made);
    if (size < 0 || (size_t)size >= sizeof made->name)
        give_up("too many generations");
    made->ours = maker->ours;
    made->ignored = maker->ignored;
    made->library = maker->library;
    made->loader = maker->loader;
    if (made->inside) { // it has stopped, and waits for its name
        made->inside = false;
        resume(made->pid, 0);
    }
}

// The breakpoint in front of main(), or a signal that is the program's own: returns the latter.
static int on_signal(struct task *task, int sig)
{
    struct user_regs_struct registers;
    if (sig != SIGTRAP || main_address == 0 || ptrace(PTRACE_GETREGS, task->pid, NULL, &registers) != 0 ||
        registers.rip != main_address + 1)
        return sig;
    if (ptrace(PTRACE_POKETEXT, task->pid, main_address, main_word) != 0)
        give_up("main");
    SET(task->pid, rip, main_address);
    task->ours = true;
    return 0;
}

static void on_stop(struct task *task, int status)
{
    int event = status >> 16, sig = WSTOPSIG(status);
    if (sig == (SIGTRAP | 0x80)) {
        on_call(task);
        resume(task->pid, 0);
    } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
        on_new_task(task);
        resume(task->pid, 0);
    } else if (event == PTRACE_EVENT_EXEC) {
        on_exec(task);
        resume(task->pid, 0);
    } else if (event == PTRACE_EVENT_STOP && task->name[0] == 0) {
        task->inside = true;
    } else if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
        if (ptrace(PTRACE_LISTEN, task->pid, 0, 0) != 0 && errno != ESRCH)
            give_up("PTRACE_LISTEN");
    } else {
        resume(task->pid, event != 0 ? 0 : on_signal(task, sig));
    }
}

static void add_fault(const char *wish)
{
    struct fault *fault = &faults[fault_count];
    char place[100], what[20];
    if (fault_count++ == MAX_FAULTS || sscanf(wish, "%99[0-9.*]/%u/%u%99[+=]%19s", fault->task, &fault->call,
                                              &fault->position, place, what) != 5)
        give_up(wish);
    fault->onwards = strcmp(place, "+=") == 0;
    fault->late = strncmp(what, "late:", 5) == 0;
    fault->shorter = strcmp(what, "short") == 0;
    fault->error = atoi(fault->late ? what + 5 : what);
    if (!fault->shorter && fault->error <= 0)
        give_up(wish);
}

static void add_clock(const char *wish)
{
    char *at;
    unsigned long clock = strtoul(wish, &at, 10);
    if (clock > 1 || *at != ':')
        give_up(wish);
    while (*at != 0 && offset_count[clock] < MAX_OFFSETS) {
        offsets_s[clock][offset_count[clock]++] = strtol(at + 1, &at, 10);
        if (*at != 0 && *at != ',')
            give_up(wish);
    }
}

static void read_options(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "+o:m:l:f:t:")) != -1;) {
        if (option == 'o')
            library = optarg;
        else if (option == 'm')
            main_offset = strtoul(optarg, NULL, 16);
        else if (option == 'l')
            log_file = fopen(optarg, "we");
        else if (option == 'f')
            add_fault(optarg);
        else if (option == 't')
            add_clock(optarg);
        else
            exit(125);
        if (option == 'l' && log_file == NULL)
            give_up(optarg);
    }
    if (optind >= argc || realpath(argv[optind], program) == NULL)
        give_up("usage: faulting [OPTIONS] -- PROGRAM ARGS");
}

static pid_t start(char **argv)
{
    int ready[2];
    char byte;
    if (pipe2(ready, O_CLOEXEC) != 0)
        give_up("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        close(ready[1]);
        if (read(ready[0], &byte, 1) == 1)
            execv(program, argv);
        _exit(127);
    }
    if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0,
                          PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                              PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) != 0) {
        printf("nothing can be traced here (errno %d)\n", errno);
        exit(77);
    }
    strcpy(task_of(pid)->name, "0");
    task_of(pid)->ignored = true; // until it runs the program
    if (write(ready[1], "", 1) != 1)
        give_up("pipe");
    close(ready[0]);
    close(ready[1]);
    return pid;
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    pid_t first = start(argv + optind);
    int result = 125, status;
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (pid <= 0)
            continue;
        if (WIFSTOPPED(status)) {
            on_stop(task_of(pid), status);
            continue;
        }
        forget(pid);
        if (pid == first)
            result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    return result;
}
#endif
