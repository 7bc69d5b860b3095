// Debug info that the compiler put into files of its own (split DWARF): .dwo files, or a .dwp of all of them.
#ifndef HT_RESOLVE_SPLIT_H
#define HT_RESOLVE_SPLIT_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ht_elf;

// Where a section's bytes are.
struct ht_split_section {
    const char *name; // as in a file that is not split
    int fd;
    uint64_t offset, bytes; // 0 bytes: it is not there
};

enum { HT_SPLIT_SECTIONS = 6 }; // that a unit has in its own file

// What a module keeps of them. All 0 is a valid start.
struct ht_split {
    bool is_ready;
    int dwp_fd;    // below 0: none
    int memory_fd; // 0: none; a file in memory with what other files have compressed
    Elf *dwp;
    struct ht_split_section package[HT_SPLIT_SECTIONS];
    uint64_t memory_bytes;
    uint64_t address_at, address_bytes; // in memory_fd: the program's .debug_addr
    uint64_t ranges_at, ranges_bytes;   // and .debug_ranges
    struct ht_split_unit *units;        // that are open
    size_t unit_count, unit_capacity;
    size_t missing_count;
    char *missing; // the name of the first that was not found
};

// Context: tool. Opens the other half of a unit of the module, whose part in the program is `skeleton`; it
// stays open as long as the module. libdw would do so itself, for .dwo files alone, and would wait for a
// FIFO. Fails if it is nowhere, and counts it. Bytes are foreign.
// The unit's addresses count from the skeleton's low_pc.
int ht_split_open(struct ht_elf *module, Dwarf_Die *skeleton, Dwarf_Die *ret_unit);
void ht_split_close(struct ht_split *split);

#endif
