// Finds processes and regions for heaptap ps, and looks at each twice.
#include "cmd/ps_rows.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/proc.h"
#include "base/text.h"
#include "cmd/command.h"
#include "region/dead.h"
#include "region/heir.h"
#include "region/signal.h"
#include "region/target.h"
#include "snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What kept us from a region, if that has nothing to do with whose it is.
static void tell_passing(const char *path)
{
    if (ht_region_is_passing(errno))
        ht_warn("%s %s", path, ht_error());
}

// Looks at a row's region: its live samples into *set, its header into the row.
static bool look_at(struct ht_ps_row *row, struct ht_live_set *set)
{
    struct stat stat;
    struct ht_region_copy copy;
    int fd = ht_region_open(row->process.region_path, O_RDONLY, &stat);
    if (fd < 0) {
        tell_passing(row->process.region_path);
        return false;
    }
    int read = ht_region_read(fd, &copy);
    close(fd);
    if (read != 0)
        return false;
    if (row->process.is_heir)
        ht_heir_take(&copy, &row->process);
    ht_live_set_fill(set, &copy.view);
    row->live = ht_live_set_total(set);
    const struct ht_region_header *header = copy.view.header;
    row->region_bytes = copy.blocks_bytes;
    row->rate_bytes = header->rate_bytes;
    row->active = header->active != 0;
    row->failed = header->failed != 0;
    row->signal_owner = header->signal_owner <= HT_SIGNAL_IGNORED ? (enum ht_signal_owner)header->signal_owner
                                                                  : HT_SIGNAL_UNKNOWN;
    row->signal_number = header->signal_number <= 64 ? (int)header->signal_number : 0;
    if (row->alive)
        row->signal_owner = ht_signal_owner_now(row->process.pid, row->signal_number, row->signal_owner);
    memcpy(row->health, header->health, sizeof row->health);
    ht_text_print(row->out_dir, sizeof row->out_dir, "%.*s", (int)sizeof header->out_dir, header->out_dir);
    if (row->arguments[0] == '\0') // of the dead: as they were at the start
        ht_text_print(row->arguments, sizeof row->arguments, "%.*s", (int)sizeof header->arguments,
                      header->arguments);
    ht_region_copy_free(&copy);
    return true;
}

// What /proc says besides.
static void ask_system(struct ht_ps_row *row)
{
    struct ht_buffer text = {0};
    const struct passwd *user = getpwuid(row->process.uid);
    if (user != NULL)
        ht_text_print(row->user, sizeof row->user, "%s", user->pw_name);
    else
        snprintf(row->user, sizeof row->user, "%u", (unsigned)row->process.uid);
    row->rss_bytes = row->alive ? ht_snapshot_rss(row->process.pid) : 0;
    if (row->alive && ht_proc_read(row->process.pid, "cmdline", &text)) {
        while (text.length > 0 && text.data[text.length - 1] == '\0')
            text.length--;
        for (size_t i = 0; i < text.length; i++)
            if (text.data[i] == '\0')
                text.data[i] = ' ';
        ht_text_print(row->arguments, sizeof row->arguments, "%s", text.data);
    }
    ht_buffer_free(&text);
}

// Whether the first look stays for a second one. All of them together are not to take more memory than this.
static bool keep_first(struct ht_ps_rows *rows, const struct ht_ps_row *row)
{
    const uint64_t most_bytes = UINT64_C(256) << 20;
    uint64_t bytes = row->first.capacity * sizeof *row->first.items;
    if (!row->alive)
        return false;
    if (rows->kept_bytes + bytes > most_bytes) {
        ht_warn("%" PRIu32
                ": its growth is not shown, for that would take more memory than 256 MB for all processes",
                row->process.pid);
        return false;
    }
    rows->kept_bytes += bytes;
    return true;
}

static struct ht_ps_row *add_row(struct ht_ps_rows *rows, const struct ht_process *process, bool alive)
{
    HT_RESERVE(rows->items, rows->capacity, rows->count + 1);
    struct ht_ps_row *row = &rows->items[rows->count++];
    *row = (struct ht_ps_row){.process = *process, .alive = alive};
    ask_system(row);
    if (!process->has_region && !process->is_heir) {
        char reason[512];
        ht_process_explain_no_region(process, reason, sizeof reason);
        row->note = ht_strdup(reason);
        return row;
    }
    uint32_t asked;
    if (alive && process->has_region)
        ht_signal_ask(process->region_path, &asked); // the second look finds the answer of a busy process
    row->first_ns = ht_clock_ns(CLOCK_MONOTONIC);
    row->has_figures = look_at(row, &row->first);
    if (!row->has_figures)
        row->note = ht_format("its region %s", ht_error());
    row->is_compared = row->has_figures && keep_first(rows, row);
    if (!row->is_compared)
        ht_live_set_free(&row->first);
    return row;
}

