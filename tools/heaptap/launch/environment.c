// The environment that makes a program load the shim, and where shim and allocators lie.
#include "base/error.h"
#include "base/memory.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/text.h"
#include "launch/launch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define LIB_MULTIARCH "lib/x86_64-linux-gnu"
#define UP_MULTIARCH  "../lib/x86_64-linux-gnu"
#elif defined(__aarch64__)
#define LIB_MULTIARCH "lib/aarch64-linux-gnu"
#define UP_MULTIARCH  "../lib/aarch64-linux-gnu"
#endif
#define SHIM_NAME "libheaptap.so"
#ifndef HT_LIB_FROM_BIN // where `cmake --install` puts it, seen from where it puts the command
#define HT_LIB_FROM_BIN "../lib"
#endif

static const char *const installed[] = {
    ("/usr/local/" LIB_MULTIARCH), "/usr/local/lib", ("/usr/" LIB_MULTIARCH), "/usr/lib64", "/usr/lib",
};
#define INSTALLED_COUNT (sizeof installed / sizeof *installed)

static bool is_file(const char *path)
{
    struct stat stat_of;
    return stat(path, &stat_of) == 0 && S_ISREG(stat_of.st_mode) && access(path, R_OK) == 0;
}

int ht_run_find_shim(const char *directory, char ret_path[PATH_MAX])
{
    static const char *const beside[] = {".", HT_LIB_FROM_BIN, UP_MULTIARCH, "../lib", "../lib64"};
    char candidate[PATH_MAX], real[PATH_MAX];
    real[0] = '\0';
    for (size_t i = 0; i < sizeof beside / sizeof *beside && real[0] == '\0'; i++)
        if (snprintf(candidate, sizeof candidate, "%s/%s/" SHIM_NAME, directory, beside[i]) < PATH_MAX &&
            is_file(candidate) && realpath(candidate, real) == NULL)
            real[0] = '\0';
    for (size_t i = 0; i < INSTALLED_COUNT && real[0] == '\0'; i++)
        if (snprintf(candidate, sizeof candidate, "%s/" SHIM_NAME, installed[i]) < PATH_MAX &&
            is_file(candidate))
            snprintf(real, sizeof real, "%s", candidate);
    if (real[0] == '\0')
        return ht_fail(SHIM_NAME
                       " is neither beside this command (%s) nor in ../lib nor installed; build or install "
                       "it there",
                       directory);
    if (strpbrk(real, " :") != NULL)
        return ht_fail("%s: LD_PRELOAD cannot carry a path with a space or a colon; move heaptap elsewhere",
                       real);
    snprintf(ret_path, PATH_MAX, "%s", real);
    return 0;
}

bool ht_run_find_installed(const char *name, char ret_path[PATH_MAX])
{
    for (size_t i = 0; i < INSTALLED_COUNT; i++)
        if (snprintf(ret_path, PATH_MAX, "%s/%s", installed[i], name) < PATH_MAX && is_file(ret_path))
            return true;
    return false;
}

char *ht_run_preload(const struct ht_run_libraries *libraries, const char *existing)
{
    struct ht_buffer text = {0};
    const char *companion = libraries->companion[0] != '\0' ? libraries->companion : NULL;
    ht_buffer_text(&text, libraries->shim);
    if (companion != NULL && libraries->allocator != NULL)
        ht_buffer_printf(&text, ":%s", companion);
    if (libraries->allocator != NULL)
        ht_buffer_printf(&text, ":%s", libraries->allocator);
    bool is_placed = companion == NULL || libraries->allocator != NULL;
    for (const char *at = existing != NULL ? existing : ""; *at != '\0';) {
        size_t length = strcspn(at, ": ");
        char *library = ht_format("%.*s", (int)length, at);
        const char *name = ht_path_name(library);
        if (!is_placed && strcmp(name, libraries->of) == 0) {
            ht_buffer_printf(&text, ":%s", companion);
            is_placed = true;
        }
        if (length > 0 && !ht_text_starts_with(name, SHIM_NAME) &&
            !(companion != NULL && ht_text_starts_with(name, "libheaptap-")))
            ht_buffer_printf(&text, ":%s", library);
        free(library);
        at += length + (at[length] != '\0');
    }
    if (!is_placed) // before what the program itself needs
        ht_buffer_printf(&text, ":%s", companion);
    return text.data;
}

