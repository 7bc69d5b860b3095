// Reading the environment: one table of variables, each with its parser and its default.
#include "trigger/config.h"

#include "record/layout.h"
#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/log.h"
#include "sys/raw.h"
#include "sys/variables.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#define KIB        UINT64_C(1024)
#define MIN_MEMORY (KIB * KIB)

static bool ht_parse_u64(const char *text, uint64_t *ret_value, const char **ret_rest)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)) {
            return false;
        }
    }
    if (at == text) {
        return false;
    }
    *ret_value = value;
    *ret_rest = at;
    return true;
}

bool ht_config_parse_size(const char *text, uint64_t *ret_bytes)
{
    uint64_t value;
    const char *rest;
    if (!ht_parse_u64(text, &value, &rest)) {
        return false;
    }
    uint64_t unit = 1;
    if (*rest != '\0') {
        const char *at = strchr("kKmMgG", *rest);
        if (at == NULL) {
            return false;
        }
        unit = *rest == 'k' || *rest == 'K'   ? KIB
               : *rest == 'm' || *rest == 'M' ? KIB * KIB
                                              : KIB * KIB * KIB;
        rest++;
        if (*rest == 'i') {
            rest++;
        }
        if (*rest == 'B' || *rest == 'b') {
            rest++;
        }
    }
    if (*rest != '\0' || __builtin_mul_overflow(value, unit, &value)) {
        return false;
    }
    *ret_bytes = value;
    return true;
}

bool ht_config_parse_duration(const char *text, uint64_t *ret_ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ms", UINT64_C(1000000)},
                 {"s", UINT64_C(1000000000)},
                 {"", UINT64_C(1000000000)},
                 {"m", UINT64_C(60000000000)},
                 {"h", UINT64_C(3600000000000)}};
    uint64_t value;
    const char *rest;
    if (!ht_parse_u64(text, &value, &rest)) {
        return false;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(rest, units[i].name) == 0 && !__builtin_mul_overflow(value, units[i].ns, &value)) {
            *ret_ns = value;
            return true;
        }
    }
    return false;
}

bool ht_parse_signal(const char *text, int *ret_signal)
{
    static const struct {
        const char *name;
        int number;
    } names[] = {{"HUP", SIGHUP},     {"INT", SIGINT},   {"QUIT", SIGQUIT},     {"USR1", SIGUSR1},
                 {"USR2", SIGUSR2},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},     {"CHLD", SIGCHLD},
                 {"CONT", SIGCONT},   {"URG", SIGURG},   {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF},
                 {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"PWR", SIGPWR},       {"XCPU", SIGXCPU},
                 {"none", 0}};
    if (strncmp(text, "SIG", 3) == 0) {
        text += 3;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].name) == 0) {
            *ret_signal = names[i].number;
            return true;
        }
    }
    uint64_t number;
    const char *rest;
    if (!ht_parse_u64(text, &number, &rest) || *rest != '\0' || number == 0 || number > 64 ||
        number == SIGKILL || number == SIGSTOP || number == 32 || number == 33) {
        return false;
    }
    *ret_signal = (int)number;
    return true;
}

bool ht_glob_matches(const char *glob, const char *name)
{
    const char *star = NULL, *resume = NULL;
    while (*name != '\0') {
        if (*glob == '*') {
            star = glob++;
            resume = name;
        } else if (*glob == '?' || *glob == *name) {
            glob++;
            name++;
        } else if (star != NULL) {
            glob = star + 1;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*glob == '*') {
        glob++;
    }
    return *glob == '\0';
}

// Makes a path absolute against the working directory. False: too long, or the directory is gone.
static bool ht_absolute(const char *path, char *ret_path, size_t size)
{
    char buffer[1024];
    struct ht_text text = ht_text_init(buffer, sizeof buffer);
    if (path[0] != '/') {
        char cwd[1024];
        long length = ht_raw2(SYS_getcwd, (long)cwd, sizeof cwd);
        if (length <= 0 || cwd[0] != '/') { // "(unreachable)..." when it lies outside of our root
            return false;
        }
        ht_text_add(&text, cwd);
        if (path[0] != '\0' && cwd[1] != '\0') {
            ht_text_add_char(&text, '/');
        }
    }
    ht_text_add(&text, path);
    if (text.cut || text.length >= size) {
        return false;
    }
    memcpy(ret_path, buffer, text.length + 1);
    return true;
}

static bool ht_set_out(struct ht_config *config, const char *value)
{
    return value[0] != '\0' && ht_absolute(value, config->out_dir, sizeof config->out_dir);
}

static bool ht_set_rate(struct ht_config *config, const char *value)
{
    return ht_config_parse_size(value, &config->rate_bytes);
}

static bool ht_set_bool(const char *value, bool *ret_flag)
{
    if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0) {
        return false;
    }
    *ret_flag = value[0] == '1';
    return true;
}