bool ht_ps_collect_live(struct ht_ps_rows *rows, const struct ht_operands *operands)
{
    bool all = true;
    struct ht_strings names = ht_target_names(operands->items, (size_t)operands->count);
    for (size_t i = 0; i < names.count; i++) {
        const char *argument = names.items[i];
        struct ht_process process;
        uint32_t pid;
        if (!ht_proc_is_pid(argument))
            ht_cmd_error("ps", "%s: no profiled process has this name; 'heaptap ps' without one lists all",
                         argument);
        else if (!ht_proc_parse_pid(argument, &pid))
            ht_cmd_error("ps", "%s: no process has such a number; 'heaptap ps' without one lists all",
                         argument);
        else if (ht_process_find(pid, &process) != 0)
            ht_cmd_error("ps", "%s: %s", argument, ht_error());
        else if (add_row(rows, &process, true) != NULL)
            continue;
        all = false;
    }
    ht_target_names_free(&names);
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

static bool is_listed(const struct ht_ps_rows *rows, const struct stat *stat)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->items[i].process.has_region && rows->items[i].process.inode == stat->st_ino &&
            rows->items[i].process.device == stat->st_dev)
            return true;
    return false;
}

static void collect_dead_file(struct ht_ps_rows *rows, const struct ht_processes *processes, const char *path)
{
    struct ht_process dead = {.has_region = true}, living;
    struct ht_region_header header;
    struct stat stat = {0};
    errno = 0;
    bool whole = ht_region_read_header(path, &header, &stat) == 0;
    if (!whole)
        tell_passing(path);
    if (stat.st_mode == 0)
        return; // it cannot even be opened
    dead.inode = stat.st_ino;
    dead.device = stat.st_dev;
    if (is_listed(rows, &stat) || (whole && ht_region_is_alive(&header, &stat, processes, &living)))
        return;
    snprintf(dead.region_path, sizeof dead.region_path, "%s", path);
    if (whole) {
        dead.pid = dead.own_pid = header.pid;
        dead.uid = stat.st_uid;
        ht_text_print(dead.program, sizeof dead.program, "%.63s", header.program);
    }
    add_row(rows, &dead, false);
}

void ht_ps_collect_dead(struct ht_ps_rows *rows)
{
    const char *folders[HT_DEAD_FOLDERS];
    size_t folder_count = ht_dead_folders(folders);
    for (size_t i = 0; i < folder_count; i++) {
        char **paths;
        size_t count = ht_region_files(folders[i], &paths);
        struct ht_processes processes;
        ht_processes_look(&processes); // behind the files: a process that came between is not taken for dead
        for (size_t j = 0; j < count; j++) {
            collect_dead_file(rows, &processes, paths[j]);
            free(paths[j]);
        }
        ht_processes_free(&processes);
        free(paths);
    }
}

void ht_ps_look_again(struct ht_ps_rows *rows, uint64_t over_ns)
{
    bool any = false;
    for (size_t i = 0; i < rows->count; i++)
        any |= rows->items[i].alive && rows->items[i].has_figures;
    if (!any || over_ns == 0)
        return;
    fflush(stdout);
    ht_clock_wait(over_ns);
    for (size_t i = 0; i < rows->count; i++) {
        struct ht_ps_row *row = &rows->items[i];
        if (!row->alive || !row->has_figures || !row->is_compared)
            continue;
        uint64_t now = ht_clock_ns(CLOCK_MONOTONIC);
        if (look_at(row, &row->second)) // it may have ended meanwhile
            row->second_ns = now;
    }
}

bool ht_ps_growth(const struct ht_ps_row *row, struct ht_estimate *ret)
{
    if (row->second_ns <= row->first_ns || row->process.is_heir) // its parent's growth is none of its own
        return false;
    struct ht_estimate change = ht_live_set_change(&row->first, &row->second);
    double per_minute = 60e9 / (double)(row->second_ns - row->first_ns);
    *ret = (struct ht_estimate){change.bytes * per_minute, change.error_bytes * per_minute};
    return true;
}

int64_t ht_ps_age(const struct ht_ps_row *row)
{
    uint64_t now_ns = ht_clock_ns(CLOCK_BOOTTIME);
    long ticks = sysconf(_SC_CLK_TCK);
    if (!row->alive || ticks <= 0 || now_ns == 0)
        return -1;
    double age_ns = (double)now_ns - (double)row->process.start_ticks / (double)ticks * 1e9;
    return age_ns > 0 ? (int64_t)age_ns : 0;
}

void ht_ps_free(struct ht_ps_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->items[i].note);
        ht_live_set_free(&rows->items[i].first);
        ht_live_set_free(&rows->items[i].second);
    }
    free(rows->items);
}
