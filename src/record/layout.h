// The live region's file: everything remembered, position-independent, read by other processes and after
// death.
//
// Layout: a header of HT_REGION_HEADER_BYTES, then one bump heap of records that never move and are never
// freed. References between records are offsets from the region's start in units of HT_REF_UNIT bytes
// (uint32_t, 0 = none). Everything is little-endian plain data; a word that several parties touch is named
// with its writers.
//
// Invariants (record/check.c runs them):
//  R1 used_bytes <= backed_bytes <= size_bytes; all three only grow; every reference lies below used_bytes.
//  R2 a record that can be reached through a reference is complete and never changes, except entry values
//     (they only grow) and live slots.
//  R3 a live slot whose key is neither 0 nor HT_SLOT_BUSY is whole (see struct ht_live_slot).
//  R4 chains (stack heads, entry heads, modules, strings) end: a record is linked before what it is linked to
//  was
//     reachable. A reader that trusts nothing counts its steps all the same.
#ifndef HT_RECORD_LAYOUT_H
#define HT_RECORD_LAYOUT_H

#include "sys/compiler.h"

#include <stddef.h>
#include <stdint.h>

#define HT_REGION_MAGIC         UINT64_C(0x5041545041454801) // the bytes 01 H E A P T A P
#define HT_REGION_MAKING        UINT64_C(0x5041545041454800) // the first byte 0: not finished yet
#define HT_REGION_SUFFIX        ".live"
#define HT_REGION_MAKING_SUFFIX ".new" // until it is published: what is called .live is whole
// Making one takes a millisecond; a file that is still without its magic number after so long is nobody's
// any more.
#define HT_REGION_MAKING_SECONDS 600
#define HT_REGION_VERSION        1u
#define HT_REGION_HEADER_BYTES   16384u
#define HT_REF_UNIT              8u
#define HT_MAX_FRAMES            256u
#define HT_LIVE_LEVELS           24u
#define HT_STRIPES               16u
#define HT_SIZE_CLASSES          512u
#define HT_BUCKET_SLOTS          8u
#define HT_HEALTH_ROOM           40u
#define HT_ALLOCATOR_FIGURES     4u
#define HT_SLOT_BUSY             UINT64_C(1) // a key that is being written; no allocator returns address 1

// Why something was not recorded, or a figure of our own work. One table: name in comments, meaning.
#define HT_HEALTH_TABLE(X)                                                                                   \
    X(DROP_REENTRANT, "drop_reentrant", "samples in a signal handler that interrupted the recorder")         \
    X(DROP_NO_REGION, "drop_no_region", "samples for which no region could be made")                         \
    X(DROP_LIVE_FULL, "drop_live_full", "samples that found no slot in the table of live samples")           \
    X(DROP_SCRATCH, "drop_scratch", "samples for which every unwind buffer was in use")                      \
    X(OVERFLOW_STACKS, "overflow_stacks", "samples filed under [overflow]: no memory for a new stack")       \
    X(TRUNCATED_STACKS, "truncated_stacks", "samples whose stack was cut at 256 frames")                     \
    X(FAILED_UNWINDS, "failed_unwinds", "samples whose stack ends early")                                    \
    X(UNMATCHED, "unmatched", "addresses allocated anew whose free was never seen")                          \
    X(THINNINGS, "thinnings", "times the memory limit made the sampling coarser")                            \
    X(THINNED, "thinned", "live samples given up by thinning and swept")                                     \
    X(SNAPSHOTS, "snapshots", "snapshots written")                                                           \
    X(SNAPSHOT_FAILURES, "snapshot_failures", "snapshots that could not be written")                         \
    X(SNAPSHOT_SKIPPED, "snapshot_skipped", "snapshots not begun: another was being written")                \
    X(INHERITED, "inherited", "live samples taken over from the parent at fork")                             \
    X(INHERIT_LOST, "inherit_lost", "live samples of the parent that could not be taken over")               \
    X(RAW_FORK, "raw_fork", "1 if this process was copied without atfork handlers and started empty")        \
    X(SNAPSHOT_NS, "snapshot_ns", "nanoseconds of CPU time spent in snapshots")                              \
    X(RECORDER_NS, "recorder_ns", "nanoseconds spent on samples and their frees; one in 16 is timed")        \
    X(BLOCKED_NS, "blocked_ns", "nanoseconds that threads of the program waited for each other in us")       \
    X(PRIVATE_BYTES, "private_bytes", "our memory beside the region at the last snapshot")

enum ht_health {
#define X(id, name, meaning) HT_HEALTH_##id,
    HT_HEALTH_TABLE(X)
#undef X
        HT_HEALTH_COUNT
};

