// heaptap ps: lists profiled processes with live heap, growth, rate and age; two looks at each region,
// and one question: whose the snapshot signal is.
#include "base/clock.h"
#include "base/json.h"
#include "base/measure.h"
#include "base/memory.h"
#include "base/proc.h"
#include "base/terminal.h"
#include "cmd/command.h"
#include "cmd/ps_rows.h"
#include "cmd/unseen.h"
#include "region/control.h"
#include "region/dead.h"
#include "region/process.h"
#include "region/signal.h"
#include "stats/live_set.h"
#include "stats/unseen.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ps_settings {
    bool verbose, json, dead, clean;
    uint64_t over_ns;
};

static const struct ht_option option_table[] = {
    {"verbose", 'v', HT_OPT_FLAG, offsetof(struct ps_settings, verbose), 0, NULL,
     "also where profiles go and every health counter that is not zero"},
    {"json", 0, HT_OPT_FLAG, offsetof(struct ps_settings, json), 0, NULL, "machine-readable output"},
    {"over", 0, HT_OPT_DURATION, offsetof(struct ps_settings, over_ns), 0, "TIME",
     "time between the two looks that give the growth (default 1s; 0: one look, no growth)"},
    {"dead", 0, HT_OPT_FLAG, offsetof(struct ps_settings, dead), 0, NULL,
     "also regions that dead processes left behind"},
    {"clean", 0, HT_OPT_FLAG, offsetof(struct ps_settings, clean), 0, NULL,
     "with --dead: list nothing, remove them"},
    {.name = NULL},
};

static void print_dead(const struct ht_dead *dead, void *all)
{
    char size[HT_MEASURE_TEXT_BYTES];
    ht_measure_bytes((int64_t)dead->size_bytes, 0, size);
    if (dead->fate == HT_DEAD_STUCK) {
        ht_cmd_error("ps", "%s: cannot be removed: %s", dead->path, dead->reason);
        *(bool *)all = false;
    } else if (dead->reason != NULL) {
        ht_cmd_print("%-8s %s: %s", dead->fate == HT_DEAD_KEPT ? "kept" : "removed", dead->path,
                     dead->reason);
    } else {
        ht_cmd_print("removed  %s: %s, process %" PRIu32 ", %s", dead->path, dead->program, dead->pid, size);
    }
}

// Only where programs of this environment put their regions.
static int clean_dead(void)
{
    const char *folders[HT_DEAD_FOLDERS];
    bool all = true;
    ht_dead_clean(folders[ht_dead_folders(folders) - 1], print_dead, &all);
    int finished = ht_cmd_finish("ps");
    return all ? finished : HT_EXIT_FAILED;
}

static const char *state_of(const struct ht_ps_row *row)
{
    if (!row->alive)
        return "dead";
    if (!row->has_figures)
        return row->process.has_private_tables ? "private" : "no samples";
    if (row->process.is_heir)
        return "inherited";
    if (row->failed)
        return "failed";
    return row->active ? "recording" : "stopped";
}

enum { PID, USER, PROGRAM, LIVE, RSS, GROWTH, RATE, AGE, SNAPSHOTS, REGION, COLUMNS, CELL_BYTES = 96 };
static const char *const titles[COLUMNS] = {"PID",        "USER", "PROGRAM", "LIVE",      "RSS",
                                            "GROWTH/MIN", "RATE", "AGE",     "SNAPSHOTS", "REGION"};

static void bytes_cell(char cell[CELL_BYTES], double bytes, int with_sign)
{
    char text[HT_MEASURE_TEXT_BYTES];
    ht_measure_bytes(bytes < 9e18 && bytes > -9e18 ? (int64_t)bytes : INT64_MAX, with_sign, text);
    snprintf(cell, CELL_BYTES, "%.90s", text);
}

static void growth_cell(char cell[CELL_BYTES], const struct ht_ps_row *row)
{
    struct ht_estimate growth;
    if (!ht_ps_growth(row, &growth)) {
        snprintf(cell, CELL_BYTES, "-");
        return;
    }
    bytes_cell(cell, growth.bytes, 1);
    if (growth.error_bytes >= 1) {
        char error[CELL_BYTES];
        bytes_cell(error, growth.error_bytes, 0);
        size_t used = strlen(cell);
        snprintf(cell + used, CELL_BYTES - used, " +-%s", error);
    }
}

