// The shim of `heaptap doctor`: found, tried on a program of our own, its place among preloads, and its
// variables.
#include "base/error.h"
#include "base/options.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/text.h"
#include "doctor/doctor.h"
#include "launch/launch.h"
#include "sys/variables.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_MS         10000
#define MAX_ERRORS_BYTES (64u << 10)

static int find_shim(char path[PATH_MAX])
{
    char folder[PATH_MAX];
    return ht_proc_own_folder(folder) == 0 ? ht_run_find_shim(folder, path) : -1;
}

// Variables for a child, in one array: ours without those of the profiler, then what is added.
struct child_environment {
    char **items;
    size_t count, capacity;
};

static void add_variable(struct child_environment *environment, char *item) // owned from now on
{
    HT_RESERVE(environment->items, environment->capacity, environment->count + 2);
    environment->items[environment->count++] = item;
    environment->items[environment->count] = NULL;
}

static bool is_ours(const char *item)
{
    return strncmp(item, "HEAPTAP_", 8) == 0;
}

static void start_environment(struct child_environment *environment, const char *shim)
{
    for (char **at = environ; *at != NULL; at++)
        if (!is_ours(*at) && strncmp(*at, "LD_PRELOAD=", 11) != 0)
            add_variable(environment, ht_strdup(*at));
    const struct ht_run_libraries libraries = {.shim = shim};
    char *preload = ht_run_preload(&libraries, getenv("LD_PRELOAD"));
    add_variable(environment, ht_format("LD_PRELOAD=%s", preload));
    free(preload);
}

// Everything that the child says on standard error, within the deadline; the child is killed when it is over.
static void read_errors(int fd, pid_t child, struct ht_buffer *errors)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    char bytes[4096];
    ssize_t got;
    ht_buffer_text(errors, "");
    while (poll(&poll_fd, 1, TRIAL_MS) > 0 && (got = read(fd, bytes, sizeof bytes)) > 0)
        if (errors->length < MAX_ERRORS_BYTES)
            ht_buffer_add(errors, bytes, (size_t)got);
    kill(child, poll_fd.revents != 0 ? 0 : SIGKILL);
}

// Runs this command's --version with the environment; its status as of waitpid, -1 when it cannot be started.
static int run_self(char *const *environment, struct ht_buffer *errors)
{
    char name[] = "heaptap", option[] = "--version";
    char *argv[] = {name, option, NULL};
    int fds[2], status = -1;
    pid_t child;
    posix_spawn_file_actions_t actions;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
    int failed = posix_spawn(&child, "/proc/self/exe", &actions, NULL, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (failed == 0) {
        read_errors(fds[0], child, errors);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    close(fds[0]);
    return status;
}

static void first_line(struct ht_buffer *text)
{
    ht_buffer_text(text, "");
    text->data[strcspn(text->data, "\n")] = '\0';
}

// Removes what the trial left in its folder; true if a profile was among it.
static bool clean_up(const char *folder)
{
    bool found = false;
    DIR *stream = opendir(folder);
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] == '.' && (entry->d_name[1] == '\0' || entry->d_name[1] == '.'))
            continue;
        found |= strstr(entry->d_name, ".exit.pb.gz") != NULL;
        unlinkat(dirfd(stream), entry->d_name, 0);
    }
    if (stream != NULL)
        closedir(stream);
    rmdir(folder);
    return found;
}

