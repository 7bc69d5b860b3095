// A program whose own functions are called malloc and free but are not exported: its own blocks and libc's
// stay apart.
#include "self.h"

// Local symbols of these names.
static void *local_malloc(size_t size) __asm__("malloc");
static void local_free(void *block) __asm__("free");

static char pool[1 << 16];
static size_t at;
static int freed;

__attribute__((noinline, used)) static void *local_malloc(size_t size)
{
    CHECK(at + size <= sizeof(pool));
    at += (size + 15) & ~(size_t)15;
    return pool + at - ((size + 15) & ~(size_t)15);
}

__attribute__((noinline, used)) static void local_free(void *block)
{
    CHECK((char *)block >= pool && (char *)block < pool + sizeof(pool));
    freed++;
}

int main(void)
{
    for (size_t i = 0; i < 500; i++) {
        char *own = local_malloc(100), *line = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&line, &size);
        CHECK(stream && fprintf(stream, "%zu", i) > 0 && !fclose(stream) && size);
        // libc's block goes back the only way that is left to this file.
        CHECK(realloc(line, 5000) != own);
        local_free(own);
    }
    CHECK(freed == 500 && at >= 50000);
    puts("ok");
    return 0;
}