const char *ht_run_live_directory(char *const *environment)
{
    const char *live = ht_proc_value_in(environment, "HEAPTAP_LIVE");
    if (live == NULL || *live == '\0' || strcmp(live, "on") == 0)
        return "/dev/shm";
    return live[0] == '/' ? live : "";
}

bool ht_run_profile_directory(char *const *environment, char ret_path[PATH_MAX])
{
    char here[PATH_MAX];
    const char *out = ht_proc_value_in(environment, "HEAPTAP_OUT");
    if (out != NULL && out[0] == '/')
        return (size_t)snprintf(ret_path, PATH_MAX, "%s", out) < PATH_MAX;
    if (getcwd(here, sizeof here) == NULL)
        return false;
    return (size_t)snprintf(ret_path, PATH_MAX, "%s%s%s", here, out != NULL && *out != '\0' ? "/" : "",
                            out != NULL ? out : "") < PATH_MAX;
}

struct variables {
    char **items; // NULL-terminated when finished
    size_t count, capacity;
};

static void unset(struct variables *variables, const char *name)
{
    size_t length = strlen(name), kept = 0;
    for (size_t i = 0; i < variables->count; i++) {
        char *item = variables->items[i];
        if (strncmp(item, name, length) == 0 && item[length] == '=')
            free(item);
        else
            variables->items[kept++] = item;
    }
    variables->count = kept;
}

static void add(struct variables *variables, char *item)
{
    HT_RESERVE(variables->items, variables->capacity, variables->count + 1);
    variables->items[variables->count++] = item;
}

static void set_text(struct variables *variables, const char *name, const char *value)
{
    if (value == NULL)
        return;
    unset(variables, name);
    add(variables, ht_format("%s=%s", name, value));
}

static void set_number(struct variables *variables, const char *name, uint64_t value, const char *unit)
{
    if (value == HT_RUN_UNSET)
        return;
    unset(variables, name);
    add(variables, ht_format("%s=%" PRIu64 "%s", name, value, unit));
}

char **ht_run_environment(char *const *base, const struct ht_run_settings *settings, const char *preload,
                          bool outside)
{
    struct variables variables = {0};
    for (; *base != NULL; base++)
        add(&variables, ht_strdup(*base));
    set_text(&variables, "LD_PRELOAD", preload);
    set_text(&variables, "HEAPTAP_OUT", settings->out);
    set_number(&variables, "HEAPTAP_RATE", settings->rate_bytes, "");
    set_number(&variables, "HEAPTAP_GROWTH", settings->growth_bytes, "");
    set_number(&variables, "HEAPTAP_MEMORY", settings->memory_bytes, "");
    if (settings->interval_ns != HT_RUN_UNSET) {
        unset(&variables, "HEAPTAP_INTERVAL");
        if (!outside) // rounded up: 0 would switch it off
            set_number(&variables, "HEAPTAP_INTERVAL", (settings->interval_ns + 999999) / 1000000, "ms");
    }
    if (settings->keep >= 0)
        set_number(&variables, "HEAPTAP_KEEP", (uint64_t)settings->keep, "");
    set_text(&variables, "HEAPTAP_SIGNAL", settings->signal);
    set_text(&variables, "HEAPTAP_ONLY", settings->only);
    set_text(&variables, "HEAPTAP_LABELS", settings->labels);
    set_text(&variables, "HEAPTAP_UNWIND", settings->unwind);
    set_text(&variables, "HEAPTAP_EXIT", settings->no_exit ? "0" : NULL);
    set_text(&variables, "HEAPTAP_ACTIVE", settings->dormant ? "0" : NULL);
    unset(&variables, "HEAPTAP_RUN"); // of a run around this one
    if (settings->run_id != 0)
        set_number(&variables, "HEAPTAP_RUN", settings->run_id, "");
    add(&variables, NULL);
    return variables.items;
}

void ht_run_environment_free(char **environment)
{
    for (char **at = environment; at != NULL && *at != NULL; at++)
        free(*at);
    free(environment);
}

void ht_run_say(void (*say)(const char *text), const char *format, ...)
{
    char text[3 * PATH_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (say != NULL)
        say(text);
}