void ht_doctor_check_shim(struct ht_doctor *doctor)
{
    char shim[PATH_MAX], folder[PATH_MAX];
    const char *parent = getenv("TMPDIR");
    struct child_environment environment = {0};
    struct ht_buffer errors = {0};
    if (doctor->has_shim)
        return; // a process has it
    if (find_shim(shim) != 0) {
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, "build it, or install it beside the command", "%s",
                      ht_error());
        return;
    }
    snprintf(folder, sizeof folder, "%s/heaptap-trial-XXXXXX",
             parent != NULL && *parent == '/' ? parent : "/tmp");
    if (strlen(folder) > 900 || mkdtemp(folder) == NULL) {
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s (not tried: no folder for temporary files)", shim);
        return;
    }
    start_environment(&environment, shim);
    add_variable(&environment, ht_format("HEAPTAP_OUT=%s", folder));
    add_variable(&environment, ht_strdup("HEAPTAP_RATE=1"));
    int status = run_self(environment.items, &errors);
    bool written = clean_up(folder);
    first_line(&errors);
    if (written && status == 0)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s; a trial run here wrote a profile", shim);
    else if (WIFSIGNALED(status))
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM,
                      "a seccomp filter or a limit of this shell may be the reason",
                      "%s; a trial run here died of signal %d", shim, WTERMSIG(status));
    else
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM,
                      "a limit of this shell or a missing library may be the reason",
                      "%s; a trial run here wrote no profile: %s", shim, errors.data);
    ht_buffer_free(&errors);
    ht_run_environment_free(environment.items);
}

static bool exports_malloc(const char *path)
{
    struct ht_elf_image image;
    bool found = ht_elf_image_open(&image, path) == HT_ELF_WHOLE && ht_elf_image_exports(&image, "malloc");
    ht_elf_image_close(&image);
    return found;
}

void ht_doctor_check_preload(struct ht_doctor *doctor)
{
    const char *list = ht_doctor_variable(doctor, "LD_PRELOAD");
    bool shim_came = !doctor->has_shim;
    for (const char *at = list != NULL ? list : ""; *at != '\0';) {
        char path[PATH_MAX];
        size_t length = strcspn(at, ": ");
        int used = snprintf(path, sizeof path, "%s%.*s", *at == '/' ? doctor->root : "", (int)length, at);
        at += length + (at[length] != '\0');
        if (length == 0 || used >= PATH_MAX)
            continue;
        if (strstr(path, "libheaptap.so") != NULL)
            shim_came = true;
        else if (path[0] == '/' && access(path, F_OK) != 0 && doctor->has_shim)
            continue; // it has what it was started with
        else if (path[0] == '/' && access(path, F_OK) != 0)
            ht_doctor_say(doctor, HT_DOCTOR_WARNING, "take it out of LD_PRELOAD", "%s is not there", path);
        else if (path[0] == '/' && exports_malloc(path) && !shim_came)
            ht_doctor_say(doctor, HT_DOCTOR_PROBLEM,
                          "put libheaptap.so first in LD_PRELOAD, or use 'heaptap run'",
                          "%s defines malloc and comes before the profiler", path)
                ->ends_with_restart = true;
        else if (path[0] == '/' && exports_malloc(path))
            ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s defines malloc and comes behind the profiler",
                          path);
    }
}

// The names alone; what their values may be is asked of the shim itself.
static const char *const variables[] = {
#define ROW(name, ...) name,
    HT_VARIABLES(ROW) HT_LOG_VARIABLES(ROW)
#undef ROW
};
#define VARIABLES (sizeof variables / sizeof *variables)

static void check_names(struct ht_doctor *doctor)
{
    for (char *const *at = doctor->environment; *at != NULL; at++) {
        char name[64], advice[160];
        bool known = !is_ours(*at);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*at, "="), *at);
        for (size_t i = 0; i < VARIABLES && !known; i++)
            known = strcmp(name, variables[i]) == 0;
        if (known)
            continue;
        const char *nearest = ht_nearest(name, variables, VARIABLES);
        if (nearest != NULL)
            snprintf(advice, sizeof advice, "did you mean %s?", nearest);
        ht_doctor_say(doctor, HT_DOCTOR_WARNING,
                      nearest != NULL ? advice : "'man 7 heaptap' lists what there is",
                      "%s is no variable of the profiler and has no effect", name);
    }
}

