// Clocks: the vdso for hooks, the plain system call for everything else.
#include "sys/clock.h"

#include "sys/atomic.h"
#include "sys/raw.h"

#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>

// Strict seccomp mode also forbids the processor's time stamp counter, and with other clocks the vdso makes a
// system call: once sealed, and where both are refused from the start, time goes on by a microsecond with
// each look at it, so that it is monotonic and no wait is endless.
#define CLOCK_STEP_NS 1000u
static uint64_t ht_stepped_monotonic_ns, ht_stepped_realtime_ns;

void ht_clock_seal(void)
{
    ht_store_relaxed(&ht_stepped_monotonic_ns, ht_clock_raw_monotonic_ns());
    ht_store_relaxed(&ht_stepped_realtime_ns, ht_clock_raw_realtime_ns());
}

// Never through the name clock_gettime: a host, or another preload, may have one of its own, which locks and
// allocates.
static int (*ht_clock_fast)(clockid_t clock, struct timespec *ret_time); // NULL: the system call

#if defined(__x86_64__)
#define VDSO_CLOCK "__vdso_clock_gettime"
#else
#define VDSO_CLOCK "__kernel_clock_gettime"
#endif

// What the vdso says of itself (vdso(7), gabi): the names of its functions and where they are.
struct ht_vdso {
    uintptr_t bias; // its addresses are offsets from here
    const ElfW(Sym) * symbols;
    const char *names;
    const uint32_t *hash; // DT_HASH: the second word is the number of symbols
};

static bool ht_vdso_read(uintptr_t at, struct ht_vdso *ret_vdso)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)at;
    const ElfW(Phdr) *segments = (const ElfW(Phdr) *)(at + header->e_phoff);
    const ElfW(Dyn) *dynamic = NULL;
    struct ht_vdso vdso = {0, NULL, NULL, NULL};
    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD && vdso.bias == 0) {
            vdso.bias = at + segments[i].p_offset - segments[i].p_vaddr;
        } else if (segments[i].p_type == PT_DYNAMIC) {
            dynamic = (const ElfW(Dyn) *)(at + segments[i].p_offset);
        }
    }
    for (; dynamic != NULL && vdso.bias != 0 && dynamic->d_tag != DT_NULL; dynamic++) {
        uintptr_t value = vdso.bias + dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_SYMTAB) {
            vdso.symbols = (const ElfW(Sym) *)value;
        } else if (dynamic->d_tag == DT_STRTAB) {
            vdso.names = (const char *)value;
        } else if (dynamic->d_tag == DT_HASH) {
            vdso.hash = (const uint32_t *)value;
        }
    }
    *ret_vdso = vdso;
    return vdso.symbols != NULL && vdso.names != NULL && vdso.hash != NULL;
}

void ht_clock_use_vdso(void)
{
    uintptr_t at = (uintptr_t)getauxval(AT_SYSINFO_EHDR);
    struct ht_vdso vdso;
    if (at == 0 || !ht_vdso_read(at, &vdso)) {
        return;
    }
    for (uint32_t i = 0; i < vdso.hash[1]; i++) {
        if (vdso.symbols[i].st_shndx != SHN_UNDEF &&
            strcmp(vdso.names + vdso.symbols[i].st_name, VDSO_CLOCK) == 0) {
            uintptr_t function = vdso.bias + vdso.symbols[i].st_value;
            int (*fast)(clockid_t, struct timespec *);
            memcpy(&fast, &function, sizeof fast);
            ht_store_release(&ht_clock_fast, fast);
        }
    }
}

void ht_clock_use_kernel(void)
{
    ht_store_release(&ht_clock_fast, NULL);
}

static uint64_t ht_to_ns(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * UINT64_C(1000000000) + (uint64_t)time->tv_nsec;
}

// False: refused, and nothing is known. (0 is no time, but a call that was answered and not made.)
static bool ht_ask_kernel(clockid_t clock, uint64_t *ret_ns)
{
    struct timespec now = {0, 0};
    bool known = ht_raw2(SYS_clock_gettime, clock, (long)&now) == 0;
    *ret_ns = ht_to_ns(&now);
    return known && *ret_ns != 0;
}

static bool ht_ask_vdso(clockid_t clock, uint64_t *ret_ns)
{
    int (*fast)(clockid_t, struct timespec *) = ht_load_acquire(&ht_clock_fast);
    struct timespec now = {0, 0};
    bool known = fast != NULL && !ht_load_relaxed(&ht_raw_sealed) && fast(clock, &now) == 0;
    *ret_ns = ht_to_ns(&now);
    return known && *ret_ns != 0;
}

// The clock that goes on by itself.
static uint64_t ht_step(clockid_t clock)
{
    if (clock == CLOCK_MONOTONIC) {
        return ht_add_relaxed(&ht_stepped_monotonic_ns, CLOCK_STEP_NS) + 1;
    }
    return clock == CLOCK_REALTIME ? ht_add_relaxed(&ht_stepped_realtime_ns, CLOCK_STEP_NS) + 1 : 0;
}

// Each is asked where the other knows nothing: a filter stops the system call, and not the vdso.
static uint64_t ht_raw_clock(clockid_t clock)
{
    uint64_t ns;
    return ht_ask_kernel(clock, &ns) || ht_ask_vdso(clock, &ns) ? ns : ht_step(clock);
}

static uint64_t ht_fast_clock(clockid_t clock)
{
    uint64_t ns;
    return ht_likely(ht_ask_vdso(clock, &ns)) || ht_ask_kernel(clock, &ns) ? ns : ht_step(clock);
}

uint64_t ht_clock_monotonic_ns(void)
{
    return ht_fast_clock(CLOCK_MONOTONIC);
}

uint64_t ht_clock_realtime_ns(void)
{
    return ht_fast_clock(CLOCK_REALTIME);
}

uint64_t ht_clock_raw_monotonic_ns(void)
{
    return ht_raw_clock(CLOCK_MONOTONIC);
}

uint64_t ht_clock_raw_realtime_ns(void)
{
    return ht_raw_clock(CLOCK_REALTIME);
}

uint64_t ht_clock_raw_thread_cpu_ns(void)
{
    return ht_raw_clock(CLOCK_THREAD_CPUTIME_ID);
}
