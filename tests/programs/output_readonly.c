// The place for the profiles is read-only: one line says so, and the program goes on.
//@ out readonly
//@ profiles none
//@ says cannot write a snapshot into
#include "children.h"

int main(void)
{
    void *kept = malloc(3 << 20); // surely a sample at any rate: so there is something to write
    CHECK(kept);
    fill(kept, 3 << 20, 1);
    for (int i = 0; i < 100; i++)
        use_heap();
    free(kept);
    puts("ok");
    return 6;
}
