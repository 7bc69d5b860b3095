// The environment that `heaptap run` builds, and its child: exit status, signals, ticks, descriptors.
#include "launch/launch.h"

#include "base/error.h"
#include "base/proc.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct ht_run_settings nothing(void)
{
    return (struct ht_run_settings){
        .rate_bytes = HT_RUN_UNSET,
        .interval_ns = HT_RUN_UNSET,
        .growth_bytes = HT_RUN_UNSET,
        .memory_bytes = HT_RUN_UNSET,
        .keep = -1,
    };
}

static void assert_preload(const char *allocator, const char *existing, const char *expected)
{
    const struct ht_run_libraries libraries = {.shim = "/x/libheaptap.so", .allocator = allocator};
    char *text = ht_run_preload(&libraries, existing);
    assert_string_equal(text, expected);
    free(text);
}

static void test_preload(void **state)
{
    (void)state;
    assert_preload(NULL, NULL, "/x/libheaptap.so");
    assert_preload(NULL, "", "/x/libheaptap.so");
    assert_preload("/l/libjemalloc.so.2", NULL, "/x/libheaptap.so:/l/libjemalloc.so.2");
    assert_preload(NULL, "/a.so:/b.so", "/x/libheaptap.so:/a.so:/b.so");
    assert_preload(NULL, " /a.so  b.so ", "/x/libheaptap.so:/a.so:b.so");
    assert_preload("/j", "/old/libheaptap.so:/a.so", "/x/libheaptap.so:/j:/a.so"); // run inside run
    assert_preload(NULL, "libheaptap.so", "/x/libheaptap.so");
}