// Lets the shim read the variables in a child that it only forwards in, and passes on what it complains
// about.
static void ask_shim(struct ht_doctor *doctor, const char *shim, bool only_alone)
{
    struct child_environment environment = {0};
    struct ht_buffer errors = {0};
    start_environment(&environment, shim);
    for (char *const *at = doctor->environment; *at != NULL; at++)
        if (is_ours(*at) && strncmp(*at, "HEAPTAP_LOG=", 12) != 0 &&
            only_alone == (strncmp(*at, "HEAPTAP_ONLY=", 13) == 0))
            add_variable(&environment, ht_strdup(*at));
    add_variable(&environment, ht_strdup(only_alone ? "HEAPTAP_RATE=0" : "HEAPTAP_ONLY=no.such.program"));
    run_self(environment.items, &errors);
    for (char *rest = errors.data, *line; (line = ht_text_take_line(&rest)) != NULL;)
        if (ht_text_starts_with(line, "heaptap: HEAPTAP_"))
            ht_doctor_say(doctor, HT_DOCTOR_WARNING, "correct it or unset it", "%s", line + 9);
    ht_buffer_free(&errors);
    ht_run_environment_free(environment.items);
}

static void check_log(struct ht_doctor *doctor)
{
    const char *value = ht_doctor_variable(doctor, "HEAPTAP_LOG");
    char folder[PATH_MAX];
    if (value == NULL || strcmp(value, "stderr") == 0 || strcmp(value, "none") == 0)
        return;
    snprintf(folder, sizeof folder, "%s%s", *value == '/' ? doctor->root : "", value);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder] = '\0';
    if (*value == '\0')
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, "correct it or unset it",
                      "HEAPTAP_LOG='' is not stderr, none or a file; using stderr");
    else if (access(slash != NULL ? folder : ".", W_OK | X_OK) != 0)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, "choose another file",
                      "HEAPTAP_LOG=%s: cannot be written: %s", value, strerror(errno));
}

// Values that are right and switch something off.
static void check_choices(struct ht_doctor *doctor)
{
    const char *rate = ht_doctor_variable(doctor, "HEAPTAP_RATE"),
               *only = ht_doctor_variable(doctor, "HEAPTAP_ONLY");
    const char *active = ht_doctor_variable(doctor, "HEAPTAP_ACTIVE");
    if (doctor->pid != 0)
        return; // the check of the profiler in it has said so
    if (rate != NULL && strcmp(rate, "0") == 0)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, "unset it", "HEAPTAP_RATE=0: nothing is recorded");
    if (only != NULL && *only != '\0' && strcmp(only, "all") != 0 && strchr(only, '/') == NULL &&
        fnmatch(only, ht_path_name(doctor->subject), 0) != 0 &&
        fnmatch(only, ht_path_name(doctor->path), 0) != 0)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, "unset it, or add the program's name to the pattern",
                      "HEAPTAP_ONLY=%s leaves this program out", only);
    if (active != NULL && strcmp(active, "0") == 0)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, "'heaptap start PID' begins",
                      "HEAPTAP_ACTIVE=0: it starts dormant");
}

void ht_doctor_check_variables(struct ht_doctor *doctor)
{
    char shim[PATH_MAX];
    size_t before = doctor->finding_count;
    struct ht_buffer text = {0};
    for (char *const *at = doctor->environment; *at != NULL; at++)
        if (is_ours(*at))
            ht_buffer_printf(&text, "%s%s", text.length > 0 ? " " : "", *at);
    if (text.length > 0) {
        check_names(doctor);
        check_log(doctor);
        check_choices(doctor);
        if (find_shim(shim) == 0) {
            ask_shim(doctor, shim, false);
            if (ht_doctor_variable(doctor, "HEAPTAP_ONLY") != NULL)
                ask_shim(doctor, shim, true);
        }
    }
    if (doctor->has_shim && !doctor->own_environment.is_whole)
        ht_doctor_say(doctor, HT_DOCTOR_UNKNOWN,
                      doctor->has_header ? "the other lines go by its region, which has what is in force"
                                         : "'heaptap run -v' shows what a program is started with",
                      "the process has written over its environment: what is left of it is %s",
                      text.length > 0 ? text.data : "nothing of the profiler's");
    else if (doctor->finding_count == before)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s",
                      text.length > 0 ? text.data : "none is set: the defaults hold");
    ht_buffer_free(&text);
}
