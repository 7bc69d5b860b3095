// The region's memory: the file on a tmpfs, the mapping, and a bump heap whose pages are backed before use.
#include "record/region.h"

#include "record/kinds.h"
#include "record/live.h"

#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/memory.h"
#include "sys/raw.h"
#include "sys/seam.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define BACK_STEP_BYTES     UINT64_C(65536)
#define MAP_STEP_BYTES      (UINT64_C(1) << 20)
#define FIRST_MAP_BYTES     (UINT64_C(4) << 20)
#define CHAIN_LIMIT         (1u << 20) // links; an honest chain has a handful
#define EXTEND_ATTEMPTS     100
#define MIN_REGION_BYTES    UINT64_C(262144)
#define FIRST_LEVEL_BUCKETS 128u

static bool ht_is_error(long result)
{
    return result < 0 && result >= -4095;
}

static bool ht_fallocate(long fd, uint64_t offset, uint64_t bytes)
{
    long result;
    do {
        result = ht_raw4(SYS_fallocate, fd, 0, (long)offset, (long)bytes);
    } while (result == -EINTR); // what was reserved by then stays so
    return result == 0;
}

// With the old kernels that lack MADV_POPULATE_WRITE, pages of the file are reserved by fallocate on a
// descriptor that is opened for the moment; it must still be the same file.
static bool ht_back_by_fallocate(const struct ht_region *region, uint64_t offset, uint64_t bytes)
{
    const struct ht_region_header *header = region->header;
    if (header->region_path[0] == '\0') {
        return false;
    }
    long fd = ht_io_open(HT_IO_CWD, header->region_path, O_RDWR | O_NOFOLLOW, 0);
    if (fd < 0) {
        return false;
    }
    struct stat opened;
    bool same = ht_raw2(SYS_fstat, fd, (long)&opened) == 0 && opened.st_ino == region->inode;
    bool backed = same && ht_fallocate(fd, offset, bytes);
    ht_raw1(SYS_close, fd);
    return backed;
}

// Address space is taken as it is needed (a host may live under RLIMIT_AS): the mapping grows in place, which
// needs no descriptor and moves nothing. It stands where the kernel puts nothing by itself, so there is room
// behind it.
static bool ht_region_extend(struct ht_region *region, uint64_t wanted_bytes)
{
    for (int attempt = 0; attempt < EXTEND_ATTEMPTS; attempt++) {
        uint64_t mapped = ht_load_acquire(&region->mapped_bytes);
        if (wanted_bytes <= mapped) {
            return true;
        }
        uint64_t target = (wanted_bytes + mapped / 2 + MAP_STEP_BYTES - 1) / MAP_STEP_BYTES * MAP_STEP_BYTES;
        if (target > region->size_bytes) {
            target = region->size_bytes;
        }
        long base = ht_raw4(SYS_mremap, (long)region->base, (long)mapped, (long)target, 0);
        if (!ht_is_error(base)) {
            ht_max_relaxed(&region->mapped_bytes, target);
            return true;
        }
        if (ht_load_acquire(&region->mapped_bytes) == mapped && attempt > 8) {
            return false; // it was not another thread that came first
        }
        ht_raw0(SYS_sched_yield);
    }
    return false;
}

// Makes [backed_bytes, wanted) safe to touch: a full tmpfs answers here, and not with SIGBUS in the host.
static bool ht_region_back(struct ht_region *region, uint64_t wanted_bytes)
{
    struct ht_region_header *header = region->header;
    uint64_t backed = ht_load_acquire(&region->backed_bytes);
    if (wanted_bytes <= backed) {
        return true;
    }
    uint64_t step = backed / 16 > BACK_STEP_BYTES ? backed / 16 : BACK_STEP_BYTES;
    uint64_t target = (wanted_bytes + step - 1) / BACK_STEP_BYTES * BACK_STEP_BYTES;
    if (target > region->size_bytes) {
        target = region->size_bytes;
    }
    if (!ht_region_extend(region, target)) {
        return false;
    }
    // Two threads may back the same pages at once; that is harmless.
    if (ht_memory_populate(region->base + backed, target - backed) == 0 || !region->shared ||
        ht_back_by_fallocate(region, backed, target - backed)) {
        // In the file first: by the other word threads take memory, and whoever is killed here leaves a file
        // in which nothing that is used lies beyond what is backed.
        ht_max_release(&header->backed_bytes, target);
        HT_SEAM(back_told);
        ht_max_release(&region->backed_bytes, target);
        return true;
    }
    return false;
}

