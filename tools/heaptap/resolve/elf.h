// One ELF file and its debug info: from addresses to functions, lines and inlined callers.
#ifndef HT_RESOLVE_ELF_H
#define HT_RESOLVE_ELF_H

#include "base/memory.h"

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>

// A frame of an answer. Texts belong to the module.
struct ht_frame {
    const char *symbol; // as in the symbol table or debug info (mangled); NULL: unknown
    const char *file;   // NULL: unknown
    int64_t line, start_line;
};

// A question: an address of the file's own address space, and where its answer stands in the frames.
struct ht_query {
    uint64_t address;
    uint32_t tag;         // the asker's
    uint32_t first_frame; // innermost inlined function first
    uint32_t frame_count;
};

struct ht_symbol {
    uint64_t start, end; // end == start: unknown size
    const char *name;
    int rank; // among symbols at one address the highest wins
};

struct ht_elf {
    Dwfl *dwfl;
    Dwfl_Module *module;
    char *build_id;            // lower-case hex, "" if there is none
    bool is_debug_only;        // a separate debug file: its file offsets mean nothing
    struct ht_symbol *symbols; // sorted, loaded on demand
    size_t symbol_count;
    bool symbols_loaded;
    struct ht_frame *frames; // of the answers so far
    size_t frame_count, frame_capacity;
    struct ht_arena names; // file names that were put together
};

// Context: tool. Opens an ELF file (fd: an open one, taken over; -1: opens `path`), with separate debug info
// found by build id and debug link in `debug_path` (NULL: the usual folders). Fails with the reason.
int ht_elf_open(struct ht_elf *module, const char *path, int fd, const char *debug_path);
void ht_elf_close(struct ht_elf *module);

// Where a run-time address of a mapping (start, limit, file offset) lies in the file's own address space;
// false: in no loaded part of the file.
bool ht_elf_address(const struct ht_elf *module, uint64_t start, uint64_t limit, uint64_t offset,
                    uint64_t address, uint64_t *ret_address);

// Answers all queries, which must be sorted by address, in one pass over the debug info.
void ht_elf_resolve(struct ht_elf *module, struct ht_query *queries, size_t count);

// The symbol that covers an address, NULL if none does.
const struct ht_symbol *ht_elf_symbol(struct ht_elf *module, uint64_t address);

// The part of ht_elf_resolve() that reads DWARF; leaves queries it knows nothing about untouched.
void ht_elf_resolve_dwarf(struct ht_elf *module, struct ht_query *queries, size_t count);

#endif
