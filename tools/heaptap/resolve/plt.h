// Names for the stubs through which calls go to other files (the procedure linkage table).
#ifndef HT_RESOLVE_PLT_H
#define HT_RESOLVE_PLT_H

#include "base/memory.h"

#include <libelf.h>
#include <stdint.h>

// Context: tool. Calls `add` for each stub of a loaded file that says where it leads, with its addresses in
// the file and the name of the function behind it, which lives as long as `elf`.
void ht_plt_each(Elf *elf, void (*add)(void *context, uint64_t start, uint64_t end, const char *name),
                 void *context);

#endif
