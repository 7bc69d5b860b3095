// Asks a profiled process whose its snapshot signal is.
#include "region/signal.h"

#include "base/proc.h"
#include "region/control.h"
#include "region/copy.h"
#include "sys/atomic.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 4096

static bool has_signal(const struct ht_buffer *status, const char *set, int signal)
{
    uint64_t bits;
    return ht_proc_status_number(status, set, 16, &bits) && (bits >> (signal - 1) & 1) != 0;
}

static bool is_blocked(uint32_t pid, const struct ht_buffer *status, int signal)
{
    char path[HT_PROC_PATH_BYTES];
    if (!has_signal(status, "SigBlk", signal) || pid == 0)
        return has_signal(status, "SigBlk", signal);
    ht_proc_path(pid, "task", path);
    DIR *tasks = opendir(path);
    bool blocked = true;
    uint32_t thread;
    int count = 0;
    for (struct dirent *entry; tasks != NULL && blocked && (entry = readdir(tasks)) != NULL;) {
        struct ht_buffer of_thread = {0};
        char name[96];
        snprintf(name, sizeof name, "task/%.32s/status", entry->d_name);
        if (ht_proc_parse_pid(entry->d_name, &thread) && count++ < MAX_THREADS &&
            ht_proc_read(pid, name, &of_thread))
            blocked = has_signal(&of_thread, "SigBlk", signal);
        ht_buffer_free(&of_thread);
    }
    if (tasks != NULL)
        closedir(tasks);
    return blocked;
}

enum ht_signal_state ht_signal_state(uint32_t pid, const struct ht_buffer *status, int signal)
{
    if (has_signal(status, "SigIgn", signal))
        return HT_SIGNAL_IS_IGNORED;
    if (is_blocked(pid, status, signal))
        return HT_SIGNAL_IS_BLOCKED;
    return has_signal(status, "SigCgt", signal) ? HT_SIGNAL_IS_HANDLED : HT_SIGNAL_IS_DEFAULT;
}

static void ask(struct ht_region_header *header, void *asked)
{
    *(uint32_t *)asked = ht_add_relaxed(&header->signal_asked, 1) + 1;
}

static bool ask_through(int fd, uint32_t *ret_asked)
{
    uint32_t asked = 0;
    if (ht_control_apply(fd, ask, &asked) != 0)
        return false;
    *ret_asked = asked;
    return true;
}

bool ht_signal_ask(const char *path, uint32_t *ret_asked)
{
    struct stat stat;
    int fd = ht_region_open(path, O_RDWR, &stat);
    if (fd < 0)
        return false;
    bool could = ask_through(fd, ret_asked);
    close(fd);
    return could;
}

bool ht_signal_is_fresh(const struct ht_region_header *header, uint32_t asked)
{
    return (int32_t)(header->signal_answered - asked) >= 0; // somebody else may have asked after us
}

bool ht_signal_owner(const char *path, int timeout_ms, enum ht_signal_owner *ret_owner)
{
    struct stat stat;
    struct ht_region_header header;
    uint32_t asked = 0;
    bool fresh = false;
    *ret_owner = HT_SIGNAL_UNKNOWN;
    int fd = ht_region_open(path, O_RDWR, &stat);
    bool could = fd >= 0 && ask_through(fd, &asked);
    if (fd < 0)
        fd = ht_region_open(path, O_RDONLY, &stat);
    for (int waited_ms = 0; fd >= 0 && !fresh && waited_ms <= timeout_ms; waited_ms += 5) {
        if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header || header.magic != HT_REGION_MAGIC)
            break;
        fresh = could && ht_signal_is_fresh(&header, asked);
        *ret_owner = header.signal_owner <= HT_SIGNAL_IGNORED ? (enum ht_signal_owner)header.signal_owner
                                                              : HT_SIGNAL_UNKNOWN;
        if (!could)
            break;
        if (!fresh)
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    if (fd >= 0)
        close(fd);
    return fresh;
}

enum ht_signal_owner ht_signal_owner_now(uint32_t pid, int signal, enum ht_signal_owner said)
{
    struct ht_buffer status = {0};
    enum ht_signal_owner now = said;
    if (signal > 0 && said != HT_SIGNAL_UNKNOWN && said != HT_SIGNAL_NONE &&
        ht_proc_read(pid, "status", &status)) {
        if (has_signal(&status, "SigIgn", signal))
            now = HT_SIGNAL_IGNORED;
        else if (!has_signal(&status, "SigCgt", signal))
            now = HT_SIGNAL_DEFAULT;
        else if (said == HT_SIGNAL_IGNORED || said == HT_SIGNAL_DEFAULT)
            now = HT_SIGNAL_PROGRAM;
    }
    ht_buffer_free(&status);
    return now;
}

// Not sigabbrev_np: glibc before 2.32 has none.
static const char *const abbreviations[] = {
    [SIGHUP] = "HUP",   [SIGINT] = "INT",     [SIGQUIT] = "QUIT", [SIGILL] = "ILL",   [SIGTRAP] = "TRAP",
    [SIGABRT] = "ABRT", [SIGBUS] = "BUS",     [SIGFPE] = "FPE",   [SIGKILL] = "KILL", [SIGUSR1] = "USR1",
    [SIGSEGV] = "SEGV", [SIGUSR2] = "USR2",   [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM", [SIGTERM] = "TERM",
    [SIGCHLD] = "CHLD", [SIGCONT] = "CONT",   [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP", [SIGTTIN] = "TTIN",
    [SIGTTOU] = "TTOU", [SIGURG] = "URG",     [SIGXCPU] = "XCPU", [SIGXFSZ] = "XFSZ", [SIGVTALRM] = "VTALRM",
    [SIGPROF] = "PROF", [SIGWINCH] = "WINCH", [SIGIO] = "POLL",   [SIGPWR] = "PWR",   [SIGSYS] = "SYS",
};

void ht_signal_name(int number, char name[HT_SIGNAL_NAME_BYTES])
{
    if (number > 0 && number < (int)(sizeof abbreviations / sizeof abbreviations[0]) &&
        abbreviations[number] != NULL)
        snprintf(name, HT_SIGNAL_NAME_BYTES, "SIG%s", abbreviations[number]);
    else
        snprintf(name, HT_SIGNAL_NAME_BYTES, "signal %d", number);
}

int ht_signal_number(const char *name)
{
    for (int i = 1; i < (int)(sizeof abbreviations / sizeof abbreviations[0]); i++)
        if (abbreviations[i] != NULL && strcasecmp(abbreviations[i], name) == 0)
            return i;
    return 0;
}

int ht_signal_wanted(const char *value)
{
    if (value != NULL && strcmp(value, "none") == 0)
        return 0;
    const char *word = value != NULL && strncmp(value, "SIG", 3) == 0 ? value + 3 : value;
    int number = word != NULL ? (int)strtol(word, NULL, 10) : 0;
    if (word != NULL && number == 0)
        number = ht_signal_number(word);
    return number > 0 && number <= 64 ? number : SIGUSR2; // unset, or wrong: the default
}
