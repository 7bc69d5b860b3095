// The program overwrites its own unwind tables with zeros, ones and noise while it allocates.
#include "check.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

static char *tables;
static size_t tables_size;

static int find(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME) {
            // The search table, and behind it .eh_frame to the end of the segment.
            uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            for (int j = 0; j < info->dlpi_phnum; j++) {
                const ElfW(Phdr) *load = &info->dlpi_phdr[j];
                uintptr_t first = info->dlpi_addr + load->p_vaddr;
                if (load->p_type == PT_LOAD && start >= first && start < first + load->p_memsz) {
                    tables = (char *)start;
                    tables_size = first + load->p_memsz - start;
                }
            }
        }
    return 1; // the first is the program itself
}

// Many return addresses, so that each scribble meets some that nobody has looked up before.
#define SITE(n)                                                                                              \
    __attribute__((noinline)) static void site_##n(size_t size)                                              \
    {                                                                                                        \
        void *p = malloc(size + n);                                                                          \
        KEEP(p);                                                                                             \
        free(p);                                                                                             \
        p = calloc(size, 2);                                                                                 \
        KEEP(p);                                                                                             \
        free(p);                                                                                             \
    }
#define SITES(n) SITE(n##0) SITE(n##1) SITE(n##2) SITE(n##3) SITE(n##4) SITE(n##5) SITE(n##6) SITE(n##7)
// clang-format off
SITES(1) SITES(2) SITES(3) SITES(4) SITES(5)
// clang-format on
#define NAMES(n)                                                                                             \
    site_##n##0, site_##n##1, site_##n##2, site_##n##3, site_##n##4, site_##n##5, site_##n##6, site_##n##7

    static void (*const sites[])(size_t) = {NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5)};

static unsigned noise(void)
{
    static unsigned state = 12345;
    state = state * 1103515245u + 12345u;
    return state >> 16;
}

static void scribble(unsigned way)
{
    for (size_t i = 0; i < tables_size; i++)
        if (way == 0)
            tables[i] = 0;
        else if (way == 1)
            tables[i] = (char)0xff;
        else if (noise() % (way * 4) == 0)
            tables[i] = (char)noise();
}

int main(void)
{
    dl_iterate_phdr(find, NULL);
    CHECK(tables && tables_size > 100);
    uintptr_t page = (uintptr_t)tables & ~(uintptr_t)4095;
    size_t length = (uintptr_t)tables + tables_size - page;
    CHECK(!mprotect((void *)page, length, PROT_READ | PROT_WRITE));
    char *saved = malloc(tables_size);
    memcpy(saved, tables, tables_size);
    for (unsigned i = 0; i < sizeof(sites) / sizeof(*sites); i++) {
        scribble(i % 20 == 0 ? 0 : i % 20 == 1 ? 1 : 2 + i % 5);
        for (size_t n = 0; n < 30; n++)
            sites[i](n * 20);
        sites[(i * 7) % 40](100);
        memcpy(tables, saved, tables_size);
    }
    CHECK(!mprotect((void *)page, length, PROT_READ));
    free(saved);
    puts("ok");
    return 0;
}