static void fill_cells(const struct ht_ps_row *row, char cells[COLUMNS][CELL_BYTES])
{
    char text[HT_MEASURE_TEXT_BYTES];
    for (int i = 0; i < COLUMNS; i++)
        snprintf(cells[i], CELL_BYTES, "-");
    if (row->process.pid != 0)
        snprintf(cells[PID], CELL_BYTES, "%" PRIu32, row->process.pid);
    snprintf(cells[USER], CELL_BYTES, "%s", row->user);
    snprintf(cells[PROGRAM], CELL_BYTES, "%s", row->process.program[0] != '\0' ? row->process.program : "?");
    if (row->rss_bytes != 0)
        bytes_cell(cells[RSS], (double)row->rss_bytes, 0);
    int64_t age = ht_ps_age(row);
    if (age >= 0) {
        ht_measure_age(age, text);
        snprintf(cells[AGE], CELL_BYTES, "%.90s", text);
    } else if (!row->alive) {
        snprintf(cells[AGE], CELL_BYTES, "dead");
    }
    if (!row->has_figures)
        return;
    bytes_cell(cells[LIVE], row->live.bytes, 0);
    if (row->process.is_heir) {
        memmove(cells[LIVE] + 1, cells[LIVE], CELL_BYTES - 2);
        cells[LIVE][0] = '>';
        return; // the rest is its parent's
    }
    growth_cell(cells[GROWTH], row);
    if (!row->active)
        snprintf(cells[RATE], CELL_BYTES, "stopped");
    else
        ht_control_rate_text(row->rate_bytes, cells[RATE]);
    snprintf(cells[SNAPSHOTS], CELL_BYTES, "%" PRIu64, row->health[HT_HEALTH_SNAPSHOTS]);
    bytes_cell(cells[REGION], (double)row->region_bytes, 0);
}

static const char *const health_names[] = {
#define X(id, name, meaning) name,
    HT_HEALTH_TABLE(X)
#undef X
};
static const char *const health_meanings[] = {
#define X(id, name, meaning) meaning,
    HT_HEALTH_TABLE(X)
#undef X
};

static void print_details(const struct ht_ps_row *row)
{
    if (row->note != NULL)
        ht_cmd_print("    %s", row->note);
    if (row->process.own_pid != row->process.pid)
        ht_cmd_print("    process %" PRIu32 " in its container", row->process.own_pid);
    if (!row->has_figures || row->process.is_heir)
        return;
    ht_cmd_print("    profiles go to %s", row->out_dir);
    ht_cmd_print("    region %s", row->process.region_path);
    for (size_t i = 0; i < HT_HEALTH_COUNT; i++)
        if (row->health[i] != 0)
            ht_cmd_print("    %-18s %12" PRIu64 "  %s", health_names[i], row->health[i], health_meanings[i]);
}

// The rest of a line: on a terminal as much as fits on it.
static void add_arguments(const char *arguments, size_t used, struct ht_buffer *line)
{
    enum { LEAST = 16 };
    int columns = ht_terminal_of(STDOUT_FILENO).columns;
    char fitted[sizeof((struct ht_ps_row *)NULL)->arguments];
    int room = columns == 0 ? 0 : columns - (int)used;
    ht_terminal_fit(arguments, columns != 0 && room < LEAST ? LEAST : room, fitted, sizeof fitted);
    ht_buffer_text(line, fitted);
}

static void add_cell(int column, size_t width, const char *text, struct ht_buffer *line)
{
    ht_buffer_printf(line, column == USER || column == PROGRAM ? "%-*s  " : "%*s  ", (int)width, text);
}

