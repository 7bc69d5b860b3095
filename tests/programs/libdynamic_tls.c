// A library whose TLS is made for each thread at its first touch, by malloc.
#include <stdlib.h>

char *dynamic_tls_block(void);

static __thread char block[5000];
static __thread char *own;

char *dynamic_tls_block(void)
{
    if (!own)
        own = malloc(10);
    block[4999] = *own = 1;
    free(own);
    own = NULL;
    return block;
}