// values[] of an entry, whatever its kind. Fixed point where the kind says so, added with one instruction and
// rounded once, in the file.
enum ht_entry_value {
    HT_ENTRY_SAMPLES = 0, // how many samples
    // A double's bits: the sum over the samples of amount^2 * (1-P)/P^2, which is the estimate of the error's
    // square in the sum of amount/P (Horvitz and Thompson 1952); only where the header says
    // HT_KEEPS_VARIANCE.
    HT_ENTRY_VARIANCE = 1,
    // Added to in one step (sys/pair.h), so that whoever dies in between leaves no half entry.
    HT_ENTRY_COUNT = 2,  // sum of weights: objects, contentions, ...
    HT_ENTRY_AMOUNT = 3, // sum of amount * weight: bytes, nanoseconds, ...
    HT_ENTRY_VALUES = 4
};

// Kinds of profile (record/kinds.h).
#define HT_KIND_HEAP      0u
#define HT_KIND_LIMIT     32u
#define HT_KIND_COLUMNS   8u
#define HT_KIND_KEY_SHIFT 57 // user space ends below; keys of the heap, whose id is 0, are addresses

#define HT_KIND_HAS_LIVE  1u // its samples stand in the table of live samples until what they are of is gone
#define HT_KIND_HAS_SIZES 2u // an entry for each size class, with the numeric label `bytes`

// Where a column of a profile comes from.
enum ht_column_source {
    HT_COLUMN_COUNT,       // the entry's totals, which only grow
    HT_COLUMN_AMOUNT,      //
    HT_COLUMN_LIVE_COUNT,  // summed from the live samples
    HT_COLUMN_LIVE_AMOUNT, //
    HT_COLUMN_SOURCES
};

struct ht_kind_column {
    char type[32], unit[16];
    uint64_t source; // enum ht_column_source
};

// What a kind is; strings end within their arrays.
struct ht_kind_form {
    char name[32]; // in file names and addresses: heap, mutex, ...
    uint32_t flags;
    uint8_t count_shift, amount_shift; // the entries' totals are in units of 1/2^shift
    uint8_t column_count, default_column;
    uint64_t period; // 0: the sampling rate
    char period_type[32], period_unit[16];
    char label_key[32]; // what an entry's label_ref is the value of
    struct ht_kind_column columns[HT_KIND_COLUMNS];
};

struct ht_kind_row {
    uint32_t next_ref; // the kind added before this one
    uint32_t id;
    uint32_t drop_frames_ref; // struct ht_string, or 0
    uint32_t pad;
    struct ht_kind_form form;
    uint32_t overflow_refs[]; // by size class, one without sizes: the entry that takes samples when stacks
                              // are full
};

#define HT_STACK_TRUNCATED 1u // more than HT_MAX_FRAMES
#define HT_STACK_FAILED    2u // the walk ended before the root

// Profile addresses (return address - 1, moved by the module's delta), leaf first.
struct ht_stack {
    uint64_t hash;
    uint32_t next_ref; // next in the chain of this hash
    uint16_t frame_count;
    uint16_t flags; // HT_STACK_*
    uint64_t frames[];
};

// One for each distinct (kind, stack, size class, thread label).
struct ht_entry {
    uint64_t hash;
    uint32_t next_ref;
    uint32_t stack_ref; // 0: the overflow entry of its size class
    uint32_t id;        // 1, 2, 3, ... dense
    uint32_t label_ref; // struct ht_string with the thread's name, or 0
    uint16_t kind;      // id of a struct ht_kind_row
    uint16_t size_class;
    uint32_t inherited_ref;           // struct ht_inherited, set before the region is published; 0: nothing
    uint64_t values[HT_ENTRY_VALUES]; // added to by every sampling thread, relaxed
};

// What an entry's totals began with in a forked child: the blocks that it has from its parent. Those of them
// that are still there are older than the child's region.
struct ht_inherited {
    uint64_t count, amount; // of values[HT_ENTRY_COUNT] and [HT_ENTRY_AMOUNT]
};

struct ht_string {
    uint32_t next_ref;
    uint32_t length_bytes; // without the NUL
    char bytes[];          // NUL-terminated
};

struct ht_module {
    uint32_t next_ref;      // the module remembered before this one
    uint32_t path_ref;      // struct ht_string
    uint64_t start, limit;  // where it was mapped
    uint64_t profile_start; // where profiles put it: start, unless that range was taken before
    uint64_t file_offset;
    uint32_t id; // 1 = first seen; the program is marked, wherever it comes
    uint16_t build_id_bytes;
    uint16_t is_program;
    uint8_t build_id[32];
    // Where the header's module_bytes say that there is more:
    uint64_t link_start; // what `start` is in the file's own addresses, 0: profiles show it as it was mapped
};
#define HT_MODULE_LEAST_BYTES offsetof(struct ht_module, link_start)

