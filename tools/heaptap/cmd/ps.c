// heaptap ps: lists profiled processes with live heap, growth, rate and age; two looks at each region,
// and one question: whose the snapshot signal is.
#include "base/clock.h"
#include "base/json.h"
#include "base/measure.h"
#include "base/memory.h"
#include "base/proc.h"
#include "base/text.h"
#include "cmd/command.h"
#include "region/control.h"
#include "region/dead.h"
#include "region/process.h"
#include "region/signal.h"
#include "stats/live_set.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_LIVE_DIR "/dev/shm"

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

// One line of the table.
struct row {
    struct ht_process process; // of a dead one: only pid, program and path
    char *note;                // what stands in place of figures
    struct ht_live_set first, second;
    uint64_t first_ns, second_ns; // CLOCK_MONOTONIC of the looks; second_ns 0: there was one
    uint64_t region_bytes;        // memory that it takes
    uint64_t rate_bytes;
    uint64_t health[HT_HEALTH_COUNT];
    char out_dir[sizeof((struct ht_region_header *)NULL)->out_dir + 1];
    bool alive;
    bool has_figures; // a region that could be read
    bool active, failed;
    enum ht_signal_owner signal_owner;
    int signal_number;
    bool noted; // in the lines below the table
};

struct rows {
    struct row *items;
    size_t count, capacity;
};

// Looks at a row's region: its live samples into *set, its header into the row.
static bool look_at(struct row *row, struct ht_live_set *set)
{
    struct stat stat;
    struct ht_region_copy copy;
    int fd = ht_region_open(row->process.region_path, O_RDONLY, &stat);
    if (fd < 0)
        return false;
    int read = ht_region_read(fd, &copy);
    close(fd);
    if (read != 0)
        return false;
    ht_live_set_fill(set, &copy.view);
    const struct ht_region_header *header = copy.view.header;
    row->region_bytes = copy.blocks_bytes;
    row->rate_bytes = header->rate_bytes;
    row->active = header->active != 0;
    row->failed = header->failed != 0;
    row->signal_owner = header->signal_owner <= HT_SIGNAL_IGNORED ? (enum ht_signal_owner)header->signal_owner
                                                                  : HT_SIGNAL_UNKNOWN;
    row->signal_number = header->signal_number <= 64 ? (int)header->signal_number : 0;
    memcpy(row->health, header->health, sizeof row->health);
    snprintf(row->out_dir, sizeof row->out_dir, "%.*s", (int)sizeof header->out_dir, header->out_dir);
    ht_text_printable(row->out_dir, '_');
    ht_region_copy_free(&copy);
    return true;
}

static struct row *add_row(struct rows *rows, const struct ht_process *process, bool alive)
{
    HT_RESERVE(rows->items, rows->capacity, rows->count + 1);
    struct row *row = &rows->items[rows->count++];
    *row = (struct row){.process = *process, .alive = alive};
    if (!process->has_region) {
        char reason[512];
        ht_process_explain_no_region(process, reason, sizeof reason);
        row->note = ht_strdup(reason);
        return row;
    }
    uint32_t asked;
    if (alive)
        ht_signal_ask(process->region_path, &asked); // the second look finds the answer of a busy process
    row->first_ns = ht_clock_ns(CLOCK_MONOTONIC);
    row->has_figures = look_at(row, &row->first);
    if (!row->has_figures)
        row->note = ht_format("its region %s", ht_error());
    return row;
}

// Live processes: all, or those that were named. Returns false when one of the named is not profiled.
static bool collect_live(const struct ht_operands *operands, struct rows *rows)
{
    bool all = true;
    for (int i = 0; i < operands->count; i++) {
        const char *argument = operands->items[i];
        struct ht_process process;
        uint32_t pid;
        if (!ht_proc_parse_pid(argument, &pid))
            ht_cmd_error("ps", "%s: is not a process id; 'heaptap ps' without one lists all", argument);
        else if (ht_process_find(pid, &process) != 0)
            ht_cmd_error("ps", "%s: %s", argument, ht_error());
        else if (add_row(rows, &process, true) != NULL)
            continue;
        all = false;
    }
    if (operands->count > 0)
        return all;
    struct ht_process *processes;
    size_t count;
    if (ht_process_list(&processes, &count) != 0) {
        ht_cmd_error("ps", "%s", ht_error());
        return false;
    }
    for (size_t i = 0; i < count; i++)
        add_row(rows, &processes[i], true);
    free(processes);
    return true;
}

