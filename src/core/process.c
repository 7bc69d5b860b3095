// The process's region through its life: made at the first sample, never shared by a copied process,
// inherited by fork.
//
// Invariants:
//  P1 only the process that made a region writes to it, and those that share its memory (core/owner.c).
//  P2 a copied process reads the stacks and modules of its parent from the inherited mapping (append-only,
//  never freed), and the live samples from the private copy that a fork handler made: the one before the
//  fork, or, if another thread made the region after that, the one in the child.
#include "core/process.h"

#include "core/callbacks.h"
#include "core/owner.h"
#include "core/scratch.h"
#include "core/thread.h"
#include "record/filter.h"
#include "record/held.h"
#include "record/kinds.h"
#include "record/live.h"
#include "record/modules.h"
#include "record/stacks.h"
#include "record/view.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/fmt.h"
#include "sys/fpu.h"
#include "sys/io.h"
#include "sys/memory.h"
#include "sys/raw.h"

#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

struct ht_settings ht_settings;
uint32_t ht_generation = 1;
uint64_t ht_lineage;
static uint64_t ht_forks; // children of this process so far

// The live samples of the parent at the moment of fork.
struct ht_fork_copy {
    uint64_t mapped_bytes;
    uint64_t count, lost;
    uint64_t capacity;
    float floor_bytes;
    struct ht_live_copy live[];
};

// The region that we go by and what came with it: our own, or, in a copied process that has not made its own
// yet, the parent's. There are two, so that a process that is copied while another thread makes the region
// finds the one or the other, whole; in one page, for the kernel copies pages one after the other.
static struct {
    struct ht_held {
        struct ht_region region;
        struct ht_fork_copy *inherited; // in a child, until it makes its own region
    } held[2];
    struct ht_held *current;
} ht_regions __attribute__((aligned(4096))) = {.current = &ht_regions.held[0]};
_Static_assert(sizeof ht_regions <= 4096, "one page");

static struct ht_held *ht_held(void)
{
    return ht_load_acquire(&ht_regions.current); // pairs with the release in ht_switch_region
}

struct ht_region *ht_process_region_if_made(void)
{
    return ht_owner_state() == HT_OWNER_READY ? &ht_held()->region : NULL;
}

bool ht_process_is_copy(void)
{
    enum ht_owner_state state = ht_owner_state();
    return ht_held()->region.base != NULL && (state == HT_OWNER_NONE || state == HT_OWNER_MAKING);
}

