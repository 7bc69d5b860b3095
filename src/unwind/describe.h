// What the ELF headers in memory say of an object.
#ifndef HT_UNWIND_DESCRIBE_H
#define HT_UNWIND_DESCRIBE_H

#include "unwind/objects.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Context of everything here: hook; no system call.

uintptr_t ht_object_page_down(uintptr_t address);
uintptr_t ht_object_page_up(uintptr_t address);

#define HT_OBJECT_HASH_SEED UINT64_C(0xcbf29ce484222325)
uint64_t ht_object_hash(uint64_t hash, const void *bytes, size_t size_bytes);

// Fills in everything that program headers say. The headers and what they name as loaded are readable.
void ht_object_fill(struct ht_object *object, uintptr_t bias, const ElfW(Phdr) * headers, size_t count);

// The object whose file begins in memory at `image`, a readable page. False: that is no ELF image.
bool ht_object_describe(uintptr_t image, const char *name, struct ht_object *ret_object);

#endif
