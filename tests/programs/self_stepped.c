// A host that steps through itself by the processor's trace flag, with a handler for SIGTRAP: through the
// allocator as well, while snapshots are taken. Where the allocator proper is not at work, but what a preload
// adds to it, the handler allocates, at each instruction.
#include "check.h"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __x86_64__
#define TRACE 0x100u

static volatile unsigned long steps;
static uintptr_t shim_start, shim_limit;

static int find_shim(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    if (!strstr(info->dlpi_name, "/libheaptap.so"))
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
            shim_start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            shim_limit = shim_start + info->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

static void on_step(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    const ucontext_t *interrupted = context;
    uintptr_t pc = (uintptr_t)interrupted->uc_mcontext.gregs[REG_RIP];
    steps++;
    if (pc >= shim_start && pc < shim_limit) { // it is called by the host, and calls the allocator last
        char *p = malloc(60 + steps % 100);
        CHECK(p);
        *p = 1;
        free(p);
    }
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_RESTART | SA_SIGINFO};
    CHECK(!sigaction(SIGTRAP, &action, NULL));
    dl_iterate_phdr(find_shim, NULL);
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
