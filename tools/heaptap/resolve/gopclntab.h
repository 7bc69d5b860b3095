// Functions of Go programs that were stripped of their symbols: the Go runtime has a table of its own.
#ifndef HT_RESOLVE_GOPCLNTAB_H
#define HT_RESOLVE_GOPCLNTAB_H

#include <libelf.h>
#include <stdint.h>

// Context: tool. Calls `add` for each function of the table, if the file has one, with its addresses in the
// file and its name, which lives as long as `elf`. The bytes are foreign: whatever is not inside the table is
// left out. Functions that were inlined are not told apart from those that they are in.
void ht_gopclntab_each(Elf *elf, void (*add)(void *context, uint64_t start, uint64_t end, const char *name),
                       void *context);

#endif
