// The gate of `heaptap run`: whether the program left more behind than may be.
#ifndef HT_CMD_RUN_GATE_H
#define HT_CMD_RUN_GATE_H

#include "launch/launch.h"
#include "profile/suppress.h"

struct ht_run_gate {
    uint64_t limit_bytes; // HT_RUN_UNSET: there is no gate
    const char *ignore, *suppressions;
    struct ht_suppressions list;
    bool no_symbolize;
    char *profile; // path of the profile of the exit; NULL: there is none
};

// Before anything is started. 0, or 125 after a message. Without a rate from somebody else it is 1.
int ht_run_gate_prepare(struct ht_run_gate *gate, struct ht_run_settings *settings);

// The program has ended, its profiles have their names: which of them is that of its exit.
void ht_run_gate_find(struct ht_run_gate *gate, const char *directory, pid_t program, uint64_t run_id,
                      struct timespec started);

// Judges, says why, and returns the exit status; `status`: that of the program. `talks`: also when all is
// well.
int ht_run_gate_judge(struct ht_run_gate *gate, const char *program, int status, bool talks);

void ht_run_gate_free(struct ht_run_gate *gate);

#endif
