// heaptap symbolize: writes a profile that carries its own names, so that any viewer anywhere shows them.
#include "base/error.h"
#include "base/json.h"
#include "base/terminal.h"
#include "cmd/command.h"
#include "input/input.h"
#include "resolve/resolve.h"
#include "resolve/rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct symbolize_settings {
    const char *output, *demangle, *root;
    struct ht_strings debug_dirs;
    bool no_cache, debuginfod, json, verbose;
    uint64_t debuginfod_timeout_ns;
};

#define AT(member) offsetof(struct symbolize_settings, member)

static const struct ht_option option_table[] = {
    {"output", 'o', HT_OPT_STRING, AT(output), 0, "OUT",
     "the profile with names; it may be IN itself; -: standard output"},
    {"demangle", 0, HT_OPT_STRING, AT(demangle), 0, "HOW",
     "C++ and Rust names: simple, templates, full or none"},
    {"debug-dir", 0, HT_OPT_LIST, AT(debug_dirs), 0, "DIR",
     "look for separate debug info there too (may be repeated)"},
    {"root", 0, HT_OPT_STRING, AT(root), 0, "DIR",
     "programs and libraries are below DIR (an unpacked container)"},
    {"debuginfod", 0, HT_OPT_FLAG, AT(debuginfod), 0, NULL,
     "ask the servers of DEBUGINFOD_URLS for what is not here"},
    {"debuginfod-timeout", 0, HT_OPT_DURATION, AT(debuginfod_timeout_ns), 0, "TIME",
     "wait so long for all of them together (default 10s)"},
    {"no-cache", 0, HT_OPT_FLAG, AT(no_cache), 0, NULL, "neither use nor fill the cache of earlier answers"},
    {"json", 0, HT_OPT_FLAG, AT(json), 0, NULL, "what was found, module by module, as JSON"},
    {"verbose", 'v', HT_OPT_FLAG, AT(verbose), 0, NULL,
     "what was found, module by module, on standard error"},
    {.name = NULL},
};

static const char *const states[HT_RESOLVE_STATES] = {
    [HT_RESOLVE_CACHED] = "cached",         [HT_RESOLVE_DEBUG] = "debug_info",
    [HT_RESOLVE_SYMBOLS] = "symbols",       [HT_RESOLVE_CHANGED] = "changed",
    [HT_RESOLVE_MISSING] = "missing",       [HT_RESOLVE_NO_FILE] = "no_file",
    [HT_RESOLVE_UNREADABLE] = "unreadable",
};

static size_t named_in_all(const struct ht_resolve_summary *summary, size_t *ret_locations)
{
    size_t named = summary->jit_named;
    *ret_locations = summary->jit_locations;
    for (size_t i = 0; i < summary->module_count; i++) {
        named += summary->modules[i].named;
        // Code in no file is counted there and, as JIT code, once more.
        if (summary->modules[i].state != HT_RESOLVE_NO_FILE)
            *ret_locations += summary->modules[i].locations;
    }
    return named;
}