bool ht_process_replace_region(uintptr_t address)
{
    for (size_t i = 0; i < sizeof ht_regions.held / sizeof ht_regions.held[0]; i++) {
        const struct ht_region *region = &ht_regions.held[i].region;
        uint64_t mapped_bytes = ht_load_acquire(&region->mapped_bytes);
        if (region->base == NULL || address - (uintptr_t)region->base >= mapped_bytes) {
            continue;
        }
        // What it held is lost; zeros are what a wild store leaves, too, and no reader follows them anywhere.
        long at = ht_raw_open6(SYS_mmap, (long)region->base, (long)mapped_bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        return at == (long)region->base;
    }
    return false;
}

// A number of /proc/PID/stat, or a negative errno: -ESRCH, there is no such process.
static int64_t ht_stat_number(uint32_t pid, unsigned which)
{
    char path[32], stat[512]; // 22 fields have at most 400 bytes, and this runs on the host's stack
    struct ht_text text = ht_text_init(path, sizeof path);
    ht_text_add(&text, "/proc/");
    if (pid == ht_raw_pid()) {
        ht_text_add(&text, "self"); // also where /proc is that of another pid namespace
    } else {
        ht_text_add_u64(&text, pid);
    }
    ht_text_add(&text, "/stat");
    long length = ht_io_read_file(path, stat, sizeof stat);
    if (length < 0) {
        return length == -ENOENT ? -ESRCH : length;
    }
    uint64_t number;
    const char *field = ht_text_stat_field(stat, which);
    return field != NULL && ht_text_parse_u64(field, &number) && number <= INT64_MAX ? (int64_t)number : -EIO;
}

uint64_t ht_process_start_ticks(uint32_t pid)
{
    int64_t ticks = ht_stat_number(pid, 22);
    return ticks > 0 ? (uint64_t)ticks : 0;
}

bool ht_process_is_gone(uint32_t pid, uint64_t start_ticks)
{
    int64_t ticks = ht_stat_number(pid, 22);
    if (ticks ==
        -ESRCH) { // or /proc hides it (hidepid=2), as it does from its own user when it is not dumpable
        return ht_raw3(SYS_tgkill, (long)pid, (long)pid, 0) == -ESRCH;
    }
    return ticks >= 0 && (uint64_t)ticks != start_ticks;
}

void ht_process_arguments(char *ret_arguments, size_t size_bytes)
{
    char raw[sizeof ht_settings.arguments];
    struct ht_text text = ht_text_init(ret_arguments, size_bytes);
    long length = ht_io_read_file("/proc/self/cmdline", raw, sizeof raw);
    while (length > 0 && raw[length - 1] == '\0') { // the last one's end; several, where the host made room
        length--;
    }
    for (long i = 0; i < length; i++) {
        unsigned char c = (unsigned char)raw[i];
        bool plain = c > ' ' && c != 0x7f && c != '\\';
        if (c == '\0' || plain) {
            ht_text_add_char(&text, c == '\0' ? ' ' : (char)c);
        } else {
            static const char digits[] = "0123456789abcdef";
            char escaped[] = {'\\', 'x', digits[c >> 4], digits[c & 15], '\0'};
            ht_text_add(&text, escaped);
        }
    }
    bool cut = text.cut || length >= (long)sizeof raw - 1;
    for (size_t i = 0; cut && i < 3 && text.length >= 3; i++) {
        ret_arguments[text.length - 3 + i] = '.';
    }
}

static const char *ht_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void ht_process_names(char *ret_path, size_t path_size, char *ret_name, size_t name_size)
{
    long length =
        ht_raw4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)ret_path, (long)path_size - 1);
    ret_path[length > 0 ? length : 0] = '\0';
    const char *name = length > 0 ? ht_base_name(ret_path) : "unknown";
    const char *started = (const char *)getauxval(AT_EXECFN);
    struct stat by_name, executable;
    if (started != NULL && ht_raw4(SYS_newfstatat, AT_FDCWD, (long)started, (long)&by_name, 0) == 0 &&
        ht_raw4(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/exe", (long)&executable, 0) == 0 &&
        by_name.st_ino == executable.st_ino && by_name.st_dev == executable.st_dev) {
        name = ht_base_name(started);
    }
    struct ht_text text = ht_text_init(ret_name, name_size);
    ht_text_add_max(&text, name, name_size - 1);
}

void ht_process_identity(struct ht_identity *ret_identity)
{
    struct ht_identity *id = ret_identity;
    memset(id, 0, sizeof *id);
    id->pid = ht_owner_pid();
    id->uid = (uint32_t)ht_raw0(SYS_geteuid);
    id->start_ticks = ht_process_start_ticks(id->pid);
    int64_t parent = ht_stat_number(id->pid, 4);
    id->parent_pid = parent > 0 ? (uint32_t)parent : 0;
    struct stat ns;
    memset(&ns, 0, sizeof ns);
    if (ht_raw4(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/ns/pid", (long)&ns, 0) == 0) {
        id->pid_namespace = ns.st_ino;
    }
    long length = ht_io_read_file("/proc/sys/kernel/random/boot_id", id->boot_id, sizeof id->boot_id);
    if (length > 0 && id->boot_id[length - 1] == '\n') {
        id->boot_id[length - 1] = '\0';
    }
    length = ht_raw4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)id->program_path,
                     sizeof id->program_path - 1);
    id->program_path[length > 0 ? length : 0] = '\0';
    memcpy(id->program, ht_settings.program, sizeof id->program);
    memcpy(id->out_dir, ht_settings.out_dir, sizeof id->out_dir);
    memcpy(id->arguments, ht_settings.arguments, sizeof id->arguments);
    id->memory_limit_bytes = ht_settings.memory_bytes;
    id->rate_bytes = ht_settings.rate_bytes;
    id->seed = ht_settings.seed;
    id->run_id = ht_settings.run_id;
    id->active = !ht_settings.dormant;
    id->labels = ht_settings.labels;
    id->keep = ht_settings.keep;
}

// What is left of HEAPTAP_MEMORY for the region when filters, unwind caches and a snapshot's tables have
// their share.
static uint64_t ht_region_share(uint64_t memory_bytes)
{
    return memory_bytes < (UINT64_C(4) << 20) ? memory_bytes / 2 : memory_bytes / 4 * 3;
}

struct ht_module_list {
    const struct ht_module *newest_first[512];
    uint32_t count;
};

static bool ht_list_module(void *arg, const struct ht_module *module)
{
    struct ht_module_list *list = arg;
    list->newest_first[list->count++] = module;
    return list->count < sizeof list->newest_first / sizeof list->newest_first[0];
}