void ht_region_back_ahead(struct ht_region *region, uint64_t bytes)
{
    uint64_t used = ht_load_relaxed(&region->header->used_bytes);
    uint64_t limit = region->size_bytes;
    ht_region_back(region, bytes < limit - used ? used + bytes : limit);
}

void ht_region_blocked(struct ht_region *region, uint64_t ns)
{
    ht_health_add(region->header, HT_HEALTH_BLOCKED_NS, ns);
    if (ht_load_relaxed(&region->header->health[HT_HEALTH_BLOCKED_NS]) > HT_BLOCKED_LIMIT_NS) {
        ht_store_relaxed(&region->header->failed, HT_FAILURE_BLOCKED);
    }
}

bool ht_region_link(const struct ht_region *region, uint32_t ref, uint64_t bytes, uint32_t step)
{
    if (ht_likely(ht_region_holds(region, ref, bytes) && step < CHAIN_LIMIT)) {
        return true;
    }
    ht_store_relaxed(&region->header->failed, HT_FAILURE_BROKEN);
    return false;
}

uint64_t ht_region_take(struct ht_region *region, uint64_t bytes, uint64_t align, bool reserve)
{
    struct ht_region_header *header = region->header;
    uint64_t limit = region->size_bytes - (reserve ? 0 : HT_REGION_RESERVE_BYTES);
    uint64_t used = ht_load_relaxed(&header->used_bytes);
    for (;;) {
        uint64_t offset = (used + align - 1) & ~(align - 1);
        if (bytes > limit || offset > limit - bytes) {
            return 0;
        }
        uint64_t end = (offset + bytes + HT_REF_UNIT - 1) & ~(uint64_t)(HT_REF_UNIT - 1);
        if (!ht_region_back(region, end)) {
            return 0;
        }
        if (ht_cas_acqrel(&header->used_bytes, &used, end)) {
            return offset;
        }
    }
}