static int write_json(const struct symbolize_settings *settings, const char *input,
                      const struct ht_profile *profile, const struct ht_resolve_summary *summary)
{
    struct ht_buffer out = {0};
    struct ht_json json = {.out = &out};
    size_t locations, named = named_in_all(summary, &locations);
    ht_json_begin_object(&json, NULL);
    ht_json_string(&json, "input", input);
    ht_json_string(&json, "output", settings->output);
    ht_json_int(&json, "locations", (int64_t)locations);
    ht_json_int(&json, "named", (int64_t)named);
    ht_json_int(&json, "jit_locations", (int64_t)summary->jit_locations);
    ht_json_int(&json, "jit_named", (int64_t)summary->jit_named);
    ht_json_begin_array(&json, "modules");
    for (size_t i = 0; i < summary->module_count; i++) {
        const struct ht_resolve_module *module = &summary->modules[i];
        ht_json_begin_object(&json, NULL);
        if (module->file != 0)
            ht_json_string(&json, "file", ht_profile_text(profile, module->file));
        if (module->build_id != 0)
            ht_json_string(&json, "build_id", ht_profile_text(profile, module->build_id));
        ht_json_string(&json, "names_from", states[module->state]);
        ht_json_int(&json, "locations", (int64_t)module->locations);
        ht_json_int(&json, "named", (int64_t)module->named);
        ht_json_end_object(&json);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
    int status = ht_cmd_write("symbolize", NULL, &out);
    ht_buffer_free(&out);
    return status;
}

static void print_modules(const struct ht_profile *profile, const struct ht_resolve_summary *summary)
{
    size_t locations, named = named_in_all(summary, &locations);
    for (size_t i = 0; i < summary->module_count; i++) {
        const struct ht_resolve_module *module = &summary->modules[i];
        ht_cmd_say("symbolize", "%7zu of %7zu  %-10s  %s", module->named, module->locations,
                   states[module->state], ht_profile_text(profile, module->file));
    }
    if (summary->jit_locations > 0)
        ht_cmd_say("symbolize", "%7zu of %7zu  %-10s", summary->jit_named, summary->jit_locations,
                   "perf map");
    if (locations == 0)
        ht_cmd_say("symbolize", "all addresses had names before");
    else
        ht_cmd_say("symbolize", "%zu of %zu addresses got names", named, locations);
}

static int write_output(const struct symbolize_settings *settings, const struct ht_profile *profile)
{
    if (strcmp(settings->output, "-") == 0) {
        if (ht_profile_write(profile, STDOUT_FILENO) == 0)
            return HT_EXIT_DONE;
        return ht_cmd_error("symbolize", "standard output: %s", ht_error());
    }
    struct stat there;
    bool exists = stat(settings->output, &there) == 0;
    if (!exists && errno != ENOENT)
        return ht_cmd_error("symbolize", "%s: cannot be looked at: %s", settings->output, strerror(errno));
    if (exists && !S_ISREG(there.st_mode)) { // /dev/null, a pipe: never replaced
        int fd = open(settings->output, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        int written = fd >= 0 ? ht_profile_write(profile, fd) : ht_fail_errno("cannot be written");
        if (fd >= 0)
            close(fd);
        return written == 0 ? HT_EXIT_DONE
                            : ht_cmd_error("symbolize", "%s: %s", settings->output, ht_error());
    }
    char *temporary = ht_format("%s.%ld.tmp", settings->output, (long)getpid());
    const char *like = access(settings->output, F_OK) == 0 ? settings->output : NULL;
    int result = ht_rewrite_profile(profile, settings->output, temporary, like);
    free(temporary);
    return result == 0 ? HT_EXIT_DONE : ht_cmd_error("symbolize", "%s: %s", settings->output, ht_error());
}

// Folders joined for libdwfl; free() it.
static char *join(const struct ht_strings *folders)
{
    struct ht_buffer joined = {0};
    ht_buffer_text(&joined, "");
    for (size_t i = 0; i < folders->count; i++) {
        char *whole = realpath(folders->items[i], NULL);
        ht_buffer_printf(&joined, "%s%s", i > 0 ? ":" : "", whole != NULL ? whole : folders->items[i]);
        free(whole);
    }
    return joined.data;
}

static int symbolize(const struct symbolize_settings *settings, struct ht_resolve_options *options,
                     const char *input)
{
    struct ht_profile *profile;
    struct ht_resolve_summary summary = {0};
    if (ht_input_open(input, &profile) < 0)
        return ht_cmd_error("symbolize", "%s: %s", input, ht_error());
    char *debug_path = join(&settings->debug_dirs);
    options->debug_path = debug_path;
    options->summary = &summary;
    ht_resolve_profile(profile, options);
    options->summary = NULL;
    ht_cmd_tell_notes("symbolize");
    int status = write_output(settings, profile);
    if (status == HT_EXIT_DONE && settings->verbose)
        print_modules(profile, &summary);
    if (status == HT_EXIT_DONE && settings->json)
        status = write_json(settings, input, profile, &summary);
    free(debug_path);
    free(summary.modules);
    ht_profile_free(profile);
    return status == HT_EXIT_DONE ? ht_cmd_finish("symbolize") : status;
}

static int command(int argc, char **argv)
{
    static const char *const modes[] = {"simple", "templates", "full", "none"};
    struct symbolize_settings settings = {.debuginfod_timeout_ns = HT_DEBUGINFOD_TIMEOUT_NS};
    struct ht_operands operands;
    int status = ht_cmd_parse("symbolize", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status;
    struct ht_resolve_options options = {
        .root = settings.root,
        .no_cache = settings.no_cache,
        .debuginfod = settings.debuginfod,
        .debuginfod_timeout_ns = settings.debuginfod_timeout_ns,
        .names_given = settings.demangle != NULL,
    };
    bool mode_known = settings.demangle == NULL;
    for (size_t i = 0; !mode_known && i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(settings.demangle, modes[i]) == 0) {
            options.demangle = (enum ht_demangle)i;
            mode_known = true;
        }
    if (!mode_known)
        status = ht_cmd_usage_error("symbolize", "--demangle is simple, templates, full or none, not '%s'",
                                    settings.demangle);
    else if (operands.count != 1)
        status = ht_cmd_usage_error("symbolize", "name one profile, region file or process");
    else if (settings.output == NULL)
        status = ht_cmd_usage_error("symbolize", "say where the profile with names goes: -o OUT");
    else if (settings.json && strcmp(settings.output, "-") == 0)
        status = ht_cmd_usage_error("symbolize", "--json and -o - cannot both have standard output");
    else if (strcmp(settings.output, "-") == 0 && ht_terminal_of(STDOUT_FILENO).is_terminal)
        status = ht_cmd_usage_error("symbolize", "the output is not text; write it to a file with -o FILE");
    else
        status = symbolize(&settings, &options, operands.items[0]);
    free(settings.debug_dirs.items);
    return status;
}

const struct ht_command ht_command_symbolize = {
    .name = "symbolize",
    .summary = "write a profile that carries the names of its functions",
    .usage = "[options] -o OUT.pb.gz FILE|PID|URL",
    .text =
        "Function, file, line and the chain of inlined functions for every address that has none yet, so that any viewer\n"
        "on any machine shows them. `heaptap run` does it by itself with the profiles of its program.\n"
        "\n"
        "Names come from debug info (in the file, or found by build id or debug link in its folder, in /usr/lib/debug and in\n"
        "--debug-dir), from symbol tables (also .gnu_debugdata), and, for code that a program made itself, from its\n"
        "/tmp/perf-PID.map (node --perf-basic-prof, java with perf-map-agent). A file that changed since the profile was\n"
        "taken is known by its build id and never used. Servers are asked only with --debuginfod.\n"
        "\n"
        "What was read from debug info is kept in $XDG_CACHE_HOME/heaptap/symbols or ~/.cache/heaptap/symbols, a file of at\n"
        "most 64 MB for each build id and 512 MB in all (the oldest go), and used by all reports.\n",
    .examples = "  heaptap symbolize heap.pb.gz -o named.pb.gz\n"
                "  heaptap symbolize heap.pb.gz -o heap.pb.gz\n"
                "      in place: the file is replaced when the new one is whole\n"
                "  heaptap symbolize --debug-dir ./debug -v heap.pb.gz -o named.pb.gz\n"
                "      debug info kept elsewhere; says where the names of each module came from\n"
                "  heaptap symbolize --debuginfod --debuginfod-timeout 1m heap.pb.gz -o named.pb.gz\n"
                "      ask the servers of DEBUGINFOD_URLS for what is not here\n",
    .group = HT_GROUP_SHARE,
    .options = option_table,
    .run = command,
};