static bool ht_set_active(struct ht_config *config, const char *value)
{
    return ht_set_bool(value, &config->active);
}

static bool ht_set_signal(struct ht_config *config, const char *value)
{
    return ht_parse_signal(value, &config->signal);
}

static bool ht_set_off_or(const char *value, bool (*parse)(const char *, uint64_t *), uint64_t *ret_number)
{
    if (strcmp(value, "off") == 0) {
        *ret_number = 0;
        return true;
    }
    uint64_t number;
    if (!parse(value, &number) || number == 0) {
        return false;
    }
    *ret_number = number;
    return true;
}

static bool ht_set_interval(struct ht_config *config, const char *value)
{
    return ht_set_off_or(value, ht_config_parse_duration, &config->interval_ns);
}

static bool ht_set_growth(struct ht_config *config, const char *value)
{
    return ht_set_off_or(value, ht_config_parse_size, &config->growth_bytes);
}

static bool ht_set_exit(struct ht_config *config, const char *value)
{
    return ht_set_bool(value, &config->exit);
}

static bool ht_set_argv(struct ht_config *config, const char *value)
{
    return ht_set_bool(value, &config->argv);
}

static bool ht_set_keep(struct ht_config *config, const char *value)
{
    uint64_t number;
    const char *rest;
    if (!ht_parse_u64(value, &number, &rest) || *rest != '\0' || number > 1000000) {
        return false;
    }
    config->keep = (uint32_t)number;
    return true;
}

static bool ht_set_only(struct ht_config *config, const char *value)
{
    size_t length = strlen(value);
    if (length == 0 || length >= sizeof config->only || strchr(value, '/') != NULL) {
        return false;
    }
    memcpy(config->only, strcmp(value, "all") == 0 ? "" : value, length + 1);
    return true;
}

static bool ht_set_live(struct ht_config *config, const char *value)
{
    if (strcmp(value, "off") == 0) {
        config->live_dir[0] = '\0';
        return true;
    }
    if (strcmp(value, "on") == 0) {
        value = "/dev/shm";
    }
    size_t length = strlen(value);
    if (value[0] != '/' || length >= sizeof config->live_dir) {
        return false;
    }
    memcpy(config->live_dir, value, length + 1);
    return true;
}

static bool ht_set_memory(struct ht_config *config, const char *value)
{
    uint64_t bytes;
    if (!ht_config_parse_size(value, &bytes) || bytes < MIN_MEMORY || bytes > UINT64_C(32) << 30) {
        return false;
    }
    config->memory_bytes = bytes;
    return true;
}

static bool ht_set_unwind(struct ht_config *config, const char *value)
{
    static const struct {
        const char *name;
        enum ht_unwind_mode mode;
    } modes[] = {{"auto", HT_UNWIND_AUTO},
                 {"cfi", HT_UNWIND_CFI},
                 {"fp", HT_UNWIND_FP},
                 {"libunwind", HT_UNWIND_LIBUNWIND}};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(value, modes[i].name) == 0) {
            config->unwind = modes[i].mode;
            return true;
        }
    }
    return false;
}

