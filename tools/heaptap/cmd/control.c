// Control words of a live region, and the commands that write them: start, stop, rate.
#include "region/control.h"

#include "base/memory.h"
#include "cmd/command.h"
#include "record/control.h"
#include "region/process.h"
#include "sys/atomic.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static sigjmp_buf cut_off;

static void on_bus_error(int signal)
{
    siglongjmp(cut_off, signal);
}

static bool is_ours(const struct ht_region_header *header)
{
    return ht_load_acquire(&header->magic) == HT_REGION_MAGIC && header->version == HT_REGION_VERSION;
}

int ht_control_apply(int fd, void (*change)(struct ht_region_header *header, void *arg), void *arg)
{
    struct ht_region_header *header =
        mmap(NULL, HT_REGION_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED)
        return ht_fail_errno("its region cannot be mapped for writing");
    struct sigaction action = {.sa_handler = on_bus_error}, before;
    volatile int result = 0;
    sigaction(SIGBUS, &action, &before);
    if (sigsetjmp(cut_off, 1) != 0)
        result =
            ht_fail("its region was cut off while it was being changed; nothing is recorded there any more");
    else if (!is_ours(header))
        result = ht_fail("its region is not of version %u; use the heaptap that came with its libheaptap.so",
                         HT_REGION_VERSION);
    else
        change(header, arg);
    sigaction(SIGBUS, &before, NULL);
    munmap(header, HT_REGION_HEADER_BYTES);
    return result;
}