static void print_table(const struct ht_ps_rows *rows, bool verbose)
{
    char(*cells)[COLUMNS][CELL_BYTES] = ht_alloc_zero(rows->count + 1, sizeof *cells);
    size_t widths[COLUMNS], used = 0;
    bool any_heir = false;
    struct ht_buffer line = {0};
    for (int column = 0; column < COLUMNS; column++)
        widths[column] = strlen(titles[column]);
    for (size_t i = 0; i < rows->count; i++) {
        fill_cells(&rows->items[i], cells[i]);
        any_heir |= rows->items[i].process.is_heir && rows->items[i].has_figures;
        for (int column = 0; column < COLUMNS; column++)
            if (strlen(cells[i][column]) > widths[column])
                widths[column] = strlen(cells[i][column]);
    }
    for (int column = 0; column < COLUMNS; column++) {
        used += widths[column] + 2;
        add_cell(column, widths[column], titles[column], &line);
    }
    ht_cmd_print("%sARGUMENTS", line.data);
    for (size_t i = 0; i < rows->count; i++) {
        line.length = 0;
        for (int column = 0; column < COLUMNS; column++)
            add_cell(column, widths[column], cells[i][column], &line);
        add_arguments(rows->items[i].arguments, used, &line);
        ht_cmd_print("%s", line.data);
        if (verbose)
            print_details(&rows->items[i]);
    }
    if (any_heir)
        ht_cmd_print(
            "> at least: forked children that have sampled nothing, by what their parent still holds of before "
            "the fork");
    ht_buffer_free(&line);
    free(cells);
}

// What a snapshot signal does where it is not ours, around the pids.
static const struct {
    const char *before, *behind;
} not_ours[HT_SIGNAL_IGNORED + 1] = {
    [HT_SIGNAL_PROGRAM] = {"takes no snapshot of", "the program handles it itself"},
    [HT_SIGNAL_IGNORED] = {"takes no snapshot of", "the program ignores it"},
    [HT_SIGNAL_DEFAULT] = {"would kill", "the program took it back"},
};

static bool is_not_ours(const struct ht_ps_row *row)
{
    return row->alive && row->has_figures && !row->process.is_heir &&
           not_ours[row->signal_owner].before != NULL;
}

// One line for all processes in which the signal does the same as in the first.
static void print_signal_line(struct ht_ps_rows *rows, struct ht_ps_row *first)
{
    enum { SHOWN = 5 };
    char pids[SHOWN * 12 + 32] = "", name[HT_SIGNAL_NAME_BYTES];
    size_t count = 0, used = 0;
    for (struct ht_ps_row *row = first; row < rows->items + rows->count; row++) {
        if (!is_not_ours(row) || row->signal_owner != first->signal_owner ||
            row->signal_number != first->signal_number)
            continue;
        row->noted = true;
        if (count++ < SHOWN)
            used += (size_t)snprintf(pids + used, sizeof pids - used, "%s%" PRIu32, used > 0 ? ", " : "",
                                     row->process.pid);
    }
    if (count > SHOWN)
        snprintf(pids + used, sizeof pids - used, " and %zu more", count - SHOWN);
    ht_signal_name(first->signal_number, name);
    ht_cmd_print("%s %s %s: %s; use 'heaptap snap PID'", name, not_ours[first->signal_owner].before, pids,
                 not_ours[first->signal_owner].behind);
}

static void print_signal_lines(struct ht_ps_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (is_not_ours(&rows->items[i]) && !rows->items[i].noted)
            print_signal_line(rows, &rows->items[i]);
}

static char *unseen_of(const struct ht_ps_row *row)
{
    bool is_known = row->alive && row->has_figures && !row->process.is_heir; // an heir has more than that
    return is_known ? ht_unseen_of_process(row->process.pid, row->live.bytes) : NULL;
}

// A process that could be thought to have allocated nothing.
static void print_private_lines(const struct ht_ps_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (!rows->items[i].has_figures && rows->items[i].process.has_private_tables)
            ht_cmd_print("%" PRIu32 ": %s", rows->items[i].process.pid, rows->items[i].note);
}

// Daemons have no standard error on which the shim could say so.
static void print_unwritten_lines(const struct ht_ps_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct ht_ps_row *row = &rows->items[i];
        uint64_t count = row->alive && row->has_figures ? row->health[HT_HEALTH_SNAPSHOT_FAILURES] : 0;
        if (count != 0)
            ht_cmd_print("%s %" PRIu32 ": %" PRIu64
                         " snapshot%s could not be written into %s; 'heaptap snap %" PRIu32
                         " -o DIR' writes one elsewhere",
                         row->process.program, row->process.pid, count, count == 1 ? "" : "s", row->out_dir,
                         row->process.pid);
    }
}