static bool ht_set_labels(struct ht_config *config, const char *value)
{
    uint32_t labels = 0;
    while (*value != '\0') {
        size_t length = strcspn(value, ",");
        if (length == 6 && memcmp(value, "thread", 6) == 0) {
            labels |= HT_LABELS_THREAD;
        } else if (length == 4 && memcmp(value, "user", 4) == 0) {
            labels |= HT_LABELS_USER;
        } else if (length != 4 || memcmp(value, "none", 4) != 0) {
            return false;
        }
        value += length + (value[length] == ',');
    }
    config->labels = labels;
    return true;
}

static bool ht_set_seed(struct ht_config *config, const char *value)
{
    const char *rest;
    if (strcmp(value, "random") == 0) {
        config->seed = 0;
        return true;
    }
    uint64_t seed;
    if (!ht_parse_u64(value, &seed, &rest) || *rest != '\0' || seed == 0) {
        return false;
    }
    config->seed = seed;
    return true;
}

// Set by `heaptap run` alone.
static bool ht_set_run(struct ht_config *config, const char *value)
{
    const char *rest;
    uint64_t run_id;
    if (!ht_parse_u64(value, &run_id, &rest) || *rest != '\0') {
        return false;
    }
    config->run_id = run_id;
    return true;
}

// The variables of the one table (sys/variables.h). HEAPTAP_LOG and HEAPTAP_VERBOSE come before them.
static const struct {
    const char *name;
    bool (*set)(struct ht_config *config, const char *value);
    const char *expected;
} ht_variables[] = {
#define ROW(name, setter, standard, meaning, expected) {name, ht_set_##setter, expected},
    HT_VARIABLES(ROW)
#undef ROW
};

static void ht_complain(const char *name, const char *value, const char *expected)
{
    char line[512];
    struct ht_text text = ht_text_init(line, sizeof line);
    ht_text_add(&text, name);
    ht_text_add(&text, "='");
    for (size_t i = 0; value[i] != '\0' && i < 64; i++) {
        ht_text_add_char(&text, (unsigned char)value[i] < 32 || value[i] == 127 ? '?' : value[i]);
    }
    ht_text_add(&text, "' is not ");
    ht_text_add(&text, expected);
    ht_log_error(line, NULL, 0);
}

// HEAPTAP_LOG and HEAPTAP_VERBOSE.
enum { HT_LOG_VARIABLE, HT_VERBOSE_VARIABLE };
static const struct {
    const char *name, *expected;
} ht_log_variables[] = {
#define ROW(name, standard, meaning, expected) {name, expected},
    HT_LOG_VARIABLES(ROW)
#undef ROW
};

static void ht_complain_log(int which, const char *value)
{
    ht_complain(ht_log_variables[which].name, value, ht_log_variables[which].expected);
}

static void ht_read_log(void)
{
    const char *verbose = secure_getenv(ht_log_variables[HT_VERBOSE_VARIABLE].name);
    bool chatty = verbose != NULL && strcmp(verbose, "1") == 0;
    const char *value = secure_getenv(ht_log_variables[HT_LOG_VARIABLE].name);
    char path[1024];
    if (value == NULL || strcmp(value, "stderr") == 0) {
        ht_log_setup(HT_LOG_STDERR, NULL, chatty);
    } else if (strcmp(value, "none") == 0) {
        ht_log_setup(HT_LOG_NONE, NULL, chatty);
    } else if (value[0] != '\0' && ht_absolute(value, path, sizeof path)) {
        ht_log_setup(HT_LOG_FILE, path, chatty);
    } else {
        ht_log_setup(HT_LOG_STDERR, NULL, chatty);
        ht_complain_log(HT_LOG_VARIABLE, value);
    }
    if (verbose != NULL && strcmp(verbose, "0") != 0 && strcmp(verbose, "1") != 0) {
        ht_complain_log(HT_VERBOSE_VARIABLE, verbose);
    }
}

// Whether [at, limit) contains this word between commas.
static bool ht_has_word(const char *at, const char *limit, const char *word)
{
    size_t length = strlen(word);
    while (at < limit) {
        const char *comma = memchr(at, ',', (size_t)(limit - at));
        const char *end = comma != NULL ? comma : limit;
        if ((size_t)(end - at) == length && memcmp(at, word, length) == 0) {
            return true;
        }
        at = end + 1;
    }
    return false;
}