static uint64_t now_ns(void)
{
    struct timespec now; // the clock of birth_ns; the same in every process outside time namespaces
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void look(const struct ht_region_header *header, struct ht_control_result *result)
{
    result->was_active = ht_load_relaxed(&header->active);
    result->failed = ht_load_relaxed(&header->failed);
    result->old_rate_bytes = ht_load_relaxed(&header->rate_bytes);
    result->first_active_ns = ht_load_relaxed(&header->first_active_ns);
}

void ht_control_start(struct ht_region_header *header, void *result)
{
    look(header, result);
    ht_control_activate(header, now_ns());
}

void ht_control_stop(struct ht_region_header *header, void *result)
{
    look(header, result);
    ht_control_deactivate(header, now_ns());
}

void ht_control_rate(struct ht_region_header *header, void *result)
{
    struct ht_control_result *change = result;
    look(header, change);
    ht_store_relaxed(&header->rate_bytes, change->new_rate_bytes);
}

void ht_control_count_snapshot(struct ht_region_header *header, void *written)
{
    const struct ht_control_written *what = written;
    ht_add_relaxed(&header->health[HT_HEALTH_SNAPSHOT_NS], what->recorder_ns);
    if (what->failed) {
        ht_add_relaxed(&header->health[HT_HEALTH_SNAPSHOT_FAILURES], 1);
        return;
    }
    ht_add_relaxed(&header->health[HT_HEALTH_SNAPSHOTS], 1);
    uint32_t next = ht_load_relaxed(&header->seq);
    while (next <= what->seq && !ht_cas_acqrel(&header->seq, &next, what->seq + 1)) {
    }
}

void ht_control_rate_text(uint64_t rate_bytes, char text[HT_RATE_TEXT_BYTES])
{
    static const char units[] = " KMGT";
    unsigned unit = 0;
    uint64_t shown = rate_bytes;
    while (shown != 0 && shown % 1024 == 0 && unit < 4) {
        shown /= 1024;
        unit++;
    }
    snprintf(text, HT_RATE_TEXT_BYTES, unit == 0 ? "%" PRIu64 : "%" PRIu64 "%c", shown, units[unit]);
    if (rate_bytes <= 1)
        snprintf(text, HT_RATE_TEXT_BYTES, "1 (exact)");
}

struct control_settings {
    bool quiet;
};

#define CONTROL_OPTIONS                                                                                      \
    {                                                                                                        \
        {"quiet",                                                                                            \
         'q',                                                                                                \
         HT_OPT_FLAG,                                                                                        \
         offsetof(struct control_settings, quiet),                                                           \
         0,                                                                                                  \
         NULL,                                                                                               \
         "print no confirmation"},                                                                           \
        {                                                                                                    \
            .name = NULL                                                                                     \
        }                                                                                                    \
    }
const struct ht_option ht_options_start[] = CONTROL_OPTIONS;
const struct ht_option ht_options_stop[] = CONTROL_OPTIONS;
const struct ht_option ht_options_rate[] = CONTROL_OPTIONS;

// Opens the one process that a control command is about; the exit status, or HT_PARSED to go on.
static int open_control_target(const char *name, const char *argument, struct ht_target *target)
{
    if (ht_target_open(argument, O_RDWR, target) != 0)
        return ht_cmd_error(name, "%s: %s", argument, ht_error());
    if (!target->alive) {
        ht_target_close(target);
        return ht_cmd_error(name,
                            "%s: its program has ended, so nothing can be switched; 'heaptap top %s' still "
                            "shows what it held",
                            argument, argument);
    }
    return HT_PARSED;
}

static int apply(const char *name, const char *argument, void (*change)(struct ht_region_header *, void *),
                 struct ht_control_result *result, struct ht_target *target)
{
    int status = open_control_target(name, argument, target);
    if (status != HT_PARSED)
        return status;
    int applied = ht_control_apply(target->fd, change, result);
    ht_target_close(target);
    if (applied != 0)
        return ht_cmd_error(name, "%s: %s", argument, ht_error());
    if (result->failed != 0)
        return ht_cmd_error(name, "%s: recording was switched off for good after an error in %s; restart it",
                            argument, target->process.program);
    return HT_PARSED;
}

int ht_cmd_start(int argc, char **argv)
{
    struct control_settings settings = {0};
    struct ht_operands operands;
    struct ht_control_result result = {0};
    struct ht_target target;
    int status = ht_cmd_parse("start", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status;
    if (operands.count != 1)
        return ht_cmd_usage_error("start", "name one process");
    status = apply("start", operands.items[0], ht_control_start, &result, &target);
    if (status != HT_PARSED)
        return status;
    char text[HT_RATE_TEXT_BYTES];
    ht_control_rate_text(result.old_rate_bytes, text);
    if (settings.quiet)
        return HT_EXIT_DONE;
    if (result.was_active != 0)
        printf("%s (%" PRIu32 ") is recording already, at rate %s\n", target.process.program,
               target.process.pid, text);
    else
        printf("%s (%" PRIu32 ") records from now on, at rate %s%s\n", target.process.program,
               target.process.pid, text,
               result.first_active_ns == 0 ? "; blocks that it already holds stay unknown" : "");
    return ht_cmd_finish("start");
}

int ht_cmd_stop(int argc, char **argv)
{
    struct control_settings settings = {0};
    struct ht_operands operands;
    struct ht_control_result result = {0};
    struct ht_target target;
    int status = ht_cmd_parse("stop", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status;
    if (operands.count != 1)
        return ht_cmd_usage_error("stop", "name one process");
    status = apply("stop", operands.items[0], ht_control_stop, &result, &target);
    if (status != HT_PARSED)
        return status;
    if (settings.quiet)
        return HT_EXIT_DONE;
    if (result.was_active == 0)
        printf("%s (%" PRIu32 ") was not recording\n", target.process.program, target.process.pid);
    else
        printf("%s (%" PRIu32 ") records no new allocations; frees of recorded blocks are still seen\n",
               target.process.program, target.process.pid);
    return ht_cmd_finish("stop");
}

static int show_rate(const char *argument)
{
    struct ht_target target;
    struct ht_region_copy copy;
    if (ht_target_open(argument, O_RDONLY, &target) != 0)
        return ht_cmd_error("rate", "%s: %s", argument, ht_error());
    int read = ht_region_read(target.fd, &copy);
    ht_target_close(&target);
    if (read != 0)
        return ht_cmd_error("rate", "%s: %s", argument, ht_error());
    char rate[HT_RATE_TEXT_BYTES];
    ht_control_rate_text(copy.view.header->rate_bytes, rate);
    printf("%s\n", rate);
    ht_region_copy_free(&copy);
    return ht_cmd_finish("rate");
}

int ht_cmd_rate(int argc, char **argv)
{
    struct control_settings settings = {0};
    struct ht_operands operands;
    struct ht_control_result result = {0};
    struct ht_target target;
    int status = ht_cmd_parse("rate", argc, argv, &settings, &operands);
    if (status != HT_PARSED)
        return status;
    if (operands.count != 1 && operands.count != 2)
        return ht_cmd_usage_error("rate", "name one process and a size");
    if (operands.count == 1)
        return show_rate(operands.items[0]);
    if (ht_parse_size(operands.items[1], &result.new_rate_bytes) != 0)
        return ht_cmd_usage_error("rate", "%s", ht_error());
    if (result.new_rate_bytes == 0)
        return ht_cmd_usage_error("rate",
                                  "a rate of 0 bytes records nothing; 'heaptap stop %s' does that, and "
                                  "'heaptap rate %s 1' records every allocation",
                                  operands.items[0], operands.items[0]);
    status = apply("rate", operands.items[0], ht_control_rate, &result, &target);
    if (status != HT_PARSED)
        return status;
    char before[HT_RATE_TEXT_BYTES], after[HT_RATE_TEXT_BYTES];
    ht_control_rate_text(result.old_rate_bytes, before);
    ht_control_rate_text(result.new_rate_bytes, after);
    if (!settings.quiet)
        printf("%s (%" PRIu32 "): rate %s, was %s%s\n", target.process.program, target.process.pid, after,
               before, result.was_active != 0 ? "" : " (not recording at present: 'heaptap start')");
    return ht_cmd_finish("rate");
}