// In their order, so that each has the id that it had.
static void ht_copy_kinds(struct ht_region *region, const struct ht_region *old)
{
    static struct ht_kind kind; // one maker at a time; not the host's stack
    struct ht_view view = {old->base, old->mapped_bytes, old->header};
    uint32_t count = ht_view_kind_count(&view), id;
    for (uint32_t i = 0;
         i < count && ht_view_kind(&view, i, &kind) && ht_kind_add(region, &kind, &id) && id == i; i++) {
    }
}

static void ht_copy_modules(struct ht_region *region, const struct ht_region *old)
{
    static struct ht_module_list list; // one maker at a time; not the host's stack
    // The parent's region goes on growing, also behind the end of what we have mapped of it.
    struct ht_view view = {old->base, old->mapped_bytes, old->header};
    list.count = 0;
    ht_view_each_module(&view, ht_list_module, &list);
    while (list.count > 0) { // oldest first, so that each gets the profile address that it had
        const struct ht_module *module = list.newest_first[--list.count];
        const struct ht_string *path = ht_view_at(&view, module->path_ref, sizeof *path);
        if (path == NULL ||
            ht_view_at(&view, module->path_ref, sizeof *path + path->length_bytes + 1) == NULL) {
            continue;
        }
        struct ht_module_desc desc = {
            .start = module->start,
            .limit = module->limit,
            .file_offset = module->file_offset,
            .link_start = ht_view_link_start(&view, module),
            .path = path->bytes,
            .build_id = module->build_id,
            .build_id_bytes = module->build_id_bytes,
            .is_program = module->is_program != 0,
        };
        int64_t delta;
        ht_modules_add(region, &desc, &delta);
    }
}

// Takes one of the parent's live samples over: its alloc_* start at its in-use figures.
static bool ht_inherit_one(struct ht_region *region, const struct ht_region *old,
                           const struct ht_live_copy *live, float floor_bytes)
{
    static const struct ht_stack no_stack;
    struct ht_view view = {old->base, old->backed_bytes, old->header};
    const struct ht_entry *entry = ht_view_at(&view, live->entry_ref, sizeof *entry);
    const struct ht_string *label = entry != NULL ? ht_view_at(&view, entry->label_ref, sizeof *label) : NULL;
    const struct ht_stack *stack = entry == NULL ? NULL
                                   : entry->stack_ref == 0
                                       ? &no_stack
                                       : ht_view_at(&view, entry->stack_ref, sizeof *stack);
    if (stack == NULL || stack->frame_count > HT_MAX_FRAMES || entry->size_class >= HT_SIZE_CLASSES ||
        (entry->stack_ref != 0 &&
         ht_view_at(&view, entry->stack_ref, sizeof *stack + stack->frame_count * sizeof stack->frames[0]) ==
             NULL)) {
        return false;
    }
    uint32_t label_ref = 0;
    if (label != NULL && ht_view_at(&view, entry->label_ref, sizeof *label + label->length_bytes) != NULL) {
        label_ref = ht_string_intern(region, label->bytes, label->length_bytes);
    }
    struct ht_live_copy own = *live;
    own.entry_ref = ht_entry_intern(region, entry->kind, stack->frames, stack->frame_count, stack->flags,
                                    entry->size_class, label_ref);
    if (own.entry_ref == 0 || !ht_live_insert(region, &own)) {
        return false;
    }
    double weight = ht_live_weight(&own, (double)floor_bytes), bytes = weight * (double)own.size_bytes;
    ht_entry_add(region, own.entry_ref, own.size_bytes, weight, 0.5);
    ht_held_add(region->header, bytes < 9e18 ? (int64_t)bytes : 0, region->header->created_monotonic_ns);
    return true;
}

static bool ht_copy_one(void *arg, const struct ht_live_copy *live)
{
    struct ht_fork_copy *copy = arg;
    if (copy->count == copy->capacity) {
        copy->lost++;
        return true;
    }
    copy->live[copy->count++] = *live;
    return true;
}

static struct ht_fork_copy *ht_copy_live_of(const struct ht_region *region, uint64_t spare)
{
    int64_t live = ht_live_count(region->header);
    uint64_t most = region->size_bytes / sizeof(struct ht_live_slot);
    uint64_t capacity = live < 0 || (uint64_t)live > most ? most : (uint64_t)live + spare;
    uint64_t bytes = sizeof(struct ht_fork_copy) + capacity * sizeof(struct ht_live_copy);
    struct ht_fork_copy *copy = ht_memory_map(bytes);
    if (copy == NULL) {
        return NULL;
    }
    copy->mapped_bytes = bytes;
    copy->capacity = capacity;
    copy->floor_bytes = ht_live_floor(region->header);
    struct ht_view view = {region->base, ht_load_acquire(&region->backed_bytes), region->header};
    ht_view_each_live(&view, ht_copy_one, copy);
    return copy;
}