static void ht_lower_to_file(const char *path, uint64_t *limit)
{
    char text[32];
    uint64_t bytes;
    if (ht_io_read_file(path, text, sizeof text) > 0 && ht_text_parse_u64(text, &bytes) && bytes < *limit) {
        *limit = bytes; // "max" is no number
    }
}

// The limits of a control group and of those above it: ROOT/a/b/FILE, ROOT/a/FILE, ROOT/FILE.
static void ht_cgroup_branch(const char *root, const char *group, size_t length, const char *file,
                             uint64_t *limit)
{
    for (;;) {
        char path[1200];
        struct ht_text text = ht_text_init(path, sizeof path);
        ht_text_add(&text, root);
        ht_text_add_max(&text, group, length);
        ht_text_add(&text, file);
        if (!text.cut) {
            ht_lower_to_file(path, limit);
        }
        if (length == 0) {
            return;
        }
        while (length > 0 && group[--length] != '/') {
        }
    }
}

// Lines "N:controllers:/group"; version 2 has one, "0::/group". In a container the group is that of the host
// while the files are the container's own: the branch then leads nowhere, and its root is the container's.
static void ht_cgroup_limits(uint64_t *limit)
{
    char groups[4096];
    if (ht_io_read_file("/proc/self/cgroup", groups, sizeof groups) <= 0) {
        groups[0] = '\0';
    }
    ht_lower_to_file("/sys/fs/cgroup/memory.max", limit);
    ht_lower_to_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", limit);
    for (const char *line = groups; *line != '\0';) {
        const char *end = strchr(line, '\n');
        const char *limit_of_line = end != NULL ? end : line + strlen(line);
        const char *controllers = memchr(line, ':', (size_t)(limit_of_line - line));
        const char *group = controllers != NULL
                                ? memchr(controllers + 1, ':', (size_t)(limit_of_line - controllers - 1))
                                : NULL;
        if (group != NULL && limit_of_line - group > 2) {
            size_t length = (size_t)(limit_of_line - group - 1);
            if (group == controllers + 1) {
                ht_cgroup_branch("/sys/fs/cgroup", group + 1, length, "/memory.max", limit);
            } else if (ht_has_word(controllers + 1, group, "memory")) {
                ht_cgroup_branch("/sys/fs/cgroup/memory", group + 1, length, "/memory.limit_in_bytes", limit);
            }
        }
        line = end != NULL ? end + 1 : limit_of_line;
    }
}

// The memory that this process may have: the machine's, or its container's.
static uint64_t ht_memory_limit(void)
{
    struct sysinfo info;
    uint64_t limit = UINT64_MAX;
    if (ht_raw1(SYS_sysinfo, (long)&info) == 0) {
        limit = (uint64_t)info.totalram * info.mem_unit;
    }
    ht_cgroup_limits(&limit);
    return limit;
}

static uint64_t ht_default_memory(uint64_t rate_bytes)
{
    uint64_t bytes = rate_bytes == 1 ? KIB * KIB * KIB : 64 * KIB * KIB;
    uint64_t most = ht_memory_limit() / 8;
    if (bytes > most) {
        bytes = most;
    }
    return bytes < MIN_MEMORY ? MIN_MEMORY : bytes;
}

void ht_config_read(struct ht_config *ret_config)
{
    struct ht_config *config = ret_config;
    memset(config, 0, sizeof *config);
    ht_read_log();
    config->rate_bytes = 512 * KIB;
    config->active = true;
    config->signal = SIGUSR2;
    config->exit = true;
    config->argv = true;
    ht_set_live(config, "on");
    if (!ht_absolute("", config->out_dir, sizeof config->out_dir)) {
        config->out_dir[0] = '\0';
    }
    for (size_t i = 0; i < sizeof ht_variables / sizeof ht_variables[0]; i++) {
        const char *value = secure_getenv(ht_variables[i].name);
        if (value != NULL && !ht_variables[i].set(config, value)) {
            ht_complain(ht_variables[i].name, value, ht_variables[i].expected);
        }
    }
    if (config->memory_bytes == 0) {
        config->memory_bytes = ht_default_memory(config->rate_bytes);
    }
}