// A live sample, beside its key (the block's address) in a bucket's line of keys.
// Writer protocol: CAS key 0 -> HT_SLOT_BUSY, seq + 1, release fence, fields, key = address (release).
// Reader protocol: key, seq (acquire), fields, acquire fence, seq and key unchanged.
// Removal: CAS key -> 0 by whoever frees the block (only one thread owns a block).
// Sweeping a sample that thinning gave up: CAS key address -> address | 1, look at the rank again, then CAS
// to HT_SLOT_BUSY or back; the owner recognises its address with or without the mark, so it is never missed.
// Under the mark it removes by CAS key -> HT_SLOT_BUSY, and the sweeper gives the slot back.
struct ht_live_slot {
    uint64_t size_bytes; // as requested; 0 is charged as 1
    uint64_t birth_ns;   // CLOCK_MONOTONIC
    float rate_bytes;    // mean distance with which it was drawn; <= 1: exact
    float rank_bytes;    // it would also have been seen at every rate below this one; > rate_bytes; written
                         // last, 0 until then (live.c, L6)
    uint32_t entry_ref;
    uint32_t seq;
};

// One open-addressing hash table; a bucket is a cache line of keys. An insertion that found buckets full
// leaves passed[bucket] + 1 behind for each, so that a search knows where it may stop.
struct ht_live_level {
    uint64_t keys_offset;   // uint64_t [buckets][HT_BUCKET_SLOTS]
    uint64_t slots_offset;  // struct ht_live_slot [buckets][HT_BUCKET_SLOTS]
    uint64_t passed_offset; // uint32_t [buckets]
    uint32_t bucket_count;  // power of two
    uint32_t pad;
};

struct ht_stripe {
    int64_t live; // slots in use, dead ones included
    uint64_t pad[7];
} HT_ALIGNED(HT_CACHE_LINE);

// The most that was held within a quarter of a second; a slot is taken over by a later one.
struct ht_recent {
    uint64_t quarter; // CLOCK_MONOTONIC >> HT_RECENT_SHIFT
    int64_t most_bytes;
};
#define HT_FORKS_REMEMBERED 32u

#define HT_RECENT_SHIFT 28u
#define HT_RECENT_SLOTS 6u // five cover the last second at least, and one is being begun

struct ht_region_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint64_t size_bytes;   // of the file: the limit of used_bytes; the mapping grows towards it
    uint64_t used_bytes;   // hook: CAS
    uint64_t backed_bytes; // hook: max
    // Identity; written once, before the file gets its final name.
    uint32_t pid; // in its own pid namespace
    uint32_t uid;
    uint64_t start_ticks; // field 22 of /proc/PID/stat: with the pid and boot id it names the process
    uint64_t pid_namespace;
    uint64_t created_unix_ns;
    uint64_t created_monotonic_ns;
    char boot_id[40];
    char program[64]; // base name of the executable, as in file names
    char program_path[1024];
    char out_dir[1024];    // HEAPTAP_OUT, absolute
    char region_path[256]; // "" when private
    uint64_t memory_limit_bytes;
    uint32_t labels; // HT_LABELS_*
    uint32_t keep;   // HEAPTAP_KEEP
    uint64_t seed;
    // Control; the command writes these words (relaxed), hooks read them at samples.
    uint64_t rate_bytes;       // mean distance for draws from now on; 1 = every allocation
    uint32_t active;           // 0: dormant
    uint32_t snapshot_request; // counts up
    uint64_t
        first_active_ns; // CLOCK_MONOTONIC when it was first switched on: older blocks are unknown; 0 = never
    uint64_t inactive_ns; // total time switched off since first_active_ns (command)
    // State of the tables.
    uint32_t seq;              // the next file's number (snapshots: CAS)
    uint32_t failed;           // enum ht_failure: recording was switched off for good
    float floor_bytes;         // thinning: only samples with a rank above count; 0 = none
    uint32_t sweep_active;     // the sweep that is under way: dead samples may be left; 0: none
    uint64_t thinned_since_ns; // CLOCK_REALTIME of the first thinning, 0 = none
    uint64_t sweep_cursor;     // the sweep's number << 32 | the next bucket
    uint64_t last_growth_bytes;
    uint32_t entry_count; // ids given away
    uint32_t module_count;
    uint32_t modules_ref;                      // newest
    uint32_t strings_ref;                      // newest
    uint32_t stack_heads_ref, entry_heads_ref; // uint32_t [head_count]
    uint32_t head_count;                       // power of two
    uint32_t level_count;                      // levels in use (release after the level is filled in)
    struct ht_live_level levels[HT_LIVE_LEVELS];
    uint64_t health[HT_HEALTH_ROOM]; // HT_HEALTH_COUNT of them are in use
    uint64_t stopped_since_ns;       // CLOCK_MONOTONIC of the stop that is in force, 0 = none (command)
    uint32_t sealed;                 // 1: under a seccomp filter of its own making (trigger/sandbox.c)
    uint32_t pad;
    uint64_t run_id;    // HEAPTAP_RUN: the `heaptap run` it belongs to, 0 = none
    uint32_t kinds_ref; // newest struct ht_kind_row; 0: written before there were rows
    // Whose the snapshot signal is: asked by the command, answered at the next sample or free of a sampled
    // block.
    uint32_t signal_asked;    // counts up (command)
    uint32_t signal_answered; // the signal_asked that is answered (release, last)
    uint32_t signal_owner;    // enum ht_signal_owner
    uint32_t signal_number;   // 0: none is wanted
    uint32_t parent_pid;      // 0: unknown
    uint32_t inherited_pid;   // a forked child's: whose region it took blocks over from; 0: none
    uint32_t exiting;         // 1: its last snapshot is begun, or left out
    uint64_t inherited_start; // start_ticks of that process
    int64_t held_bytes;       // live heap, estimated (hooks)
    struct ht_recent recent[HT_RECENT_SLOTS];
    uint32_t keeps; // HT_KEEPS_*: what entries have beyond what those of the first builds had
    uint32_t spare_half;
    uint64_t spare[8]; // zero in version 1
    // The allocator behind the recorder (trigger/allocator.c); zero: written before there were these words.
    uint32_t allocator;         // enum ht_allocator
    uint32_t allocator_flags;   // HT_ALLOCATOR_UNSEEN, ...
    uint64_t allocator_unix_ns; // when it was last asked for its figures, 0: never
    uint64_t allocator_figures[HT_ALLOCATOR_FIGURES];
    char allocator_name[40];               // its library
    uint32_t unused_refs[HT_SIZE_CLASSES]; // overflow entries, before there were rows
    struct ht_stripe stripes[HT_STRIPES];
    char arguments[512]; // argv, one blank between two, controls escaped; "": unknown, or left out
    // When it last forked, CLOCK_MONOTONIC: what was born before is in the child.
    uint32_t fork_count;
    uint32_t module_bytes;                 // of a struct ht_module; 0: HT_MODULE_LEAST_BYTES
    uint64_t fork_ns[HT_FORKS_REMEMBERED]; // by fork_count
};

