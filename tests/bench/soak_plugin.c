// A plugin of the soak: allocates in its constructor, when it is called and in its destructor, and leaves
// nothing behind.
#include <stdlib.h>
#include <string.h>

void plugin_call(void);
static char *volatile kept[64];

__attribute__((constructor)) static void begin(void)
{
    for (size_t i = 0; i < 64; i += 2)
        kept[i] = malloc(500 + i);
}

void plugin_call(void)
{
    for (size_t i = 1; i < 64; i += 2)
        kept[i] = strdup("a plugin's own");
    for (size_t i = 0; i < 64; i += 2)
        kept[i] = realloc(kept[i], 3000);
}

__attribute__((destructor)) static void end(void)
{
    for (size_t i = 0; i < 64; i++)
        free(kept[i]);
    free(calloc(3, 1000));
}