// The live samples of this region, for a child. Other threads go on, and more may come than there is room
// for: then again, with more of it. NULL: there is no region that could be read, or no memory.
static struct ht_fork_copy *ht_copy_live(const struct ht_region *region)
{
    if (region->base == NULL || ht_load_relaxed(&region->header->failed) != 0 ||
        !ht_region_is_sound(region)) {
        return NULL;
    }
    uint64_t spare = 64;
    struct ht_fork_copy *copy = ht_copy_live_of(region, spare);
    while (copy != NULL && copy->lost > 0 && spare < 1 << 20) {
        spare *= 16;
        struct ht_fork_copy *larger = ht_copy_live_of(region, spare);
        if (larger == NULL) {
            break;
        }
        ht_memory_unmap(copy, copy->mapped_bytes);
        copy = larger;
    }
    return copy;
}

// In a child of fork: what it takes over. Also called by what allocates in a fork handler that runs before
// ours.
static void ht_claim_inherited(void)
{
    struct ht_held *parent = ht_held();
    if (parent->inherited != NULL) {
        return; // by our handler; here no thread-locals are needed (ht_process_region_inherited)
    }
    if (ht_thread.fork_copy != NULL) {
        parent->inherited = ht_thread.fork_copy;
        ht_thread.fork_copy = NULL;
    } else if (ht_thread.fork_held != NULL && ht_thread.fork_held != parent) {
        // Another thread made the region between our prepare handler and the copying. It is still mapped, and
        // the parent has not had the time to change much in it.
        parent->inherited = ht_copy_live(&parent->region);
    }
}

static void ht_inherit(struct ht_region *region, const struct ht_region *old)
{
    ht_copy_kinds(region, old);
    ht_copy_modules(region, old);
    ht_claim_inherited();
    const struct ht_fork_copy *copy = ht_held()->inherited;
    if (copy == NULL) {
        // Copied behind atfork's back (raw clone, _Fork): what the parent held is unknown, and so is which
        // child we are.
        ht_lineage = ht_lineage * 31 + region->header->pid;
        ht_generation++;
        ht_filter_reset();
        ht_health_add(region->header, HT_HEALTH_RAW_FORK, 1);
        return;
    }
    float floor_bytes = copy->floor_bytes;
    __atomic_store(&region->header->floor_bytes, &floor_bytes, __ATOMIC_RELAXED);
    if (floor_bytes > 0) { // what the child takes over are estimates by now
        region->header->thinned_since_ns = old->header->thinned_since_ns;
    }
    region->header->inherited_pid = old->header->pid;
    region->header->inherited_start = old->header->start_ticks;
    uint64_t lost = copy->lost;
    for (uint64_t i = 0; i < copy->count; i++) {
        if (!ht_inherit_one(region, old, &copy->live[i], floor_bytes)) {
            lost++;
        }
    }
    ht_entries_began(region);
    ht_health_add(region->header, HT_HEALTH_INHERITED, copy->count);
    ht_health_add(region->header, HT_HEALTH_INHERIT_LOST, lost);
}

// From now on we go by the fresh one; the old one goes last, so that a process copied at any moment has what
// it goes by. False: we are such a copy ourselves, made by a signal handler that forked on top of the maker;
// the region is the parent's then, and ours is made at the next sample.
static bool ht_switch_region(struct ht_held *fresh)
{
    const struct ht_held *old = ht_held();
    uint64_t eflags = ht_eflags_calm(); // a host that steps through itself: no SIGTRAP while all are blocked
    uint64_t mask = ht_signal_mask(~UINT64_C(0));
    bool copied = ht_owner_state() != HT_OWNER_MAKING;
    if (!copied) {
        ht_store_release(&ht_regions.current, fresh);
        ht_owner_finish(HT_OWNER_READY);
    }
    ht_signal_mask(mask);
    ht_eflags_restore(eflags);
    if (copied) {
        ht_raw2(SYS_munmap, (long)fresh->region.base, (long)fresh->region.mapped_bytes);
        return false;
    }
    if (old->region.base != NULL) {
        ht_raw2(SYS_munmap, (long)old->region.base, (long)old->region.mapped_bytes);
    }
    if (old->inherited != NULL) {
        ht_memory_unmap(old->inherited, old->inherited->mapped_bytes);
    }
    return true;
}