// What its figures mean: snapshot/comments.c.
enum ht_allocator {
    HT_ALLOCATOR_UNKNOWN = 0,
    HT_ALLOCATOR_OTHER, // without figures
    HT_ALLOCATOR_GLIBC,
    HT_ALLOCATOR_JEMALLOC,
    HT_ALLOCATOR_TCMALLOC,
    HT_ALLOCATOR_MIMALLOC,
    HT_ALLOCATORS
};

#define HT_ALLOCATOR_UNSEEN  1u // it has an operator new, and no companion stands before it
#define HT_ALLOCATOR_UNASKED 2u // it cannot be asked safely (any more): several threads, and signal handlers

// What is done with the snapshot signal in the process; a program may change it at any time after load.
enum ht_signal_owner {
    HT_SIGNAL_UNKNOWN = 0, // written before there was this word, or not found out yet
    HT_SIGNAL_NONE,        // HEAPTAP_SIGNAL=none
    HT_SIGNAL_OURS,        // it takes a snapshot
    HT_SIGNAL_PROGRAM,     // the program handles it
    HT_SIGNAL_DEFAULT,     // it would kill the process
    HT_SIGNAL_IGNORED,
};

_Static_assert(sizeof(struct ht_region_header) <= HT_REGION_HEADER_BYTES,
               "the header has outgrown its space");
_Static_assert(HT_HEALTH_COUNT <= HT_HEALTH_ROOM, "the header's place for the counters");
_Static_assert(sizeof(struct ht_entry) == 64, "entries are read by other builds of the command");
_Static_assert(offsetof(struct ht_entry, values[HT_ENTRY_COUNT]) % 16 == 0 &&
                   (int)HT_ENTRY_AMOUNT == (int)HT_ENTRY_COUNT + 1,
               "count and amount are one pair");

#define HT_KEEPS_VARIANCE 1u // without it the errors of totals are unknown, not 0

#define HT_LABELS_THREAD 1u
#define HT_LABELS_USER   2u

// Why recording was switched off for good; what header->failed says.
enum ht_failure {
    HT_FAILURE_NONE = 0,
    HT_FAILURE_BROKEN = 1,  // the region does not hold what was written to it
    HT_FAILURE_BLOCKED = 2, // threads of the host waited HT_BLOCKED_LIMIT_NS for each other in us
};

#endif