// A limit of the address space or of a file's size, as far as it allows more of ours: an eighth of what is
// left.
static uint64_t ht_limit_room(int resource, uint64_t used_bytes)
{
    struct rlimit limit;
    if (ht_raw2(SYS_getrlimit, resource, (long)&limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return UINT64_MAX;
    }
    return limit.rlim_cur > used_bytes ? (limit.rlim_cur - used_bytes) / 8 : 0;
}

// Creates the file; -1 when this directory is not a tmpfs, or full, or not ours to write.
static long ht_region_open(const struct ht_identity *identity, const char *live_dir, uint64_t unique,
                           uint64_t *limit_bytes, char *path, size_t path_size)
{
    struct statfs fs;
    if (ht_raw2(SYS_statfs, (long)live_dir, (long)&fs) != 0 || fs.f_type != TMPFS_MAGIC) {
        return -1;
    }
    uint64_t free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    if (fs.f_blocks != 0 && *limit_bytes > free_bytes / 8) { // f_blocks 0: a tmpfs without a limit
        *limit_bytes = free_bytes / 8;
    }
    uint64_t file_room = ht_limit_room(RLIMIT_FSIZE, 0);
    if (file_room != UINT64_MAX && *limit_bytes > file_room * 8) {
        *limit_bytes = file_room * 8;
    }
    *limit_bytes &= ~UINT64_C(4095);
    if (*limit_bytes < MIN_REGION_BYTES) {
        return -1;
    }
    struct ht_text text = ht_text_init(path, path_size);
    ht_text_add(&text, live_dir);
    ht_text_add(&text, "/heaptap.");
    ht_text_add(&text, identity->program);
    ht_text_add_char(&text, '.');
    ht_text_add_u64(&text, identity->pid);
    ht_text_add_char(&text, '.');
    ht_text_add_hex(&text, unique);
    ht_text_add(&text, HT_REGION_MAKING_SUFFIX);
    if (text.cut || text.length + 1 >= path_size) { // its final name is longer by one
        return -1;
    }
    long fd = ht_io_open(HT_IO_CWD, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -1;
    }
    // The mode must be 0600 even under an odd umask, and the size is set once: a sparse tmpfs file costs
    // nothing.
    if (ht_raw2(SYS_fchmod, fd, 0600) != 0 || ht_raw2(SYS_ftruncate, fd, (long)*limit_bytes) != 0) {
        ht_raw3(SYS_unlinkat, AT_FDCWD, (long)path, 0);
        ht_raw1(SYS_close, fd);
        return -1;
    }
    return fd;
}

static uint8_t *ht_region_map(long fd, uint64_t bytes, uint64_t unique)
{
    int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    // Only a hint: where it is taken, or lies outside of the address space, the kernel chooses.
    uint64_t hint = HT_REGION_PLACE + unique % HT_REGION_PLACES * HT_REGION_PLACE_STEP;
    long base = ht_raw6(SYS_mmap, (long)hint, (long)bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    return ht_is_error(base) ? NULL : (uint8_t *)base;
}

void ht_region_describe(struct ht_region_header *header, const struct ht_identity *identity)
{
    header->version = HT_REGION_VERSION;
    header->header_bytes = HT_REGION_HEADER_BYTES;
    header->module_bytes = sizeof(struct ht_module);
    header->keeps = HT_KEEPS_VARIANCE;
    header->pid = identity->pid;
    header->uid = identity->uid;
    header->parent_pid = identity->parent_pid;
    header->start_ticks = identity->start_ticks;
    header->pid_namespace = identity->pid_namespace;
    header->created_unix_ns = ht_clock_raw_realtime_ns();
    header->created_monotonic_ns = ht_clock_raw_monotonic_ns();
    memcpy(header->boot_id, identity->boot_id, sizeof header->boot_id);
    memcpy(header->program, identity->program, sizeof header->program);
    memcpy(header->program_path, identity->program_path, sizeof header->program_path);
    memcpy(header->out_dir, identity->out_dir, sizeof header->out_dir);
    memcpy(header->arguments, identity->arguments, sizeof header->arguments);
    header->memory_limit_bytes = identity->memory_limit_bytes;
    header->rate_bytes = identity->rate_bytes;
    header->seed = identity->seed;
    header->active = identity->active;
    header->first_active_ns = identity->active ? header->created_monotonic_ns : 0;
    header->labels = identity->labels;
    header->keep = identity->keep;
    header->run_id = identity->run_id;
}

// The tables that every region has from the start: hash heads and the first level of live samples.
static bool ht_region_make_tables(struct ht_region *region)
{
    struct ht_region_header *header = region->header;
    uint32_t heads = 1024;
    while (heads < 65536 && (uint64_t)heads * 2048 < header->size_bytes) {
        heads *= 2;
    }
    uint64_t stack_heads = ht_region_take(region, (uint64_t)heads * 4, HT_CACHE_LINE, false);
    uint64_t entry_heads = ht_region_take(region, (uint64_t)heads * 4, HT_CACHE_LINE, false);
    if (stack_heads == 0 || entry_heads == 0) {
        return false;
    }
    header->stack_heads_ref = region->stack_heads_ref = (uint32_t)(stack_heads / HT_REF_UNIT);
    header->entry_heads_ref = region->entry_heads_ref = (uint32_t)(entry_heads / HT_REF_UNIT);
    header->head_count = region->head_count = heads;
    uint32_t heap;
    return ht_kind_add(region, &ht_kind_heap, &heap) && ht_live_add_level(region, FIRST_LEVEL_BUCKETS);
}

static uint64_t ht_first_map(uint64_t limit_bytes)
{
    return limit_bytes < FIRST_MAP_BYTES ? limit_bytes : FIRST_MAP_BYTES;
}

// The region as a file; *limit_bytes is lowered to what there is room for. False: not here.
static bool ht_region_make_file(struct ht_region *region, const struct ht_identity *identity,
                                const char *live_dir, uint64_t unique, uint64_t *limit_bytes, char *path,
                                size_t path_size)
{
    uint64_t file_bytes = *limit_bytes;
    long fd = ht_region_open(identity, live_dir, unique, &file_bytes, path, path_size);
    if (fd < 0) {
        return false;
    }
    struct stat made;
    uint64_t map_bytes = ht_first_map(file_bytes);
    region->base = ht_region_map(fd, map_bytes, unique);
    // Nothing may be touched before it is backed, not even the header.
    if (region->base != NULL &&
        (!ht_fallocate(fd, 0, HT_REGION_HEADER_BYTES) || ht_raw2(SYS_fstat, fd, (long)&made) != 0)) {
        ht_raw2(SYS_munmap, (long)region->base, (long)map_bytes);
        region->base = NULL;
    }
    ht_io_close((int)fd);
    if (region->base == NULL) {
        ht_raw3(SYS_unlinkat, AT_FDCWD, (long)path, 0);
        return false;
    }
    region->mapped_bytes = map_bytes;
    region->inode = made.st_ino;
    region->shared = true;
    *limit_bytes = file_bytes;
    return true;
}

static bool ht_region_make_private(struct ht_region *region, uint64_t unique, uint64_t limit_bytes)
{
    for (uint64_t bytes = ht_first_map(limit_bytes); bytes >= MIN_REGION_BYTES;
         bytes = (bytes / 2) & ~UINT64_C(4095)) {
        region->base = ht_region_map(-1, bytes, unique);
        if (region->base != NULL) {
            region->mapped_bytes = bytes;
            return true;
        }
    }
    return false;
}

// In a file, or, without a directory, in private memory. False, and nothing is left of it: not there.
static bool ht_region_make_in(const char *live_dir, const struct ht_identity *identity, uint64_t limit_bytes,
                              uint64_t unique, struct ht_region *region)
{
    memset(region, 0, sizeof *region);
    char path[sizeof region->header->region_path];
    bool made = live_dir != NULL
                    ? ht_region_make_file(region, identity, live_dir, unique, &limit_bytes, path, sizeof path)
                    : ht_region_make_private(region, unique, limit_bytes);
    if (!made) {
        return false;
    }
    region->header = (struct ht_region_header *)region->base;
    region->header->size_bytes = limit_bytes;
    region->header->used_bytes = HT_REGION_HEADER_BYTES;
    region->header->backed_bytes = region->backed_bytes = HT_REGION_HEADER_BYTES;
    region->size_bytes = limit_bytes;
    ht_region_describe(region->header, identity);
    if (region->shared) {
        memcpy(region->header->region_path, path, sizeof path);
    }
    ht_store_release(&region->header->magic, HT_REGION_MAKING); // whose it is can be told from here on
    if (!ht_region_make_tables(region)) {
        ht_region_destroy(region);
        return false;
    }
    return true;
}

bool ht_region_make(const struct ht_identity *identity, const char *live_dir, uint64_t limit_bytes,
                    uint64_t unique, struct ht_region *ret_region)
{
    uint64_t room = ht_limit_room(RLIMIT_AS, 0);
    if (limit_bytes > room) {
        limit_bytes = room;
    }
    if (limit_bytes < MIN_REGION_BYTES) {
        limit_bytes = MIN_REGION_BYTES;
    }
    limit_bytes &= ~UINT64_C(4095);
    // A tmpfs that others have filled may have room for a header and for nothing more.
    return (live_dir != NULL && ht_region_make_in(live_dir, identity, limit_bytes, unique, ret_region)) ||
           ht_region_make_in(NULL, identity, limit_bytes, unique, ret_region);
}

void ht_region_publish(struct ht_region *region)
{
    // Readers take the file for a region from here on (pairs with ht_view_init's check of the magic).
    ht_store_release(&region->header->magic, HT_REGION_MAGIC);
    char *path = region->header->region_path;
    if (!region->shared || path[0] == '\0') {
        return;
    }
    char final[sizeof region->header->region_path];
    struct ht_text text = ht_text_init(final, sizeof final);
    ht_text_add_max(&text, path, strlen(path) - strlen(HT_REGION_MAKING_SUFFIX));
    ht_text_add(&text, HT_REGION_SUFFIX);
    // The mapping follows the file to its new name, also in /proc/PID/maps.
    long result = ht_raw6(SYS_renameat2, AT_FDCWD, (long)path, AT_FDCWD, (long) final, 0, 0);
    if (result != 0) { // before Linux 3.15, or under a filter
        result = ht_raw4(SYS_renameat, AT_FDCWD, (long)path, AT_FDCWD, (long) final);
    }
    if (result == 0) {
        memcpy(path, final, sizeof final);
    } else { // nobody would find it
        ht_raw3(SYS_unlinkat, AT_FDCWD, (long)path, 0);
        path[0] = '\0';
    }
}

bool ht_region_create(const struct ht_identity *identity, const char *live_dir, uint64_t limit_bytes,
                      uint64_t unique, struct ht_region *ret_region)
{
    if (!ht_region_make(identity, live_dir, limit_bytes, unique, ret_region)) {
        return false;
    }
    ht_region_publish(ret_region);
    return true;
}

void ht_region_unlink(struct ht_region *region)
{
    if (region->shared && region->header->region_path[0] != '\0') {
        ht_raw3(SYS_unlinkat, AT_FDCWD, (long)region->header->region_path, 0);
    }
}

void ht_region_destroy(struct ht_region *region)
{
    ht_region_unlink(region);
    ht_raw2(SYS_munmap, (long)region->base, (long)region->mapped_bytes);
    region->base = NULL;
    region->header = NULL;
}
