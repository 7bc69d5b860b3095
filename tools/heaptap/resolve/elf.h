// One ELF file and its debug info: from addresses to functions, lines and inlined callers.
#ifndef HT_RESOLVE_ELF_H
#define HT_RESOLVE_ELF_H

#include "base/memory.h"
#include "elf/image.h"
#include "resolve/split.h"
#include "resolve/wish.h"

#include <elfutils/libdw.h>
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
    uint64_t limit;      // where its section ends
    const char *name;
    int rank; // among symbols at one address the highest wins
};

// A loaded part of a file.
struct ht_segment {
    uint64_t address, offset, file_bytes, memory_bytes;
    uint32_t flags; // PF_X ...
    uint32_t unused;
};

// How a file is mapped. The segments belong to somebody else.
struct ht_layout {
    const struct ht_segment *segments;
    size_t segment_count;
    bool is_debug_only; // a separate debug file: its file offsets mean nothing
};

struct ht_elf {
    Dwfl *dwfl;
    Dwfl_Module *module;
    struct ht_wishes wishes;
    char *build_id; // lower-case hex, "" if there is none
    struct ht_layout layout;
    bool is_complete;          // has debug info, and all of it was found; known after ht_elf_resolve()
    struct ht_symbol *symbols; // sorted, loaded on demand
    size_t symbol_count, symbol_capacity;
    bool symbols_loaded;
    struct ht_frame *frames; // of the answers so far
    size_t frame_count, frame_capacity;
    Dwarf *dwarf; // ht_elf_dwarf()
    uint64_t dwarf_bias;
    Dwarf *dwarf_to_end; // that is not libdwfl's
    bool dwarf_tried;
    char *expanded; // the debug info as it is without compression, NULL: it was none
    size_t expanded_bytes;
    Elf *expanded_elf;
    int debug_fd;     // of the separate debug info; -1: none
    Dwarf *alternate; // what dwz moved out of it
    int alternate_fd;
    char *lost_alternate; // where it should be; NULL: none is wanted, or it is there
    struct ht_split split;
    bool has_zstd;         // a section that libelf could not expand
    bool is_too_large;     // sections that would become larger than is read
    uint64_t steps;        // of comparing ranges of its debug info with addresses, so far
    struct ht_arena names; // file names that were put together
};

// Context: the reader's process, which may crash (resolve/reader.h): the libraries that read here are no
// match for every file. Opens an ELF file (fd is taken over). The path is for messages; all other files are
// asked for. `wishes` may be NULL. Fails with the reason.
int ht_elf_open(struct ht_elf *module, const char *path, int fd, const struct ht_wishes *wishes);
void ht_elf_close(struct ht_elf *module);

// Where a run-time address of a mapping (start, limit, file offset) lies in the file's own address space;
// false: in no loaded part of the file.
bool ht_layout_address(const struct ht_layout *layout, uint64_t start, uint64_t limit, uint64_t offset,
                       uint64_t address, uint64_t *ret_address);

// The debug info with its alternate one, NULL if there is none but symbols, or a part of it cannot be read:
// then the symbols say more.
Dwarf *ht_elf_dwarf(struct ht_elf *module);

static inline bool ht_elf_has_dwarf(struct ht_elf *module)
{
    return ht_elf_dwarf(module) != NULL;
}

// Answers all queries, which must be sorted by address, in one pass over the debug info.
void ht_elf_resolve(struct ht_elf *module, struct ht_query *queries, size_t count);

// What of its debug info is said to be somewhere and cannot be read there, for a message; NULL: nothing, or
// it was not asked anything. free() it.
char *ht_elf_lacks(struct ht_elf *module);

// Counts steps; false: there were more than a file of good will takes, and no more are to follow.
enum { HT_ELF_STEPS_LIMIT = 1 << 28 };
static inline bool ht_elf_may_step(struct ht_elf *module, uint64_t steps)
{
    module->steps += steps;
    return module->steps <= HT_ELF_STEPS_LIMIT;
}

// The symbol that covers an address, NULL if none does.
const struct ht_symbol *ht_elf_symbol(struct ht_elf *module, uint64_t address);

// The part of ht_elf_resolve() that reads DWARF; leaves queries it knows nothing about untouched.
void ht_elf_resolve_dwarf(struct ht_elf *module, struct ht_query *queries, size_t count);

#endif
