// A preload of the program early_blocks: its constructor runs before or after the shim's, and allocates.
#include <stdlib.h>
#include <string.h>

void *early_block(size_t *ret_size);

static void *block;

__attribute__((constructor(101))) static void construct(void)
{
    for (int i = 0; i < 100; i++)
        free(malloc((size_t)i * 50));
    block = malloc(3000);
    if (block)
        memset(block, 7, 3000);
}

__attribute__((destructor(101))) static void destruct(void)
{
    void *late = calloc(100, 100);
    free(late);
}

void *early_block(size_t *ret_size)
{
    *ret_size = 3000;
    return block;
}
