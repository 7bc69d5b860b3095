// The invariants of a region, run: a check for each structure, and the list of all.
//
// The rules of the file are in layout.h (R), those of the table of live samples in live.c (L), those of the
// filter in filter.h (F), those of kinds in kinds.c (K). Of what is appended and never changes:
//  S1 a stack stands in the chain of its hash, and its hash is that of its frames and of the mark
//  HT_STACK_TRUNCATED; S2 a stack has at most HT_MAX_FRAMES frames, no flags but the known ones, and stands
//  once in its chain (a copy that
//     lost a race is in none);
//  T1 a string ends with a NUL within the region;
//  M1 a module is a range, its path is a string, its build id fits, its id is in 1..module_count and no
//  other's; M2 no two modules share a profile address; E1 an entry stands in the chain of its hash, and its
//  hash is that of its stack, kind, size class and label, which
//     are what they must be;
//  E2 its id is in 1..entry_count and no other's (ids of entries that lost a race are nobody's), and there is
//  room for
//     so many entries in the region;
//  E3 no more samples than objects, since no weight is below 1; objects and bytes are such that each object
//  is of the
//     entry's size class;
//  E4 the live samples of an entry are not more than the samples it ever got, nor their objects and bytes at
//  the
//     weights with which they were added. At the floor of a later thinning a weight grows, from 1/P(size,
//     rate) to 1/P(size, floor): sums of estimates may then exceed what the entry ever got, by that factor
//     and no more, and the rule is about the weights before.
//  E5 what an entry began with in a forked child is in the region, and not more than the entry ever got.
//  E6 the variance of an entry is a finite number, not below 0, and 0 where every weight was 1. Of weights
//  that add up to a known sum the least comes when all are equal, the most when one has all that is above 1.
//  It is added behind objects and bytes, so that a call under way makes it smaller only.
// The rows are run in their order, and a row goes by what those before it have found sound.
#ifndef HT_RECORD_CHECK_H
#define HT_RECORD_CHECK_H

#include "record/kinds.h"
#include "record/region.h"
#include "record/view.h"
#include "sys/memory.h"

// What may be half done in what is looked at.
enum ht_check_moment {
    HT_CHECK_QUIET,   // nothing
    HT_CHECK_STOPPED, // one change for each thread of a process that has ended: killed, or left by its
                      // threads
    HT_CHECK_RUNNING, // everything: memory that changes, or a copy that took some time
};

#define HT_CHECK_THREADS 4096 // that may have been at it in a process that has ended

struct ht_check {
    const struct ht_view *view;
    enum ht_check_moment moment;
    struct ht_bump *memory; // for tables, in proportion to what is checked
    // Of what is wrong:
    const char *rule; // its number
    char wrong[192];  // the rule, what does not hold, and where
};

// Contract of all checks: any bytes, no faults, bounded by the size of the view: linear, or n log n. NULL:
// the rules hold; else check->wrong, the first that was found. No allocation but from `memory`. Context:
// tool; tests.
const char *ht_check_header(struct ht_check *check);  // R1, R5, L7
const char *ht_check_stacks(struct ht_check *check);  // R2, R4, S1, S2
const char *ht_check_strings(struct ht_check *check); // R4, T1
const char *ht_check_modules(struct ht_check *check); // R4, M1, M2
const char *ht_check_kinds(struct ht_check *check);   // R4, K1, K2, K3
const char *ht_check_entries(struct ht_check *check); // R4, E1, E2, E3, E5, E6
const char *ht_check_live(struct ht_check *check);    // L1, L2, L3, L5, L6, L8
const char *ht_check_sums(struct ht_check *check);    // E4

struct ht_check_row {
    const char *name, *rules;
    const char *(*run)(struct ht_check *check);
};
#define HT_CHECK_ROWS 8
extern const struct ht_check_row ht_check_rows[HT_CHECK_ROWS];

// All rows; the first that finds something ends it.
const char *ht_check_all(struct ht_check *check, const struct ht_view *view, enum ht_check_moment moment,
                         struct ht_bump *memory);

// What only the process itself can look at, while it is quiet: the filter (F1 to F3), and that the region's
// words are what it goes by (L4).
const char *ht_check_own(struct ht_check *check, const struct ht_region *region);

// The part of the above that a reader needs before he goes by the bytes, without memory: R1, and what the
// entries and whole live samples refer to. Returns NULL, or what is wrong.
const char *ht_region_check(const struct ht_view *view);

// For the checks themselves.
const char *ht_check_say(struct ht_check *check, const char *rule, const char *text, uint64_t place);
const char *ht_check_no_memory(struct ht_check *check);
void ht_check_sort(uint64_t *items, uint64_t count, int (*compare)(const void *arg, uint64_t a, uint64_t b),
                   const void *arg);
// Where the entry of each id stands: refs[0..*ret_count]. NULL: see check->wrong.
const struct ht_kind *ht_check_kind_table(struct ht_check *check); // [HT_KIND_LIMIT]; the same
const uint32_t *ht_check_entry_refs(struct ht_check *check, uint32_t *ret_count);

#endif
