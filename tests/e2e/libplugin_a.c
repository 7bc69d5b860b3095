// A plugin for the dlopen test: keeps 50 blocks from alpha_blocks(). Its twin has the same layout and other
// names.
#include <stdlib.h>

void plugin_call(void);
static void *volatile kept[50];

__attribute__((noinline)) static void alpha_blocks(void)
{
    for (int i = 0; i < 50; i++)
        kept[i] = malloc(1111);
}

void plugin_call(void)
{
    alpha_blocks();
    kept[0] = kept[1];
}
