// What `heaptap run` does with the regions of its processes, while they run and when they have died.
#ifndef HT_LAUNCH_RECOVERY_H
#define HT_LAUNCH_RECOVERY_H

#include "launch/launch.h"
#include "region/snap.h"

// Context: tool. The first four are the caller's.
struct ht_recovery {
    const struct ht_run_settings *settings;
    char *const *environment;             // of the program
    bool talks;                           // also about what is no trouble
    void (*say)(const char *text);        // see ht_run_say()
    unsigned saved_killed, saved_unknown; // in the watching process
    bool limit_said;
    struct ht_watched {
        uint32_t pid;
        uint64_t start_ticks;
        struct ht_rotation rotation;
    } * watched; // shared with the processes that tick; NULL: nothing is to be removed
};

void ht_recovery_begin(struct ht_recovery *recovery);
void ht_recovery_end(struct ht_recovery *recovery);

// A tick: a snapshot of the program and of everything below it.
void ht_recovery_snap_family(struct ht_recovery *recovery, pid_t program);

// The program is dead and not yet reaped: one that was killed, crashed or left by _exit wrote no last
// profile; its region still has everything.
void ht_recovery_save_program(struct ht_recovery *recovery, pid_t program, const siginfo_t *info);

// A process below it has died: the `died` of struct ht_family, with the recovery as its argument.
void ht_recovery_save_member(const struct ht_death *death, void *recovery);

#endif
