// A plugin for the dlopen test: keeps 50 blocks from gamma_blocks(). Its twin has the same layout and other
// names.
#include <stdlib.h>

void plugin_call(void);
static void *volatile kept[50];

__attribute__((noinline)) static void gamma_blocks(void)
{
    for (int i = 0; i < 50; i++)
        kept[i] = malloc(2222);
}

void plugin_call(void)
{
    gamma_blocks();
    kept[0] = kept[1];
}
