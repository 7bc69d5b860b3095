// What this process remembers: its own region, made at its first sample, and what a copied process takes
// over.
#ifndef HT_CORE_PROCESS_H
#define HT_CORE_PROCESS_H

#include "record/region.h"
#include "unwind/unwind.h"

#include <stdbool.h>
#include <stdint.h>

// Settled once from the environment by src/trigger before the first sample; read-only afterwards.
struct ht_settings {
    bool on; // false: forward only (HEAPTAP_RATE=0, HEAPTAP_ONLY, a program we stay out of)
    bool dormant;
    uint64_t rate_bytes;
    uint64_t memory_bytes;
    uint64_t seed;   // 0: random
    uint64_t run_id; // 0: not under `heaptap run`
    uint32_t labels, keep;
    enum ht_unwind_mode unwind;
    char program[64];   // what the program is called: see ht_process_names
    char live_dir[256]; // "": private memory
    char out_dir[1024];
    char arguments[512]; // "": unknown, or left out
};
extern struct ht_settings ht_settings HT_HIDDEN;

// Counts processes in a line of forks: 1 in the one that was exec'ed. A thread whose generation differs
// starts a new random stream.
extern uint32_t ht_generation HT_HIDDEN;

// Differs for each process in a tree of forks, and is the same from run to run where the order of the forks
// is: with HEAPTAP_SEED it says which random stream a process has.
extern uint64_t ht_lineage HT_HIDDEN;

// The region of the calling process, made when there is none (also in a process that was copied from one that
// had it). NULL: none can be had. Context: hook; `inside` set.
struct ht_region *ht_process_region(void);

// The region if this very process has made it, else NULL. Any context; makes nothing.
struct ht_region *ht_process_region_if_made(void);

// The region of a forked child that has recorded nothing yet, made of the blocks that it holds since the
// fork; NULL: it holds none, or is no such process. Context: bare thread (uses no thread-locals).
struct ht_region *ht_process_region_inherited(void);

// Puts private memory in the place of a region whose file has no page at this address any more; recording
// ends with the next sample. False: the address is in no region of this process. Any context.
bool ht_process_replace_region(uintptr_t address);

// True in a process copied by fork whose parent had a region and that has not made its own, or is at it: what
// it inherited is in neither yet.
bool ht_process_is_copy(void);

// The executable's path, and what the program is called: the last part of the name it was started by where
// that leads to the executable (redis-server is a link to redis-check-rdb), else of the executable itself.
// Context: load.
void ht_process_names(char *ret_path, size_t path_size, char *ret_name, size_t name_size);

// The arguments that the program was started with, for people: blanks within one, controls and backslashes
// are escaped (\x20), and what is too long ends in dots. Context: load, before the program can write over
// them.
void ht_process_arguments(char *ret_arguments, size_t size_bytes);

// When a process began, in clock ticks since boot: with the pid it names it. 0: there is none, or /proc does
// not say. Any context.
uint64_t ht_process_start_ticks(uint32_t pid);

// Whether the process that had this number and this beginning has surely ended: there is none of that number,
// or another one. Not where /proc could not be asked. Any context.
bool ht_process_is_gone(uint32_t pid, uint64_t start_ticks);

// Who we are: fills an identity for regions and empty profiles. Any context (raw system calls).
void ht_process_identity(struct ht_identity *ret_identity);

// pthread_atfork handlers.
void ht_fork_prepare(void);
void ht_fork_parent(void);
void ht_fork_child(void);

#endif
