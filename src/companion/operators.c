// operator new and delete of C++, by their names in the Itanium ABI: m is size_t, Sa.. an alignment.
//
// A C program has none of them, until it loads a plugin that brings its own C++ library, with a scope of its
// own; our names come first even there. What they do then is what all C++ libraries do: malloc. Only where
// that fails, the library's own function is looked for, which calls the new handler and throws.
#include "companion/hook.h"

// NOLINTBEGIN(misc-unused-parameters): rows name all parameters, whatever their form needs of them

static void *ht_plain_new(const char *name, size_t size)
{
    void *block = malloc(size != 0 ? size : 1);
    void *(*other)(size_t) = NULL;
    if (block == NULL) {
        void *found = ht_search(name);
        memcpy(&other, &found, sizeof found);
    }
    return other != NULL ? other(size) : block;
}

static void *ht_plain_new_aligned(const char *name, size_t size, size_t align)
{
    size_t rounded = (size + align - 1) & ~(align - 1);
    void *block = rounded >= size ? aligned_alloc(align, rounded != 0 ? rounded : align) : NULL;
    void *(*other)(size_t, size_t) = NULL;
    if (block == NULL) {
        void *found = ht_search(name);
        memcpy(&other, &found, sizeof found);
    }
    return other != NULL ? other(size, align) : block;
}

#define NEW(name, parameters, arguments, plain)                                                              \
    static void *(*ht_next_##name)parameters;                                                                \
    static void *ht_without_##name parameters                                                                \
    {                                                                                                        \
        return plain;                                                                                        \
    }                                                                                                        \
    HT_ALLOCATES_AS(name, parameters, arguments, size, true)
#define DELETE(name, parameters, arguments)                                                                  \
    static void(*ht_next_##name) parameters;                                                                 \
    static void ht_without_##name parameters                                                                 \
    {                                                                                                        \
        free(block);                                                                                         \
    }                                                                                                        \
    HT_FREES_AS(name, parameters, arguments, block, true)

NEW(_Znwm, (size_t size), (size), ht_plain_new("_Znwm", size))
NEW(_Znam, (size_t size), (size), ht_plain_new("_Znam", size))
NEW(_ZnwmRKSt9nothrow_t, (size_t size, const void *tag), (size, tag),
    ht_plain_new("_ZnwmRKSt9nothrow_t", size))
NEW(_ZnamRKSt9nothrow_t, (size_t size, const void *tag), (size, tag),
    ht_plain_new("_ZnamRKSt9nothrow_t", size))
NEW(_ZnwmSt11align_val_t, (size_t size, size_t align), (size, align),
    ht_plain_new_aligned("_ZnwmSt11align_val_t", size, align))
NEW(_ZnamSt11align_val_t, (size_t size, size_t align), (size, align),
    ht_plain_new_aligned("_ZnamSt11align_val_t", size, align))
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag), (size, align, tag),
    ht_plain_new_aligned("_ZnwmSt11align_val_tRKSt9nothrow_t", size, align))
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag), (size, align, tag),
    ht_plain_new_aligned("_ZnamSt11align_val_tRKSt9nothrow_t", size, align))

DELETE(_ZdlPv, (void *block), (block))
DELETE(_ZdaPv, (void *block), (block))
DELETE(_ZdlPvm, (void *block, size_t size), (block, size))
DELETE(_ZdaPvm, (void *block, size_t size), (block, size))
DELETE(_ZdlPvRKSt9nothrow_t, (void *block, const void *tag), (block, tag))
DELETE(_ZdaPvRKSt9nothrow_t, (void *block, const void *tag), (block, tag))
DELETE(_ZdlPvSt11align_val_t, (void *block, size_t align), (block, align))
DELETE(_ZdaPvSt11align_val_t, (void *block, size_t align), (block, align))
DELETE(_ZdlPvmSt11align_val_t, (void *block, size_t size, size_t align), (block, size, align))
DELETE(_ZdaPvmSt11align_val_t, (void *block, size_t size, size_t align), (block, size, align))
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t align, const void *tag), (block, align, tag))
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t align, const void *tag), (block, align, tag))
// NOLINTEND(misc-unused-parameters)
