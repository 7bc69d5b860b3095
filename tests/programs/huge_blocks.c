// Blocks of gigabytes that nobody touches, growth by mremap, alignments up to a gigabyte, and counts beyond
// 32 bits.
//@ skip jemalloc: it sets aside address space for such alignments in its own way, and touches it
#include "check.h"

#include <malloc.h>
#include <sys/mman.h>

#define GIB ((size_t)1 << 30)

static void ends(unsigned char *p, size_t size, unsigned char byte)
{
    p[0] = p[size / 2] = p[size - 1] = byte;
}

static int are_ends(const unsigned char *p, size_t size, unsigned char byte)
{
    return p[0] == byte && p[size / 2] == byte && p[size - 1] == byte;
}

static void gigabytes(void)
{
    const size_t sizes[] = {GIB - 1,     GIB,         2 * GIB - 1, 2 * GIB + 7,
                            4 * GIB - 1, 4 * GIB + 1, 5 * GIB,     9 * GIB};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        unsigned char *p = malloc(sizes[i]), *q = calloc(sizes[i] / 3 + 1, 3);
        if (!p || !q) { // a machine that does not overcommit
            free(p);
            free(q);
            continue;
        }
        CHECK(malloc_usable_size(p) >= sizes[i] && !q[0] && !q[sizes[i] - 1]);
        ends(p, sizes[i], 3);
        ends(q, sizes[i], 4);
        CHECK(are_ends(p, sizes[i], 3) && are_ends(q, sizes[i], 4));
        free(q);
        free(p);
    }
}

static void growth(void)
{
    size_t size = 200000;
    unsigned char *p = malloc(size);
    CHECK(p);
    ends(p, size, 9);
    while (size < 3 * GIB) {
        unsigned char *more = realloc(p, size * 2);
        if (!more)
            break;
        CHECK(more[0] == 9 && more[size / 2] == 9 && more[size - 1] == 9);
        p = more;
        size *= 2;
        ends(p, size, 9);
    }
    while (size > 300000) {
        CHECK((p = realloc(p, size / 2)) && p[0] == 9);
        size /= 2;
    }
    free(p);
}

static void alignments(void)
{
    for (size_t alignment = 4096; alignment <= GIB; alignment *= 2) {
        void *p = NULL, *q = aligned_alloc(alignment, alignment), *r = memalign(alignment, 1);
        int result = posix_memalign(&p, alignment, 5000);
        if (result || !q || !r) {
            CHECK(alignment > ((size_t)64 << 20)); // no room for it: only for the largest
        } else {
            CHECK(((uintptr_t)p | (uintptr_t)q | (uintptr_t)r) % alignment == 0);
            fill(p, 5000, 1);
            ends(q, alignment, 2);
            ends(r, 1, 3);
            CHECK(filled(p, 5000, 1) && are_ends(q, alignment, 2));
        }
        free(p);
        free(q);
        free(r);
    }
}

int main(void)
{
    gigabytes();
    growth();
    alignments();
    puts("ok");
    return 0;
}