static bool is_listed(const struct rows *rows, const struct stat *stat)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->items[i].process.has_region && rows->items[i].process.inode == stat->st_ino &&
            rows->items[i].process.device == stat->st_dev)
            return true;
    return false;
}

static void collect_dead_file(struct rows *rows, const char *path)
{
    struct ht_process dead = {.has_region = true}, living;
    struct ht_region_header header;
    struct stat stat = {0};
    bool whole = ht_region_read_header(path, &header, &stat) == 0;
    if (stat.st_mode == 0)
        return; // it cannot even be opened
    dead.inode = stat.st_ino;
    dead.device = stat.st_dev;
    if (is_listed(rows, &stat) || (whole && ht_region_is_alive(&header, &stat, &living)))
        return;
    snprintf(dead.region_path, sizeof dead.region_path, "%s", path);
    if (whole) {
        dead.pid = header.pid;
        snprintf(dead.program, sizeof dead.program, "%.63s", header.program);
        ht_text_printable(dead.program, '_');
    }
    add_row(rows, &dead, false);
}

static void print_dead(const struct ht_dead *dead, void *all)
{
    char size[HT_MEASURE_TEXT_BYTES];
    ht_measure_bytes((int64_t)dead->size_bytes, 0, size);
    if (dead->fate == HT_DEAD_STUCK) {
        ht_cmd_error("ps", "%s: cannot be removed: %s", dead->path, dead->reason);
        *(bool *)all = false;
    } else if (dead->reason != NULL) {
        printf("%-8s %s: %s\n", dead->fate == HT_DEAD_KEPT ? "kept" : "removed", dead->path, dead->reason);
    } else {
        printf("removed  %s: %s, process %" PRIu32 ", %s\n", dead->path, dead->program, dead->pid, size);
    }
}

// Only where programs of this environment put their regions.
static int clean_dead(void)
{
    const char *live = getenv("HEAPTAP_LIVE");
    bool all = true;
    ht_dead_clean(live != NULL && live[0] == '/' ? live : DEFAULT_LIVE_DIR, print_dead, &all);
    int finished = ht_cmd_finish("ps");
    return all ? finished : HT_EXIT_FAILED;
}

static void collect_dead(struct rows *rows)
{
    const char *live = getenv("HEAPTAP_LIVE");
    const char *directories[2] = {DEFAULT_LIVE_DIR, live != NULL && live[0] == '/' ? live : NULL};
    for (int i = 0; i < 2 && directories[i] != NULL; i++) {
        char **paths;
        size_t count = ht_region_files(directories[i], &paths);
        for (size_t j = 0; j < count; j++) {
            collect_dead_file(rows, paths[j]);
            free(paths[j]);
        }
        free(paths);
    }
}

static void look_again(struct rows *rows, uint64_t over_ns)
{
    bool any = false;
    for (size_t i = 0; i < rows->count; i++)
        any |= rows->items[i].alive && rows->items[i].has_figures;
    if (!any || over_ns == 0)
        return;
    fflush(stdout);
    ht_clock_wait(over_ns);
    for (size_t i = 0; i < rows->count; i++) {
        struct row *row = &rows->items[i];
        if (!row->alive || !row->has_figures)
            continue;
        uint64_t now = ht_clock_ns(CLOCK_MONOTONIC);
        if (look_at(row, &row->second)) // it may have ended meanwhile
            row->second_ns = now;
    }
}

static struct ht_estimate live_of(const struct row *row)
{
    return ht_live_set_total(row->second_ns != 0 ? &row->second : &row->first);
}

// Growth per minute; false when there was only one look.
static bool growth_of(const struct row *row, struct ht_estimate *ret)
{
    if (row->second_ns <= row->first_ns)
        return false;
    struct ht_estimate change = ht_live_set_change(&row->first, &row->second);
    double per_minute = 60e9 / (double)(row->second_ns - row->first_ns);
    *ret = (struct ht_estimate){change.bytes * per_minute, change.error_bytes * per_minute};
    return true;
}

// Age of the process, ns; -1 unknown.
static int64_t age_of(const struct row *row)
{
    uint64_t now_ns = ht_clock_ns(CLOCK_BOOTTIME);
    long ticks = sysconf(_SC_CLK_TCK);
    if (!row->alive || ticks <= 0 || now_ns == 0)
        return -1;
    double age_ns = (double)now_ns - (double)row->process.start_ticks / (double)ticks * 1e9;
    return age_ns > 0 ? (int64_t)age_ns : 0;
}

static const char *state_of(const struct row *row)
{
    if (!row->alive)
        return "dead";
    if (!row->has_figures)
        return "no samples";
    if (row->failed)
        return "failed";
    return row->active ? "recording" : "stopped";
}