// The companion stands directly before its allocator, wherever that is.
static void test_companion(void **state)
{
    (void)state;
    struct ht_run_libraries libraries = {
        .shim = "/x/libheaptap.so", .companion = "/x/libheaptap-jemalloc.so", .of = "libjemalloc.so.2"};
    static const char *const cases[][3] = {
        {"/l/libjemalloc.so.2", NULL, ":/x/libheaptap-jemalloc.so:/l/libjemalloc.so.2"},
        {"/l/libjemalloc.so.2", "/a.so", ":/x/libheaptap-jemalloc.so:/l/libjemalloc.so.2:/a.so"},
        {NULL, "/a.so libjemalloc.so.2 b.so", ":/a.so:/x/libheaptap-jemalloc.so:libjemalloc.so.2:b.so"},
        {NULL, "/a.so", ":/a.so:/x/libheaptap-jemalloc.so"}, // linked with the program
        {NULL, "/old/libheaptap.so:/old/libheaptap-jemalloc.so", ":/x/libheaptap-jemalloc.so"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        libraries.allocator = cases[i][0];
        char *text = ht_run_preload(&libraries, cases[i][1]);
        assert_string_equal(text + strlen(libraries.shim), cases[i][2]);
        free(text);
    }
}

static void test_environment_stays(void **state)
{
    (void)state;
    char path[] = "PATH=/bin", rate[] = "HEAPTAP_RATE=1", interval[] = "HEAPTAP_INTERVAL=5s";
    char *base[] = {path, rate, interval, NULL};
    struct ht_run_settings settings = nothing();
    char **environment = ht_run_environment(base, &settings, "/x.so", true);
    assert_string_equal(ht_proc_value_in(environment, "PATH"), "/bin");
    assert_string_equal(ht_proc_value_in(environment, "HEAPTAP_RATE"), "1");
    assert_string_equal(ht_proc_value_in(environment, "HEAPTAP_INTERVAL"), "5s");
    assert_string_equal(ht_proc_value_in(environment, "LD_PRELOAD"), "/x.so");
    assert_null(ht_proc_value_in(environment, "HEAPTAP_OUT"));
    assert_null(ht_proc_value_in(environment, "HEAPTAP_EXIT"));
    assert_null(ht_proc_value_in(environment, "HEAPTAP_ACTIVE"));
    assert_null(ht_proc_value_in(environment, "HEAPTAP_KEEP"));
    ht_run_environment_free(environment);
}

// The mark of this run, and never that of a run around it.
static void test_environment_marks_the_run(void **state)
{
    (void)state;
    char outer[] = "HEAPTAP_RUN=77";
    char *base[] = {outer, NULL};
    struct ht_run_settings settings = nothing();
    char **environment = ht_run_environment(base, &settings, "/x.so", false);
    assert_null(ht_proc_value_in(environment, "HEAPTAP_RUN"));
    ht_run_environment_free(environment);
    settings.run_id = UINT64_C(12345678901234567890);
    environment = ht_run_environment(base, &settings, "/x.so", false);
    assert_string_equal(ht_proc_value_in(environment, "HEAPTAP_RUN"), "12345678901234567890");
    ht_run_environment_free(environment);
}

static void test_environment_of_options(void **state)
{
    (void)state;
    char preload[] = "LD_PRELOAD=/a.so", twice[] = "HEAPTAP_RATE=1", again[] = "HEAPTAP_RATE=2";
    char *base[] = {twice, preload, again, NULL};
    struct ht_run_settings settings = {.out = "/out",
                                       .signal = "USR1",
                                       .only = "redis*",
                                       .labels = "thread",
                                       .unwind = "fp",
                                       .rate_bytes = 65536,
                                       .interval_ns = 1500000000,
                                       .growth_bytes = 1 << 20,
                                       .memory_bytes = 1 << 24,
                                       .keep = 3,
                                       .no_exit = true,
                                       .dormant = true};
    char **environment = ht_run_environment(base, &settings, "/x.so:/a.so", false);
    static const char *const expected[][2] = {
        {"LD_PRELOAD", "/x.so:/a.so"},  {"HEAPTAP_OUT", "/out"},        {"HEAPTAP_RATE", "65536"},
        {"HEAPTAP_SIGNAL", "USR1"},     {"HEAPTAP_INTERVAL", "1500ms"}, {"HEAPTAP_GROWTH", "1048576"},
        {"HEAPTAP_EXIT", "0"},          {"HEAPTAP_KEEP", "3"},          {"HEAPTAP_ONLY", "redis*"},
        {"HEAPTAP_MEMORY", "16777216"}, {"HEAPTAP_UNWIND", "fp"},       {"HEAPTAP_LABELS", "thread"},
        {"HEAPTAP_ACTIVE", "0"}};
    size_t count = 0;
    for (char **at = environment; *at != NULL; at++)
        count++;
    assert_int_equal(count, sizeof expected / sizeof *expected); // nothing twice
    for (size_t i = 0; i < count; i++)
        assert_string_equal(ht_proc_value_in(environment, expected[i][0]), expected[i][1]);
    ht_run_environment_free(environment);
    environment = ht_run_environment(base, &settings, "/x.so", true); // the command snaps from outside
    assert_null(ht_proc_value_in(environment, "HEAPTAP_INTERVAL"));
    ht_run_environment_free(environment);
}

static void test_finding_the_shim(void **state)
{
    (void)state;
    char directory[] = "/tmp/heaptap-run-XXXXXX", path[PATH_MAX], name[PATH_MAX], real[PATH_MAX];
    assert_non_null(mkdtemp(directory));
    snprintf(name, sizeof name,
             "mkdir -p %s/bin %s/lib '%s/a b' && touch %s/lib/libheaptap.so '%s/a b/libheaptap.so'",
             directory, directory, directory, directory, directory);
    assert_int_equal(system(name), 0);
    snprintf(name, sizeof name, "%s/bin", directory);
    assert_int_equal(ht_run_find_shim(name, path), 0);
    snprintf(name, sizeof name, "%s/lib/libheaptap.so", directory);
    assert_non_null(realpath(name, real));
    assert_string_equal(path, real);
    snprintf(name, sizeof name, "%s/a b", directory);
    assert_int_equal(ht_run_find_shim(name, path), -1);
    assert_non_null(strstr(ht_error(), "space"));
    assert_int_equal(ht_run_find_allocator("nonesuch", path), -1);
    snprintf(name, sizeof name, "rm -rf %s", directory);
    assert_int_equal(system(name), 0);
}

static int ended_calls;
static siginfo_t ended_info;

static void on_end(pid_t child, const siginfo_t *info, void *arg)
{
    char path[64];
    (void)arg;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child); // dead, but still there to be looked at
    assert_int_equal(access(path, F_OK), 0);
    ended_calls++;
    ended_info = *info;
}

static int run_shell(const char *script)
{
    char name[] = "sh", option[] = "-c", text[1024];
    snprintf(text, sizeof text, "%s", script);
    char *argv[] = {name, option, text, NULL};
    struct ht_child child = {.path = "/bin/sh", .argv = argv, .environment = environ, .ended = on_end};
    return ht_child_run(&child);
}

static void test_exit_status(void **state)
{
    (void)state;
    ended_calls = 0;
    assert_int_equal(run_shell("exit 0"), 0);
    assert_int_equal(run_shell("exit 7"), 7);
    assert_int_equal(run_shell("exit 125"), 125);
    assert_int_equal(run_shell("kill -KILL $$"), 128 + SIGKILL);
    assert_int_equal(ended_info.si_status, SIGKILL);
    assert_int_equal(run_shell("kill -TERM $$"), 128 + SIGTERM);
    assert_int_equal(run_shell("ulimit -c 0; kill -SEGV $$"), 128 + SIGSEGV);
    assert_int_equal(ended_calls, 6);
}

