// What a program can see of itself: children, threads, timers, descriptors, signal mask, limits, names,
// memory that is writable and executable, floating point state. All of it is as without us.
//@ ldflags -lm
#include "self.h"

#include <dirent.h>
#include <fenv.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>

static volatile int children_gone;

static void on_child(int number)
{
    (void)number;
    children_gone++;
}

static int entries(const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);
    CHECK(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

// Prints the lines of a file in /proc that begin with one of the words.
static void print_lines(const char *path, const char *const *words)
{
    char line[1000];
    FILE *file = fopen(path, "r");
    CHECK(file);
    while (fgets(line, sizeof(line), file))
        for (const char *const *word = words; *word; word++)
            if (!strncmp(line, *word, strlen(*word)))
                fputs(line, stdout);
    fclose(file);
}

static int writable_and_executable(void)
{
    char line[5000], rights[5];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    while (fgets(line, sizeof(line), maps))
        if (sscanf(line, "%*s %4s", rights) == 1)
            count += rights[1] == 'w' && rights[2] == 'x';
    fclose(maps);
    return count;
}

static void print_limits(void)
{
    for (int which = 0; which < (int)RLIM_NLIMITS; which++) {
        struct rlimit limit;
        CHECK(!getrlimit((__rlimit_resource_t)which, &limit));
        printf("limit %d: %lx %lx\n", which, (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
    }
}

static void print_environment(char **environment)
{
    // The preload and the settings differ by their nature.
    for (; *environment; environment++)
        if (strncmp(*environment, "LD_PRELOAD", 10) && strncmp(*environment, "HEAPTAP_", 8))
            puts(*environment);
}

int main(int count, char **arguments, char **environment)
{
    signal(SIGCHLD, on_child);
    CHECK(count == 1 && arguments[0]);
    struct rusage usage;
    struct itimerval timer;
    struct tms times_used;
    char name[17] = "";
    for (int i = 0; i < 20; i++)
        record_some();
    CHECK(waitpid(-1, NULL, 0) < 0 && errno == ECHILD && children_gone == 0);
    CHECK(!getrusage(RUSAGE_CHILDREN, &usage) && usage.ru_maxrss == 0 && usage.ru_utime.tv_usec == 0);
    CHECK(times(&times_used) != (clock_t)-1 && times_used.tms_cutime == 0 && times_used.tms_cstime == 0);
    for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++)
        CHECK(!getitimer((__itimer_which_t)which, &timer) && timer.it_value.tv_sec == 0 &&
              timer.it_value.tv_usec == 0);
    CHECK(prctl(PR_GET_NAME, name) == 0 && !prctl(PR_SET_NAME, "renamed"));
    printf("%s, %d rwx\n", name, writable_and_executable());
    record_some();
    CHECK(prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "renamed"));
    const char *const lines[] = {"Name:",  "Umask:",     "TracerPid:", "SigBlk:",      "SigIgn:", "CapInh:",
                                 "CapEff", "NoNewPrivs", "Seccomp",    "Cpus_allowed", NULL};
    print_lines("/proc/self/status", lines);
    print_limits();
    print_environment(environment);
    printf("rounding %d, exceptions %d, raised %d\n", fegetround(), fegetexcept(), fetestexcept(FE_INVALID));
    printf("scheduler %d, nice %d, dumpable %d\n", sched_getscheduler(0), nice(0), prctl(PR_GET_DUMPABLE));
    if (access("/proc/self/timers", R_OK) == 0) {
        FILE *timers = fopen("/proc/self/timers", "r");
        CHECK(timers && fgetc(timers) == EOF && !fclose(timers));
    }
    // A snapshot's thread may be there for a moment, with descriptors of its own.
    time_t end = time(NULL) + 200;
    int threads;
    while ((threads = entries("/proc/self/task")) > 1 && time(NULL) < end)
        usleep(1000);
    printf("%d threads, %d descriptors\n", threads, entries("/proc/self/fd"));
    puts("ok");
    return 0;
}