static void print_unseen_lines(const struct ht_ps_rows *rows)
{
    struct ht_unseen_row *lines = ht_alloc_zero(rows->count + 1, sizeof *lines);
    for (size_t i = 0; i < rows->count; i++)
        lines[i] = (struct ht_unseen_row){rows->items[i].process.pid, rows->items[i].process.program,
                                          unseen_of(&rows->items[i])};
    ht_unseen_print(lines, rows->count);
    for (size_t i = 0; i < rows->count; i++)
        free(lines[i].text);
    free(lines);
}

static void json_signal(struct ht_json *json, const struct ht_ps_row *row)
{
    static const char *const owners[] = {[HT_SIGNAL_NONE] = "none",
                                         [HT_SIGNAL_OURS] = "profiler",
                                         [HT_SIGNAL_PROGRAM] = "program",
                                         [HT_SIGNAL_DEFAULT] = "default",
                                         [HT_SIGNAL_IGNORED] = "ignored"};
    char name[HT_SIGNAL_NAME_BYTES];
    if (!row->alive || row->signal_owner == HT_SIGNAL_UNKNOWN)
        return;
    ht_signal_name(row->signal_number, name);
    ht_json_string(json, "signal", row->signal_owner == HT_SIGNAL_NONE ? NULL : name);
    ht_json_string(json, "signal_handler", owners[row->signal_owner]);
}

static void json_figures(struct ht_json *json, const struct ht_ps_row *row)
{
    struct ht_estimate live = row->live, growth;
    bool has_growth = ht_ps_growth(row, &growth);
    ht_json_int(json, "live_bytes", (int64_t)live.bytes);
    ht_json_int(json, "live_error_bytes", (int64_t)live.error_bytes);
    if (row->process.is_heir) { // the rest is its parent's
        ht_json_bool(json, "at_least", true);
        return;
    }
    if (has_growth) {
        ht_json_int(json, "growth_bytes_per_minute", (int64_t)growth.bytes);
        ht_json_int(json, "growth_error_bytes_per_minute", (int64_t)growth.error_bytes);
    }
    ht_json_int(json, "rate_bytes", (int64_t)row->rate_bytes);
    ht_json_int(json, "snapshots", (int64_t)row->health[HT_HEALTH_SNAPSHOTS]);
    ht_json_int(json, "region_bytes", (int64_t)row->region_bytes);
    ht_json_string(json, "out_dir", row->out_dir);
    json_signal(json, row);
    char *unseen = unseen_of(row);
    if (unseen != NULL)
        ht_json_string(json, "unseen", unseen);
    free(unseen);
    ht_json_begin_object(json, "health");
    for (size_t i = 0; i < HT_HEALTH_COUNT; i++)
        if (row->health[i] != 0)
            ht_json_int(json, health_names[i], (int64_t)row->health[i]);
    ht_json_end_object(json);
}

static void add_json(const struct ht_ps_rows *rows, struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    ht_json_begin_object(&json, NULL);
    ht_json_begin_array(&json, "processes");
    for (size_t i = 0; i < rows->count; i++) {
        const struct ht_ps_row *row = &rows->items[i];
        ht_json_begin_object(&json, NULL);
        ht_json_int(&json, "pid", row->process.pid);
        if (row->process.own_pid != row->process.pid)
            ht_json_int(&json, "container_pid", row->process.own_pid);
        ht_json_string(&json, "user", row->user);
        ht_json_string(&json, "program", row->process.program);
        ht_json_string(&json, "arguments", row->arguments);
        if (row->rss_bytes != 0)
            ht_json_int(&json, "rss_bytes", (int64_t)row->rss_bytes);
        ht_json_string(&json, "state", state_of(row));
        if (ht_ps_age(row) >= 0)
            ht_json_number(&json, "age_seconds", (double)ht_ps_age(row) / 1e9);
        ht_json_string(&json, "region", row->process.has_region ? row->process.region_path : NULL);
        if (row->note != NULL)
            ht_json_string(&json, "note", row->note);
        if (row->has_figures)
            json_figures(&json, row);
        ht_json_end_object(&json);
    }
    ht_json_end_array(&json);
    ht_json_end_object(&json);
}