static void ht_make_region(void)
{
    static struct ht_identity identity;               // one maker at a time; not the host's stack
    const struct ht_region *old = &ht_held()->region; // of the parent, when we are a copy
    struct ht_held *fresh = &ht_regions.held[ht_held() == &ht_regions.held[0]];
    fresh->inherited = NULL;
    ht_process_identity(&identity);
    if (old->base != NULL) {
        // What was set on the parent's region while it ran holds on.
        identity.rate_bytes = ht_load_relaxed(&old->header->rate_bytes);
        identity.active = ht_load_relaxed(&old->header->active);
        ht_live_after_fork();
    }
    uint64_t unique = ht_unique_number();
    const char *live_dir = ht_settings.live_dir[0] != '\0' ? ht_settings.live_dir : NULL;
    if (!ht_region_make(&identity, live_dir, ht_region_share(ht_settings.memory_bytes), unique,
                        &fresh->region)) {
        ht_owner_finish(HT_OWNER_FAILED);
        return;
    }
    if (old->base != NULL) {
        ht_inherit(&fresh->region, old);
    }
    ht_region_publish(&fresh->region); // not before what was taken over is in it
    if (ht_switch_region(fresh)) {
        ht_callbacks.after_create(&fresh->region);
    }
}

struct ht_region *ht_process_region(void)
{
    enum ht_owner_state state = ht_owner_state();
    if (ht_likely(state == HT_OWNER_READY)) {
        return &ht_held()->region;
    }
    if (state == HT_OWNER_FAILED) {
        return NULL;
    }
    if (ht_owner_begin()) {
        ht_make_region();
    } else {
        // Another thread is making it: a fraction of a millisecond of a processor, once in a process. Waiting
        // keeps rate 1 exact; sleeping lets it have the processor, also where our priority is the higher one.
        uint64_t begun_ns = ht_clock_monotonic_ns();
        for (int i = 0; i < 1500 && ht_owner_state() == HT_OWNER_MAKING; i++) {
            if (i < 1000) {
                ht_raw0(SYS_sched_yield);
            } else {
                struct timespec moment = {.tv_nsec = 1000000}; // the kernel writes to it
                ht_raw6(SYS_ppoll, 0, 0, (long)&moment, 0, 0, 0);
            }
        }
        struct ht_region *made = ht_process_region_if_made();
        if (made != NULL) {
            ht_region_blocked(made, ht_clock_monotonic_ns() - begun_ns);
        }
    }
    return ht_process_region_if_made();
}

struct ht_region *ht_process_region_inherited(void)
{
    const struct ht_fork_copy *inherited = ht_held()->inherited;
    return ht_process_is_copy() && inherited != NULL && inherited->count != 0 ? ht_process_region() : NULL;
}

void ht_fork_prepare(void)
{
    ht_thread.fork_copy = NULL;
    ht_thread.fork_held = ht_held();
    ht_thread.fork_ordinal = ht_add_relaxed(&ht_forks, 1) + 1;
    struct ht_region *region = ht_process_region_if_made();
    // NULL: nothing of our own; what we ourselves inherited and have not touched goes on to the child.
    ht_thread.fork_copy = region != NULL ? ht_copy_live(region) : NULL;
    if (ht_thread.fork_copy != NULL) {
        uint32_t number = ht_add_relaxed(&region->header->fork_count, 1);
        ht_store_relaxed(&region->header->fork_ns[number % HT_FORKS_REMEMBERED], ht_clock_monotonic_ns());
    }
}

void ht_fork_parent(void)
{
    struct ht_fork_copy *copy = ht_thread.fork_copy;
    ht_thread.fork_copy = NULL;
    ht_thread.fork_held = NULL;
    if (copy != NULL) {
        ht_memory_unmap(copy, copy->mapped_bytes);
    }
}

void ht_fork_child(void)
{
    ht_claim_inherited();
    ht_thread.fork_held = NULL;
    ht_owner_fork_child();
    ht_scratch_after_fork();
    ht_lineage = ht_lineage * 31 + ht_thread.fork_ordinal;
    ht_forks = 0;
    ht_generation++;
    // What is left of the distance is the same in every child of this parent: with it, the errors of siblings
    // would add up instead of averaging out. The next allocation takes the slow path and draws afresh, which
    // is as good: memoryless.
    ht_thread.countdown_bytes = 0;
}
