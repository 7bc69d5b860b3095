// A host that has the processor check the alignment of each access: libc's allocator bears it, and so must
// everything that is called in its place.
#include "check.h"

#ifdef __x86_64__
#define CHECKED 0x40000u

// Blocks that come from the top of the heap or were freed a moment ago: for others libc's own code is not
// aligned.
static void use_small_blocks(void)
{
    static void *blocks[180];
    for (size_t k = 0; k < 180; k++)
        blocks[k] = malloc(24 + k % 30 * 16);
    for (size_t k = 0; k < 180; k++)
        free(blocks[k]);
}

int main(void)
{
    use_small_blocks(); // binds the names, which needs unaligned accesses
    for (int i = 0; i < 50; i++) {
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | CHECKED);
        use_small_blocks();
        unsigned long long flags = __builtin_ia32_readeflags_u64();
        __builtin_ia32_writeeflags_u64(flags & ~(unsigned long long)CHECKED);
        CHECK(flags & CHECKED);
    }
    puts("ok");
    return 0;
}
#else
int main(void)
{
    puts("other processors have no such flag for programs");
    return 77;
}
#endif