static int command(int argc, char **argv)
{
    struct ps_settings settings = {.over_ns = HT_NS_PER_SECOND};
    struct ht_operands operands;
    int status = ht_cmd_parse("ps", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status;
    if (settings.clean && (!settings.dead || operands.count > 0 || settings.json))
        return ht_cmd_usage_error("ps", "--clean goes with --dead, and with nothing else");
    if (settings.clean)
        return clean_dead();
    struct ht_ps_rows rows = {0};
    struct ht_buffer out = {0};
    bool all = ht_ps_collect_live(&rows, &operands);
    if (settings.dead)
        ht_ps_collect_dead(&rows);
    ht_ps_look_again(&rows, settings.over_ns);
    if (settings.json) {
        add_json(&rows, &out);
    } else if (rows.count > 0) {
        print_table(&rows, settings.verbose);
        print_signal_lines(&rows);
        print_private_lines(&rows);
        print_unwritten_lines(&rows);
        print_unseen_lines(&rows);
    } else if (all) {
        ht_cmd_say("ps", "nothing%s is being profiled; start a program with 'heaptap run PROGRAM'%s",
                   geteuid() == 0 ? "" : " of yours", settings.dead ? "" : ", or see 'heaptap ps --dead'");
    }
    ht_ps_free(&rows);
    ht_buffer_text(&out, "");
    int finished = ht_cmd_write("ps", NULL, &out);
    ht_buffer_free(&out);
    return all ? finished : HT_EXIT_FAILED;
}

const struct ht_command ht_command_ps = {
    .name = "ps",
    .summary = "list the programs that are being profiled",
    .usage = "[options] [PID|NAME...]",
    .text =
        "Shows every process that has the profiler loaded, or those that are named: live heap (estimated from the samples)\n"
        "beside all resident memory, growth per minute, rate, age, the number of snapshots written, the memory that its\n"
        "region takes, and its arguments. NAME is what the program is called. A pid may also be the one that a process has\n"
        "in its container. Programs are read from outside; they notice nothing. Other users' processes need root.\n"
        "\n"
        "A forked child that has sampled nothing yet holds at least what its parent still holds of before the fork: that\n"
        "is shown, behind a >.\n"
        "\n"
        "Growth is the change of the live heap between two looks (--over, 1 second apart by default), scaled to a minute.\n"
        "Blocks that live through both looks cancel exactly, so only what came and went in between makes noise; the\n"
        "figure after +- is one standard error of that. For a slow leak look longer: --over 1m. A change of less than\n"
        "the rate between the looks is mostly seen as 0. A leak over hours is for `heaptap diff` of two snapshots.\n"
        "\n"
        "A line below the table names the processes in which the snapshot signal is the program's own. They are asked and\n"
        "answer when they next allocate something that is sampled; until then what they said last is shown. Another line\n"
        "names those whose live heap is far below what they have in memory, and what their runtime keeps beside malloc.\n"
        "\n"
        "-v adds where profiles go, and everything that was lost or estimated. --dead adds regions that dead processes\n"
        "left behind: `heaptap top FILE.live` shows what they held, `heaptap snap FILE.live` makes a profile of one.\n"
        "At most 8 of them and 256 MB stay for a user, the oldest go first; --dead --clean removes them all (in\n"
        "/dev/shm, or where HEAPTAP_LIVE says). Regions of living processes, of other users and of other pid\n"
        "namespaces are not touched.\n",
    .examples = "  heaptap ps\n"
                "  heaptap ps redis-server\n"
                "      every process of this name\n"
                "  heaptap ps -v 4242\n"
                "  heaptap ps --over 1m\n"
                "      growth over a whole minute\n"
                "  heaptap ps --dead --clean\n"
                "      remove what killed programs left in memory\n"
                "  heaptap ps --json --over 0\n"
                "      figures for a script, without waiting\n",
    .group = HT_GROUP_RUN,
    .options = option_table,
    .run = command,
};
