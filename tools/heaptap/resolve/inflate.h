// Expands compressed debug sections, all at once and only those that names need.
#ifndef HT_RESOLVE_INFLATE_H
#define HT_RESOLVE_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

// Takes an open ELF file; makes one in memory with the same content, sections at other places, whose debug
// sections are not compressed. NULL if there is nothing to expand or something in it looks odd: libelf then
// expands by itself, in three times the time, and judges. Only what names and lines are made of is in it. To
// be freed with munmap(). *ret_too_large is set if sections would become so large that nobody should expand
// them (more than 1 GB and eight times the file). Context: the reader's process. Bytes are foreign, and may
// change meanwhile.
char *ht_inflate_sections(int fd, size_t *ret_bytes, bool *ret_too_large);

#endif