static void test_cannot_start(void **state)
{
    (void)state;
    char name[] = "x", script[] = "/tmp/heaptap-script-XXXXXX";
    char *argv[] = {name, NULL};
    struct ht_child child = {.path = "/nonexistent/x", .argv = argv, .environment = environ};
    assert_int_equal(ht_child_run(&child), 127);
    child.path = "/tmp";
    assert_int_equal(ht_child_run(&child), 126);
    int fd = mkstemp(script); // no #! line: the shell runs it
    assert_true(fd >= 0 && write(fd, "exit 9\n", 7) == 7 && fchmod(fd, 0700) == 0);
    close(fd);
    child.path = script;
    assert_int_equal(ht_child_run(&child), 9);
    unlink(script);
}

// Runs the script under ht_child_run in a process of its own, in a group of its own, and returns its pid.
// What it prints can be read from *ret_fd.
static pid_t run_apart(const char *script, int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        dup2(fds[1], 1);
        close(fds[0]);
        close(fds[1]);
        _exit(run_shell(script));
    }
    close(fds[1]);
    *ret_fd = fds[0];
    char line[8] = "";
    assert_int_equal(read(fds[0], line, 6), 6); // "ready\n"
    assert_string_equal(line, "ready\n");
    return pid;
}

static int status_of(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void read_rest(int fd, char *text, size_t bytes)
{
    size_t used = 0;
    ssize_t got;
    while (used + 1 < bytes && (got = read(fd, text + used, bytes - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(fd);
}

static void test_signals_are_passed_on(void **state)
{
    (void)state;
    static const struct {
        int signal;
        const char *name;
    } cases[] = {{SIGTERM, "TERM"}, {SIGINT, "INT"},   {SIGHUP, "HUP"},     {SIGUSR1, "USR1"},
                 {SIGUSR2, "USR2"}, {SIGQUIT, "QUIT"}, {SIGWINCH, "WINCH"}, {SIGALRM, "ALRM"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char script[256], text[256];
        int fd;
        snprintf(script, sizeof script,
                 "trap 'echo got %s; exit 3' %s; echo ready; while :; do sleep 0.1; done", cases[i].name,
                 cases[i].name);
        pid_t pid = run_apart(script, &fd);
        kill(pid, cases[i].signal);
        assert_int_equal(status_of(pid), 3);
        read_rest(fd, text, sizeof text);
        assert_non_null(strstr(text, "got "));
    }
}

static void test_default_actions_reach_the_program(void **state)
{
    (void)state;
    int fd;
    pid_t pid = run_apart("echo ready; exec sleep 10", &fd);
    kill(pid, SIGTERM);
    assert_int_equal(status_of(pid), 128 + SIGTERM);
    close(fd);
    pid = run_apart("echo ready; exec sleep 10", &fd);
    kill(pid, SIGUSR2);
    assert_int_equal(status_of(pid), 128 + SIGUSR2);
    close(fd);
}

static void test_queued_values_arrive(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        static const char program[] = "import signal,os,sys\n"
                                      "signal.pthread_sigmask(signal.SIG_BLOCK,[signal.SIGRTMIN])\n"
                                      "os.write(1,b'ready\\n')\n"
                                      "i=signal.sigwaitinfo([signal.SIGRTMIN])\n"
                                      "sys.exit(4 if i.si_code==-1 else 5)\n";
        char name[] = "python3", option[] = "-c", text[sizeof program];
        char *argv[] = {name, option, text, NULL};
        memcpy(text, program, sizeof program);
        struct ht_child child = {.path = "/usr/bin/python3", .argv = argv, .environment = environ};
        dup2(fds[1], 1);
        _exit(access(child.path, X_OK) == 0 ? ht_child_run(&child) : 77);
    }
    close(fds[1]);
    char line[8] = "";
    if (read(fds[0], line, 6) == 6)
        sigqueue(pid, SIGRTMIN, (union sigval){.sival_int = 42});
    close(fds[0]);
    int status = status_of(pid);
    if (status == 77)
        skip();
    assert_int_equal(status, 4);
}

static void test_ignored_signals_stay_ignored(void **state)
{
    (void)state;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGHUP, &ignore, &before); // as nohup does
    int fd;
    char text[64];
    pid_t pid = run_apart("trap 'echo alive; exit 0' TERM; echo ready; while :; do sleep 0.1; done", &fd);
    kill(pid, SIGHUP);
    kill(pid, SIGTERM); // arrives behind it
    assert_int_equal(status_of(pid), 0);
    read_rest(fd, text, sizeof text);
    assert_string_equal(text, "alive\n");
    sigaction(SIGHUP, &before, NULL);
}

static void test_inherited_state_reaches_the_program(void **state)
{
    (void)state;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigset_t set, mask;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &mask);
    sigaction(SIGCHLD, &ignore, &before);
    // The kernel's own words (no shell: it would reset them): USR1, bit 9, blocked and nothing else; CHLD,
    // bit 16, ignored.
    char name[] = "grep", quiet[] = "-q", file[] = "/proc/self/status";
    char blocked[] = "^SigBlk:.*0000000000000200$", ignored[] = "^SigIgn:.*1....$";
    char *argv[] = {name, quiet, blocked, file, NULL};
    struct ht_child child = {.path = "/bin/grep", .argv = argv, .environment = environ};
    int blocked_status = ht_child_run(&child);
    argv[2] = ignored;
    int ignored_status = ht_child_run(&child);
    sigaction(SIGCHLD, &before, NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    assert_int_equal(blocked_status, 0);
    assert_int_equal(ignored_status, 0);
}

static void test_stop_and_continue(void **state)
{
    (void)state;
    int fd;
    int status;
    pid_t pid = run_apart("echo ready; while [ -z \"$(grep 'State:.T' /proc/$PPID/status)\" ]; do :; done; "
                          "echo alone; exit 6",
                          &fd);
    kill(pid, SIGSTOP); // us alone: the program goes on, and ends
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    char text[8] = "";
    assert_int_equal(read(fd, text, 6), 6);
    assert_string_equal(text, "alone\n");
    kill(pid, SIGCONT);
    assert_int_equal(status_of(pid), 6);
    close(fd);
}

struct ticks {
    uint32_t count;
    int line; // where each one writes an empty line
};

static void on_tick(pid_t child, void *arg)
{
    (void)child;
    struct ticks *ticks = arg;
    __atomic_fetch_add(&ticks->count, 1, __ATOMIC_RELAXED);
    if (write(ticks->line, "\n", 1) != 1)
        abort();
}

static void on_bad_tick(pid_t child, void *arg)
{
    on_tick(child, arg);
    abort(); // whatever happens there
}

// The program ends when three ticks have come; there are no more than fit into the time that it took.
static void run_for_three(void (*tick)(pid_t child, void *arg))
{
    struct ticks *ticks =
        mmap(NULL, sizeof *ticks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int fds[2];
    assert_ptr_not_equal(ticks, MAP_FAILED);
    assert_int_equal(pipe(fds), 0);
    ticks->line = fds[1];
    char name[] = "sh", option[] = "-c", script[128];
    snprintf(script, sizeof script, "read a <&%d; read b <&%d; read c <&%d", fds[0], fds[0], fds[0]);
    char *argv[] = {name, option, script, NULL};
    struct ht_child child = {.path = "/bin/sh",
                             .argv = argv,
                             .environment = environ,
                             .interval_ns = 200000000,
                             .tick = tick,
                             .arg = ticks};
    uint64_t begun_ns = ht_clock_raw_monotonic_ns();
    assert_int_equal(ht_child_run(&child), 0);
    uint64_t spent_ns = ht_clock_raw_monotonic_ns() - begun_ns;
    assert_in_range(ticks->count, 3, spent_ns / child.interval_ns + 1);
    close(fds[0]);
    close(fds[1]);
    munmap(ticks, sizeof *ticks);
}

static void test_ticks(void **state)
{
    (void)state;
    run_for_three(on_tick);
    run_for_three(on_bad_tick);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preload),
        cmocka_unit_test(test_companion),
        cmocka_unit_test(test_environment_stays),
        cmocka_unit_test(test_environment_marks_the_run),
        cmocka_unit_test(test_environment_of_options),
        cmocka_unit_test(test_finding_the_shim),
        cmocka_unit_test(test_exit_status),
        cmocka_unit_test(test_cannot_start),
        cmocka_unit_test(test_signals_are_passed_on),
        cmocka_unit_test(test_default_actions_reach_the_program),
        cmocka_unit_test(test_queued_values_arrive),
        cmocka_unit_test(test_ignored_signals_stay_ignored),
        cmocka_unit_test(test_inherited_state_reaches_the_program),
        cmocka_unit_test(test_stop_and_continue),
        cmocka_unit_test(test_ticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
