// Which allocator it is, and its figures: jemalloc's mallctl, tcmalloc's MallocExtension, mimalloc's
// mi_process_info, glibc's mallinfo2.
#include "trigger/allocator.h"

#include "core/process.h"
#include "heap/real.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/libdl.h"
#include "sys/log.h"
#include "sys/raw.h"
#include "trigger/signal.h"
#include "unwind/memory.h"
#include "unwind/objects.h"

#include <string.h>

#define FIRST_PAUSE_NS UINT64_C(10000000)
#define PAUSE_NS       UINT64_C(1000000000)
#define COST           1000u // of the time that passes, one part in so many
#define ROOM_PAGES     4u
#define TOO_LONG_NS    UINT64_C(1000000) // glibc walks its free blocks: at that many it is not asked again

// glibc's struct mallinfo2, since 2.33; in the headers of older ones it is not there.
struct ht_mallinfo2 {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

// The functions of the one that it is.
static int (*ht_mallctl)(const char *name, void *old, size_t *old_bytes, void *fresh, size_t fresh_bytes);
static int (*ht_tc_property)(const char *name, size_t *ret_value);
static void (*ht_mi_info)(size_t *elapsed_ms, size_t *user_ms, size_t *system_ms, size_t *rss,
                          size_t *peak_rss, size_t *commit, size_t *peak_commit, size_t *faults);
static struct ht_mallinfo2 (*ht_mallinfo2)(void);

static uint32_t ht_kind; // enum ht_allocator
static uint32_t ht_flags;
static char ht_name[40];
static uint64_t ht_next_look_ns, ht_found_ns;

// The first in the loader's order of each name. Weak references, as in heap/real.c: no dlsym that may
// allocate.
extern char ht_at_operator[] __asm__("_Znwm") __attribute__((weak));
extern char ht_at_mallctl[] __asm__("mallctl") __attribute__((weak));
extern char ht_at_tc[] __asm__("MallocExtension_GetNumericProperty") __attribute__((weak));
extern char ht_at_mi[] __asm__("mi_process_info") __attribute__((weak));

static bool ht_is_of(const void *at, const void *base, void *ret_function)
{
    Dl_info info;
    if (at == NULL || !ht_dladdr(at, &info) || info.dli_fbase != base) {
        return false;
    }
    memcpy(ret_function, &at, sizeof at);
    return true;
}

static uint32_t ht_kind_of(const void *base, const char *library)
{
    if (ht_is_of(ht_at_mallctl, base, &ht_mallctl)) {
        return HT_ALLOCATOR_JEMALLOC;
    }
    if (ht_is_of(ht_at_tc, base, &ht_tc_property)) {
        return HT_ALLOCATOR_TCMALLOC;
    }
    if (ht_is_of(ht_at_mi, base, &ht_mi_info)) {
        return HT_ALLOCATOR_MIMALLOC;
    }
    // Looked up, for a weak reference would make its version, of 2.33, needed.
    if (strncmp(library, "libc.so", 7) == 0 && ht_is_of(ht_real_symbol("mallinfo2"), base, &ht_mallinfo2)) {
        return HT_ALLOCATOR_GLIBC;
    }
    return HT_ALLOCATOR_OTHER;
}

void ht_allocator_describe(struct ht_region_header *header)
{
    header->allocator = ht_kind;
    header->allocator_flags = ht_flags;
    memcpy(header->allocator_name, ht_name, sizeof ht_name);
}

void ht_allocator_find(void)
{
    Dl_info own, info;
    const void *real;
    memcpy(&real, &ht_real.malloc, sizeof real);
    if (!ht_dladdr(real, &own)) {
        return;
    }
    const char *slash = strrchr(own.dli_fname, '/');
    struct ht_text name = ht_text_init(ht_name, sizeof ht_name);
    ht_text_add(&name, slash != NULL ? slash + 1 : own.dli_fname);
    ht_kind = ht_kind_of(own.dli_fbase, ht_name);
    uint32_t object = ht_kind != HT_ALLOCATOR_GLIBC ? ht_objects_resolve((uintptr_t)real) : HT_OBJECT_NONE;
    if (object != HT_OBJECT_NONE) {
        ht_real_code = (struct ht_code_range){ht_objects[object].start, ht_objects[object].limit};
    }
    if (ht_at_operator != NULL && ht_dladdr(ht_at_operator, &info) && info.dli_fbase == own.dli_fbase) {
        ht_flags |= HT_ALLOCATOR_UNSEEN;
        ht_log_note(
            "operator new of this allocator is not seen, unless it comes through malloc; 'heaptap run' "
            "puts a companion before it",
            ht_name);
    }
    ht_found_ns = ht_clock_monotonic_ns();
    struct ht_region *region = ht_process_region_if_made(); // some allocate before any constructor
    if (region != NULL) {
        ht_allocator_describe(region->header);
    }
}

void ht_allocator_fork_child(void)
{
    ht_next_look_ns = 0;
}

static uint64_t ht_ctl(const char *name)
{
    size_t value = 0, bytes = sizeof value;
    return ht_mallctl(name, &value, &bytes, NULL, 0) == 0 ? value : 0;
}

static uint64_t ht_property(const char *name)
{
    size_t value = 0;
    return ht_tc_property(name, &value) != 0 ? value : 0;
}

// The order is that of the names in snapshot/comments.c.
static void ht_ask(uint64_t figures[HT_ALLOCATOR_FIGURES])
{
    size_t unused = 0, commit = 0, peak_commit = 0;
    if (ht_kind == HT_ALLOCATOR_JEMALLOC) {
        uint64_t epoch = 1;
        size_t bytes = sizeof epoch;
        ht_mallctl("epoch", &epoch, &bytes, &epoch, sizeof epoch);
        figures[0] = ht_ctl("stats.allocated");
        figures[1] = ht_ctl("stats.active");
        figures[2] = ht_ctl("stats.resident");
        figures[3] = ht_ctl("stats.retained");
    } else if (ht_kind == HT_ALLOCATOR_TCMALLOC) {
        figures[0] = ht_property("generic.current_allocated_bytes");
        figures[1] = ht_property("generic.heap_size");
        figures[2] = ht_property("tcmalloc.pageheap_free_bytes");
        figures[3] = ht_property("tcmalloc.pageheap_unmapped_bytes");
    } else if (ht_kind == HT_ALLOCATOR_MIMALLOC) {
        ht_mi_info(&unused, &unused, &unused, &unused, &unused, &commit, &peak_commit, &unused);
        figures[0] = commit;
        figures[1] = peak_commit;
    } else {
        struct ht_mallinfo2 info = ht_mallinfo2();
        figures[0] = info.uordblks + info.hblkhd;
        figures[1] = info.fordblks;
        figures[2] = info.arena;
        figures[3] = info.hblkhd;
    }
}

static bool ht_is_alone(void)
{
    char stat[1024];
    const char *threads =
        ht_io_read_file("/proc/self/stat", stat, sizeof stat) > 0 ? ht_text_stat_field(stat, 20) : NULL;
    return threads != NULL && threads[0] == '1' && threads[1] == ' ';
}

static void ht_take_figures(struct ht_region_header *header)
{
    uint64_t begun_ns = ht_clock_raw_thread_cpu_ns(), figures[HT_ALLOCATOR_FIGURES] = {0};
    ht_ask(figures);
    uint64_t now_ns = ht_clock_monotonic_ns(), took_ns = ht_clock_raw_thread_cpu_ns() - begun_ns;
    for (unsigned i = 0; i < HT_ALLOCATOR_FIGURES; i++) {
        ht_store_relaxed(&header->allocator_figures[i], figures[i]);
    }
    ht_store_relaxed(&header->allocator_unix_ns, ht_clock_realtime_ns());
    // Early on more often, so that a short program's are not those of its beginning.
    uint64_t age_ns = (now_ns - ht_found_ns) / 8;
    uint64_t pause_ns = age_ns < FIRST_PAUSE_NS ? FIRST_PAUSE_NS : age_ns < PAUSE_NS ? age_ns : PAUSE_NS;
    pause_ns = pause_ns > took_ns * COST ? pause_ns : took_ns * COST;
    ht_store_relaxed(&ht_next_look_ns, took_ns < TOO_LONG_NS ? now_ns + pause_ns : UINT64_MAX);
}

// The allocators take up to 3 KiB of the stack, where their calls are bound late; threads may have little
// left.
static bool ht_has_room(void)
{
    uintptr_t page = (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(HT_PAGE_BYTES - 1);
    bool has_room = true;
    for (unsigned i = 1; i <= ROOM_PAGES && has_room; i++) {
        has_room = ht_is_readable(page - i * HT_PAGE_BYTES);
    }
    return has_room;
}

// One thread at a time, and in no copy of the process that shares its memory.
static void ht_look(struct ht_region *region, bool may_be_handler)
{
    struct ht_region_header *header = region->header;
    if (!ht_has_room()) {
        ht_store_relaxed(&ht_next_look_ns, 0); // another thread's turn
        return;
    }
    bool is_safe =
        header->pid == (uint32_t)ht_raw0(SYS_getpid) &&
        (ht_kind == HT_ALLOCATOR_MIMALLOC || ht_signal_none_of_host() || (!may_be_handler && ht_is_alone()));
    ht_store_relaxed(&header->allocator_flags, ht_flags | (is_safe ? 0 : HT_ALLOCATOR_UNASKED));
    if (is_safe) {
        ht_take_figures(header);
    } else {
        ht_store_relaxed(&ht_next_look_ns, ht_clock_monotonic_ns() + PAUSE_NS);
    }
}

static bool ht_claim_look(uint64_t now_ns)
{
    uint64_t next_ns = ht_load_relaxed(&ht_next_look_ns);
    return now_ns >= next_ns && ht_cas_acqrel(&ht_next_look_ns, &next_ns, UINT64_MAX);
}

void ht_allocator_look(struct ht_region *region, bool is_calm)
{
    if (is_calm && ht_kind >= HT_ALLOCATOR_GLIBC && ht_claim_look(ht_clock_monotonic_ns())) {
        ht_look(region, false);
    }
}

void ht_allocator_look_at_exit(struct ht_region *region)
{
    if (ht_kind >= HT_ALLOCATOR_GLIBC && ht_claim_look(UINT64_MAX - 1)) {
        ht_look(region, true);
    }
}
