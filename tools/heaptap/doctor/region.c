// A region file under the doctor's eyes: whose it is, whether its process runs, whether its rules hold, and
// what was counted.
#include "doctor/doctor.h"

#include "base/error.h"
#include "base/proc.h"
#include "record/check.h"
#include "record/live.h"
#include "region/target.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool ht_doctor_is_region(const char *argument)
{
    return ht_target_matches(argument) && !ht_proc_is_pid(argument);
}

// What a counter other than 0 means for the figures; those that are not here are only told.
static const struct {
    enum ht_health id;
    const char *advice;
} losses[] = {
    {HT_HEALTH_DROP_NO_REGION, "give it memory: HEAPTAP_MEMORY, RLIMIT_AS, room in /dev/shm"},
    {HT_HEALTH_DROP_LIVE_FULL, "live figures miss these samples; raise HEAPTAP_MEMORY or the rate"},
    {HT_HEALTH_OVERFLOW_STACKS, "they stand under [overflow]; raise HEAPTAP_MEMORY"},
    {HT_HEALTH_INHERIT_LOST, "the child's live figures miss them; raise HEAPTAP_MEMORY"},
    {HT_HEALTH_SNAPSHOT_FAILURES, "the log says why; 'heaptap snap FILE.live' writes one from outside"},
};

static void say_counters(struct ht_doctor *doctor, const struct ht_region_header *header)
{
    static const char *const names[][2] = {
#define X(id, name, meaning) {name, meaning},
        HT_HEALTH_TABLE(X)
#undef X
    };
    doctor->check = "counters";
    for (unsigned i = 0; i < HT_HEALTH_COUNT; i++) {
        const char *advice = NULL;
        for (size_t at = 0; at < sizeof losses / sizeof *losses; at++)
            if (losses[at].id == (enum ht_health)i)
                advice = losses[at].advice;
        if (header->health[i] != 0)
            ht_doctor_say(doctor, advice != NULL ? HT_DOCTOR_WARNING : HT_DOCTOR_OK, advice,
                          "%s %" PRIu64 ": %s", names[i][0], header->health[i], names[i][1]);
    }
}

static void say_identity(struct ht_doctor *doctor, const struct ht_region_header *header,
                         const struct ht_region_copy *copy)
{
    doctor->check = "region";
    ht_doctor_say(doctor, HT_DOCTOR_OK, NULL,
                  "version %" PRIu32 ", of %.*s, pid %" PRIu32 ", user %" PRIu32 "; %" PRIu64 " of %" PRIu64
                  " bytes are used, %" PRIu64 " live samples' slots",
                  header->version, (int)strnlen(header->program, sizeof header->program), header->program,
                  header->pid, header->uid, header->used_bytes, copy->file_bytes,
                  (uint64_t)ht_live_count(header));
}

static void say_process(struct ht_doctor *doctor, const struct ht_target *target)
{
    doctor->check = "process";
    if (target->alive && target->process.pid != 0) {
        doctor->pid = target->process.pid;
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%" PRIu32 " runs with it", target->process.pid);
    } else if (target->alive) {
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "runs, or it cannot be told from here whether it does");
    } else {
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "has ended; 'heaptap top FILE.live' reads what it left");
    }
}

static void say_recording(struct ht_doctor *doctor, const struct ht_region_header *header)
{
    doctor->check = "recording";
    if (header->failed != 0)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM, "start the program anew",
                      header->failed == HT_FAILURE_BLOCKED
                          ? "was switched off for good: the program's threads waited too long for each other"
                          : "was switched off for good: the recorder's tables were written over or cut off");
    else
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s, one sample in %" PRIu64 " bytes",
                      header->active != 0 ? "is on" : "is off", header->rate_bytes);
}

static void say_rules(struct ht_doctor *doctor, const struct ht_region_copy *copy, bool alive)
{
    struct ht_bump memory;
    ht_bump_init(&memory, UINT64_MAX);
    struct ht_check check = {
        .view = &copy->view, .moment = alive ? HT_CHECK_RUNNING : HT_CHECK_STOPPED, .memory = &memory};
    for (size_t i = 0; i < HT_CHECK_ROWS; i++) {
        const struct ht_check_row *row = &ht_check_rows[i];
        doctor->check = row->name;
        if (row->run(&check) == NULL)
            ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%s hold%s", row->rules,
                          alive ? ", as far as can be told while the process runs" : "");
        else if (strcmp(check.rule, "memory") == 0)
            ht_doctor_say(doctor, HT_DOCTOR_WARNING, "look at it on a machine with more memory", "%s",
                          check.wrong);
        else
            ht_doctor_say(doctor, HT_DOCTOR_PROBLEM,
                          "do not go by its figures; if nothing else wrote to the file, please report it",
                          "%s", check.wrong);
        ht_bump_release(&memory);
    }
}

int ht_doctor_examine_region(struct ht_doctor *doctor, const char *path)
{
    struct ht_target target;
    struct ht_region_copy copy;
    if (ht_target_open(path, O_RDONLY, &target) != 0)
        return -1;
    int result = ht_region_read_damaged(target.fd, &copy);
    if (result == 0) {
        const struct ht_region_header *header = copy.view.header;
        doctor->is_region = true;
        snprintf(doctor->subject, sizeof doctor->subject, "%s", path);
        snprintf(doctor->path, sizeof doctor->path, "%.*s",
                 (int)strnlen(header->program_path, sizeof header->program_path), header->program_path);
        say_identity(doctor, header, &copy);
        say_process(doctor, &target);
        say_recording(doctor, header);
        say_rules(doctor, &copy, target.alive);
        say_counters(doctor, header);
        ht_region_copy_free(&copy);
    }
    ht_target_close(&target);
    return result;
}
