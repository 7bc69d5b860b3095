// A program that defines malloc and free only, and exports them: the rest of the family is the next
// library's, whose blocks then come to this free.
//@ skip jemalloc: it gives blocks of libc to libc, with and without us, and these would be jemalloc's
#include "self.h"

extern void *__libc_malloc(size_t size);
extern void __libc_free(void *block);

static long made, freed;
static char bin[64][1024];
static unsigned char taken[64];

void *malloc(size_t size)
{
    __atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
    // Small ones from an own bin, as far as it goes.
    for (size_t i = 0; size <= sizeof(bin[0]) && i < 64; i++)
        if (!__atomic_test_and_set(&taken[i], __ATOMIC_ACQ_REL))
            return bin[i];
    return __libc_malloc(size);
}

void free(void *block)
{
    __atomic_fetch_add(&freed, 1, __ATOMIC_RELAXED);
    uintptr_t at = (uintptr_t)block - (uintptr_t)bin;
    if (at < sizeof(bin))
        __atomic_clear(&taken[at / sizeof(bin[0])], __ATOMIC_RELEASE);
    else
        __libc_free(block);
}

int main(void)
{
    for (size_t i = 0; i < 1000; i++) {
        char *zeroed = calloc(i, 3), *copied = strdup("text");
        void *aligned = NULL;
        CHECK(zeroed && copied && filled(zeroed, i * 3, 0) && !posix_memalign(&aligned, 256, i));
        zeroed = realloc(zeroed, i * 5 + 1);
        CHECK(zeroed && filled(zeroed, i * 3, 0));
        free(zeroed);
        free(aligned);
        free(copied);
    }
    CHECK(made >= 1000 && freed >= 3000);
    puts("ok");
    return 0;
}
