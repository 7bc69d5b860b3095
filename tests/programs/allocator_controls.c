// glibc's own controls and reports work: malloc_trim, mallinfo2, mallopt, malloc_info, malloc_stats, mtrace,
// mcheck.
#include "check.h"

#include <malloc.h>
#include <mcheck.h>

static void churn(void)
{
    void *blocks[200];
    for (size_t i = 0; i < 200; i++)
        blocks[i] = malloc(i * 50 + 1);
    for (size_t i = 0; i < 200; i++)
        free(blocks[i]);
}

int main(void)
{
    churn();
    char *p = malloc(1 << 20);
    CHECK(p);
    struct mallinfo2 before = mallinfo2();
    CHECK(malloc_trim(0) >= 0);
    churn();
    struct mallinfo2 after = mallinfo2();
    // What is ours is none of the host's heap: its own count of bytes in use comes back to where it was.
    CHECK(after.uordblks + after.hblkhd <= before.uordblks + before.hblkhd + 65536);
    free(p);
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    CHECK(file && malloc_info(0, file) == 0 && malloc_info(1, file) != 0);
    fclose(file);
    CHECK(size > 100);
    free(text);
    CHECK(mallopt(M_MMAP_THRESHOLD, 4096) >= 0);
    churn();
    CHECK(mallopt(M_ARENA_MAX, 1) >= 0 && mallopt(M_TRIM_THRESHOLD, 0) >= 0 && mallopt(M_TOP_PAD, 0) >= 0);
    churn();
    // Every byte of a fresh block is the complement of the perturbing one: nobody else wrote to it before.
    if (mallopt(M_PERTURB, 0x5a) == 1 && before.arena + before.hblkhd > 0)
        for (size_t n = 1100; n < 5000; n += 100) { // thread caches do not fill
            unsigned char *fresh = malloc(n), *zeroes = calloc(n, 1);
            CHECK(filled(fresh, n, 0xa5) && filled(zeroes, n, 0));
            free(fresh);
            free(zeroes);
        }
    mallopt(M_PERTURB, 0);
    unsetenv("MALLOC_TRACE");
    mtrace();
    churn();
    muntrace();
    CHECK(mcheck(NULL) == -1);
    churn();
    puts("ok");
    return 0;
}
