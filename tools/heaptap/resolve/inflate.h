// Expands compressed debug sections, all at once and only those that names need.
#ifndef HT_RESOLVE_INFLATE_H
#define HT_RESOLVE_INFLATE_H

#include <stddef.h>

// Takes an open ELF file; makes one in memory with the same content, sections at other places, whose debug
// sections are not compressed. NULL if there is nothing to expand or something in it looks odd: libelf then
// expands by itself, in three times the time, and judges. What is only for debuggers (.debug_loclists,
// .debug_loc) is left out. To be freed with munmap(). Context: tool. Bytes are foreign.
char *ht_inflate_sections(int fd, size_t *ret_bytes);

#endif