enum { COLUMNS = 8, CELL_BYTES = 96 };
static const char *const titles[COLUMNS] = {"PID",  "PROGRAM", "LIVE",      "GROWTH/MIN",
                                            "RATE", "AGE",     "SNAPSHOTS", "REGION"};

static void bytes_cell(char cell[CELL_BYTES], double bytes, int with_sign)
{
    char text[HT_MEASURE_TEXT_BYTES];
    ht_measure_bytes(bytes < 9e18 && bytes > -9e18 ? (int64_t)bytes : INT64_MAX, with_sign, text);
    snprintf(cell, CELL_BYTES, "%.90s", text);
}

static void growth_cell(char cell[CELL_BYTES], const struct row *row)
{
    struct ht_estimate growth;
    if (!growth_of(row, &growth)) {
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

static void fill_cells(const struct row *row, char cells[COLUMNS][CELL_BYTES])
{
    char text[HT_MEASURE_TEXT_BYTES];
    for (int i = 0; i < COLUMNS; i++)
        snprintf(cells[i], CELL_BYTES, "-");
    if (row->process.pid != 0)
        snprintf(cells[0], CELL_BYTES, "%" PRIu32, row->process.pid);
    snprintf(cells[1], CELL_BYTES, "%s", row->process.program[0] != '\0' ? row->process.program : "?");
    int64_t age = age_of(row);
    if (age >= 0) {
        ht_measure_age(age, text);
        snprintf(cells[5], CELL_BYTES, "%.90s", text);
    } else if (!row->alive) {
        snprintf(cells[5], CELL_BYTES, "dead");
    }
    if (!row->has_figures)
        return;
    bytes_cell(cells[2], live_of(row).bytes, 0);
    growth_cell(cells[3], row);
    if (!row->active)
        snprintf(cells[4], CELL_BYTES, "stopped");
    else
        ht_control_rate_text(row->rate_bytes, cells[4]);
    snprintf(cells[6], CELL_BYTES, "%" PRIu64, row->health[HT_HEALTH_SNAPSHOTS]);
    bytes_cell(cells[7], (double)row->region_bytes, 0);
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

static void print_details(const struct row *row)
{
    if (row->note != NULL)
        printf("    %s\n", row->note);
    if (!row->has_figures)
        return;
    printf("    profiles go to %s\n", row->out_dir);
    printf("    region %s\n", row->process.region_path);
    for (size_t i = 0; i < HT_HEALTH_COUNT; i++)
        if (row->health[i] != 0)
            printf("    %-18s %12" PRIu64 "  %s\n", health_names[i], row->health[i], health_meanings[i]);
}

static void print_table(const struct rows *rows, bool verbose)
{
    char(*cells)[COLUMNS][CELL_BYTES] = ht_alloc_zero(rows->count + 1, sizeof *cells);
    size_t widths[COLUMNS];
    for (int column = 0; column < COLUMNS; column++)
        widths[column] = strlen(titles[column]);
    for (size_t i = 0; i < rows->count; i++) {
        fill_cells(&rows->items[i], cells[i]);
        for (int column = 0; column < COLUMNS; column++)
            if (strlen(cells[i][column]) > widths[column])
                widths[column] = strlen(cells[i][column]);
    }
    for (int column = 0; column < COLUMNS; column++)
        printf(column == 1 ? "%-*s%s" : "%*s%s", (int)widths[column], titles[column],
               column + 1 < COLUMNS ? "  " : "\n");
    for (size_t i = 0; i < rows->count; i++) {
        for (int column = 0; column < COLUMNS; column++)
            printf(column == 1 ? "%-*s%s" : "%*s%s", (int)widths[column], cells[i][column],
                   column + 1 < COLUMNS ? "  " : "\n");
        if (verbose)
            print_details(&rows->items[i]);
    }
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

static bool is_not_ours(const struct row *row)
{
    return row->alive && row->has_figures && not_ours[row->signal_owner].before != NULL;
}

// One line for all processes in which the signal does the same as in the first.
static void print_signal_line(struct rows *rows, struct row *first)
{
    enum { SHOWN = 5 };
    char pids[SHOWN * 12 + 32] = "", name[HT_SIGNAL_NAME_BYTES];
    size_t count = 0, used = 0;
    for (struct row *row = first; row < rows->items + rows->count; row++) {
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
    printf("%s %s %s: %s; use 'heaptap snap PID'\n", name, not_ours[first->signal_owner].before, pids,
           not_ours[first->signal_owner].behind);
}

static void print_signal_lines(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (is_not_ours(&rows->items[i]) && !rows->items[i].noted)
            print_signal_line(rows, &rows->items[i]);
}

static void json_signal(struct ht_json *json, const struct row *row)
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

static void json_figures(struct ht_json *json, const struct row *row)
{
    struct ht_estimate live = live_of(row), growth;
    bool has_growth = growth_of(row, &growth);
    ht_json_int(json, "live_bytes", (int64_t)live.bytes);
    ht_json_int(json, "live_error_bytes", (int64_t)live.error_bytes);
    if (has_growth) {
        ht_json_int(json, "growth_bytes_per_minute", (int64_t)growth.bytes);
        ht_json_int(json, "growth_error_bytes_per_minute", (int64_t)growth.error_bytes);
    }
    ht_json_int(json, "rate_bytes", (int64_t)row->rate_bytes);
    ht_json_int(json, "snapshots", (int64_t)row->health[HT_HEALTH_SNAPSHOTS]);
    ht_json_int(json, "region_bytes", (int64_t)row->region_bytes);
    ht_json_string(json, "out_dir", row->out_dir);
    json_signal(json, row);
    ht_json_begin_object(json, "health");
    for (size_t i = 0; i < HT_HEALTH_COUNT; i++)
        if (row->health[i] != 0)
            ht_json_int(json, health_names[i], (int64_t)row->health[i]);
    ht_json_end_object(json);
}

static void add_json(const struct rows *rows, struct ht_buffer *out)
{
    struct ht_json json = {.out = out};
    ht_json_begin_object(&json, NULL);
    ht_json_begin_array(&json, "processes");
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->items[i];
        ht_json_begin_object(&json, NULL);
        ht_json_int(&json, "pid", row->process.pid);
        ht_json_string(&json, "program", row->process.program);
        ht_json_string(&json, "state", state_of(row));
        if (age_of(row) >= 0)
            ht_json_number(&json, "age_seconds", (double)age_of(row) / 1e9);
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
    struct rows rows = {0};
    struct ht_buffer out = {0};
    bool all = collect_live(&operands, &rows);
    if (settings.dead)
        collect_dead(&rows);
    look_again(&rows, settings.over_ns);
    if (settings.json) {
        add_json(&rows, &out);
    } else if (rows.count > 0) {
        print_table(&rows, settings.verbose);
        print_signal_lines(&rows);
    } else if (all) {
        ht_cmd_say("ps", "nothing%s is being profiled; start a program with 'heaptap run PROGRAM'%s",
                   geteuid() == 0 ? "" : " of yours", settings.dead ? "" : ", or see 'heaptap ps --dead'");
    }
    for (size_t i = 0; i < rows.count; i++) {
        free(rows.items[i].note);
        ht_live_set_free(&rows.items[i].first);
        ht_live_set_free(&rows.items[i].second);
    }
    free(rows.items);
    ht_buffer_text(&out, "");
    int finished = ht_cmd_write("ps", NULL, &out);
    ht_buffer_free(&out);
    return all ? finished : HT_EXIT_FAILED;
}

const struct ht_command ht_command_ps = {
    .name = "ps",
    .summary = "list the programs that are being profiled",
    .usage = "[options] [PID...]",
    .text =
        "Shows every process that has the profiler loaded: live heap (estimated from the samples), growth per minute,\n"
        "rate, age, the number of snapshots written and the memory that its region takes. Programs are read from outside;\n"
        "they notice nothing. Other users' processes need root.\n"
        "\n"
        "Growth is the change of the live heap between two looks (--over, 1 second apart by default), scaled to a minute.\n"
        "Blocks that live through both looks cancel exactly, so only what came and went in between makes noise; the\n"
        "figure after +- is one standard error of that. For a slow leak look longer: --over 1m. A change of less than\n"
        "the rate between the looks is mostly seen as 0. A leak over hours is for `heaptap diff` of two snapshots.\n"
        "\n"
        "A line below the table names the processes in which the snapshot signal is the program's own. They are asked and\n"
        "answer when they next allocate something that is sampled; until then what they said last is shown.\n"
        "\n"
        "-v adds where profiles go, and everything that was lost or estimated. --dead adds regions that dead processes\n"
        "left behind: `heaptap top FILE.live` shows what they held, `heaptap snap FILE.live` makes a profile of one.\n"
        "At most 8 of them and 256 MB stay for a user, the oldest go first; --dead --clean removes them all (in\n"
        "/dev/shm, or where HEAPTAP_LIVE says). Regions of living processes, of other users and of other pid\n"
        "namespaces are not touched.\n",
    .examples = "  heaptap ps\n"
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
