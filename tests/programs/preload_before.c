// Another malloc interposer in front of the shim sees each call of the host exactly once.
//@ preload before libforward
#include "self.h"

#include <dlfcn.h>

#define TIMES 1000

int main(void)
{
    const long *calls = dlsym(RTLD_DEFAULT, "forward_calls");
    CHECK(calls);
    free(malloc(1)); // looks everything up, if nobody has yet
    long before[4];
    memcpy(before, calls, sizeof(before));
    for (size_t i = 0; i < TIMES; i++) {
        void *p = malloc(i), *q = calloc(i, 2);
        CHECK(p && q && filled(q, i * 2, 0));
        p = realloc(p, i * 4 + 1);
        CHECK(p);
        free(p);
        free(q);
    }
    // The shim's own work takes nothing from the heap: not one call more than there were above.
    CHECK(calls[0] - before[0] == TIMES && calls[1] - before[1] == 2 * TIMES);
    CHECK(calls[2] - before[2] == TIMES && calls[3] - before[3] == TIMES);
    record_some();
    puts("ok");
    return 0;
}
