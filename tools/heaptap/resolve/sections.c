// Sections of an ELF file with their names.
#include "resolve/sections.h"

#include <stddef.h>

Elf_Scn *ht_section_next(Elf *elf, Elf_Scn *section, GElf_Shdr *ret_header, const char **ret_name)
{
    size_t names;
    if (elf_getshdrstrndx(elf, &names) != 0)
        return NULL;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        const char *name =
            gelf_getshdr(section, &header) != NULL ? elf_strptr(elf, names, header.sh_name) : NULL;
        if (name != NULL) {
            *ret_header = header;
            *ret_name = name;
            return section;
        }
    }
    return NULL;
}
