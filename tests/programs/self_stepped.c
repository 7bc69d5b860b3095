// A host that steps through itself by the processor's trace flag, with a handler for SIGTRAP: through the
// allocator as well, while snapshots are taken.
#include "check.h"

#include <signal.h>
#include <unistd.h>

#ifdef __x86_64__
#define TRACE 0x100u

static volatile unsigned long steps;

static void on_step(int number)
{
    (void)number;
    steps++;
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_step, .sa_flags = SA_RESTART};
    CHECK(!sigaction(SIGTRAP, &action, NULL));
    free(malloc(10000));
    for (size_t i = 0; i < 12; i++) {
        unsigned long before = steps;
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | TRACE);
        void *p = malloc(1000 + i);
        KEEP(p);
        free(p);
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(unsigned long long)TRACE);
        CHECK(p && steps > before + 10);
        usleep(5000); // so that it takes as long as some snapshots
    }
    puts("ok");
    return 0;
}
#else
int main(void)
{
    puts("other processors have no such flag for programs");
    return 77;
}
#endif
