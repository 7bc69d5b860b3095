// The sections of an ELF file by libelf, in the order of their headers.
#ifndef HT_RESOLVE_SECTIONS_H
#define HT_RESOLVE_SECTIONS_H

#include <gelf.h>

// Context: tool. The section behind this one (NULL: the first) whose header can be read and that has a name,
// with both; the name lives as long as `elf`. NULL: there is none. Bytes are foreign.
Elf_Scn *ht_section_next(Elf *elf, Elf_Scn *section, GElf_Shdr *ret_header, const char **ret_name);

#endif
