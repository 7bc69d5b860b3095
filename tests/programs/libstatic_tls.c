// A library with static TLS that is loaded late; the program static_tls copies it to have many.
//@ cflags -ftls-model=initial-exec
#include <stdlib.h>

int *static_tls_counter(void);

static __thread int counter;
static __thread volatile char more[44];

int *static_tls_counter(void)
{
    static void *kept;
    free(kept);
    kept = malloc(100);
    more[0] = 1;
    counter++;
    return &counter;
}
