// The exact counting preload: counts requested bytes and objects, allocated and live, to hold profiles
// against.
//
// A separate and trivial library on purpose: one spin lock, one open-addressing table address -> size in
// mapped memory, no sampling, nothing shared with the shim. It counts as the profile does: an allocation at
// its requested size, realloc as a free and an allocation, a failed call not at all; in a forked child
// alloc_* starts at the inherited inuse_*.
//
// Environment: HT_COUNT_OUT names the file that a line is appended to at exit (nothing is written when it is
// not set), HT_COUNT_SIGNAL a signal number that appends a line at once. A line is
//     pid program alloc_objects alloc_space inuse_objects inuse_space inherited_objects inherited_space
//         size:allocated:live ...
// (without the line break) where inherited_* is what a forked child began with, and the tail is a histogram
// of sizes (upper bounds of classes 1/16 of a doubling wide), from which a test can compute the exact
// sampling variance at any rate.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CLASS_MAX   1024
#define FIRST_SLOTS (1u << 16)

struct ht_slot {
    uintptr_t address; // 0: empty
    size_t size_bytes;
};

struct ht_class {
    uint64_t allocated, live;
};

static struct {
    atomic_flag lock;
    struct ht_slot *slots;
    size_t slot_count, used;
    uint64_t alloc_objects, alloc_space, inuse_objects, inuse_space, inherited_objects, inherited_space, lost;
    struct ht_class classes[CLASS_MAX];
    char out[4096], program[64];
} count = {.lock = ATOMIC_FLAG_INIT};

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
} real;

// dlsym may ask for memory before the real allocator is known; what it gets from here is never given back.
static _Alignas(16) char early[65536];
static size_t early_used;

void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t alignment, size_t size);

static void lock(void)
{
    while (atomic_flag_test_and_set_explicit(&count.lock, memory_order_acquire))
        sched_yield();
}

static void unlock(void)
{
    atomic_flag_clear_explicit(&count.lock, memory_order_release);
}

static size_t class_of(size_t size)
{
    if (size < 64)
        return size;
    unsigned shift = 63u - (unsigned)__builtin_clzl(size) - 4;
    return 64 + (shift - 2) * 16 + ((size >> shift) & 15);
}

// The largest size in the class.
static size_t class_bound(size_t index)
{
    if (index < 64)
        return index;
    size_t shift = (index - 64) / 16 + 2;
    return ((16 + (index - 64) % 16 + 1) << shift) - 1;
}

static size_t home_of(uintptr_t address)
{
    return (size_t)((address >> 4) * 0x9E3779B97F4A7C15u >> 20) & (count.slot_count - 1);
}

static void put(uintptr_t address, size_t size)
{
    size_t i = home_of(address);
    while (count.slots[i].address)
        i = (i + 1) & (count.slot_count - 1);
    count.slots[i] = (struct ht_slot){address, size};
}

static bool grow(void)
{
    size_t old_count = count.slot_count, new_count = old_count ? old_count * 2 : FIRST_SLOTS;
    struct ht_slot *old = count.slots;
    void *map =
        mmap(NULL, new_count * sizeof(*old), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return false;
    count.slots = map;
    count.slot_count = new_count;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].address)
            put(old[i].address, old[i].size_bytes);
    if (old)
        munmap(old, old_count * sizeof(*old));
    return true;
}

static void count_alloc(void *p, size_t size, bool again)
{
    if (!p)
        return;
    int saved = errno;
    lock();
    if (count.used * 2 >= count.slot_count && !grow()) {
        count.lost++;
    } else {
        put((uintptr_t)p, size);
        count.used++;
        size_t class = class_of(size);
        count.inuse_objects++;
        count.inuse_space += size;
        count.classes[class].live++;
        if (!again) {
            count.alloc_objects++;
            count.alloc_space += size;
            count.classes[class].allocated++;
        }
    }
    unlock();
    errno = saved;
}

// Takes a block out; false when it is not in the table. Deletion shifts back, so no tombstones pile up.
static bool count_free(void *p, size_t *ret_size)
{
    bool found = false;
    int saved = errno;
    lock();
    size_t mask = count.slot_count - 1;
    if (p && count.slots) {
        size_t i = home_of((uintptr_t)p);
        while (count.slots[i].address && count.slots[i].address != (uintptr_t)p)
            i = (i + 1) & mask;
        if (count.slots[i].address) {
            size_t size = count.slots[i].size_bytes;
            found = true;
            *ret_size = size;
            count.used--;
            count.inuse_objects--;
            count.inuse_space -= size;
            count.classes[class_of(size)].live--;
            for (size_t j = (i + 1) & mask; count.slots[j].address; j = (j + 1) & mask) {
                size_t home = home_of(count.slots[j].address);
                if (((j - home) & mask) >= ((j - i) & mask)) {
                    count.slots[i] = count.slots[j];
                    i = j;
                }
            }
            count.slots[i].address = 0;
        }
    }
    unlock();
    errno = saved;
    return found;
}

static char *append_number(char *at, uint64_t value, char end)
{
    char digits[24];
    int n = 0;
    do
        digits[n++] = (char)('0' + value % 10);
    while (value /= 10);
    while (n)
        *at++ = digits[--n];
    *at++ = end;
    return at;
}

// One line, one write, so that lines of several processes never mix. Async-signal-safe; takes no lock.
static void report(void)
{
    static char line[65536];
    if (!count.out[0])
        return;
    char *at = append_number(line, (uint64_t)getpid(), ' ');
    size_t length = strlen(count.program);
    memcpy(at, count.program, length);
    at += length;
    *at++ = ' ';
    at = append_number(at, count.alloc_objects, ' ');
    at = append_number(at, count.alloc_space, ' ');
    at = append_number(at, count.inuse_objects, ' ');
    at = append_number(at, count.inuse_space, ' ');
    at = append_number(at, count.inherited_objects, ' ');
    at = append_number(at, count.inherited_space, ' ');
    for (size_t i = 0; i < CLASS_MAX && at < line + sizeof(line) - 80; i++) {
        if (!count.classes[i].allocated && !count.classes[i].live)
            continue;
        at = append_number(at, class_bound(i), ':');
        at = append_number(at, count.classes[i].allocated, ':');
        at = append_number(at, count.classes[i].live, ' ');
    }
    if (count.lost) {
        memcpy(at, "lost ", 5);
        at += 5;
    }
    at[-1] = '\n';
    int fd = open(count.out, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return;
    ssize_t written = write(fd, line, (size_t)(at - line));
    (void)written;
    close(fd);
}

static void on_signal(int number)
{
    (void)number;
    int saved = errno;
    report();
    errno = saved;
}

static void after_fork_child(void)
{
    count.alloc_objects = count.inherited_objects = count.inuse_objects;
    count.alloc_space = count.inherited_space = count.inuse_space;
    for (size_t i = 0; i < CLASS_MAX; i++)
        count.classes[i].allocated = count.classes[i].live;
    unlock();
}

#define RESOLVE(name) (real.name = (__typeof__(real.name))dlsym(RTLD_NEXT, #name))

static void resolve(void)
{
    static bool busy;
    if (busy)
        return;
    busy = true;
    RESOLVE(calloc);
    RESOLVE(realloc);
    RESOLVE(free);
    RESOLVE(posix_memalign);
    RESOLVE(aligned_alloc);
    RESOLVE(memalign);
    RESOLVE(valloc);
    RESOLVE(pvalloc);
    RESOLVE(malloc);
    busy = false;
}

__attribute__((constructor)) static void start(void)
{
    if (!real.malloc)
        resolve();
    const char *out = getenv("HT_COUNT_OUT"), *number = getenv("HT_COUNT_SIGNAL");
    if (out && strlen(out) < sizeof(count.out))
        strcpy(count.out, out);
    strncpy(count.program, program_invocation_short_name, sizeof(count.program) - 1);
    for (char *c = count.program; *c; c++)
        if (*c == ' ')
            *c = '_';
    pthread_atfork(lock, unlock, after_fork_child);
    at_quick_exit(report);
    if (number) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        sigaction(atoi(number), &action, NULL);
    }
}

__attribute__((destructor)) static void finish(void)
{
    report();
}

static bool is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof(early);
}

static void *take_early(size_t size)
{
    size_t at = (early_used + 15) & ~(size_t)15;
    if (size > sizeof(early) - at) {
        errno = ENOMEM;
        return NULL;
    }
    early_used = at + size;
    return early + at;
}

static bool ready(void)
{
    if (!real.malloc)
        resolve();
    return real.malloc != NULL;
}

void *malloc(size_t size)
{
    if (!ready())
        return take_early(size);
    void *p = real.malloc(size);
    count_alloc(p, size, false);
    return p;
}

void *calloc(size_t n, size_t size)
{
    if (!ready())
        return take_early(n * size);
    void *p = real.calloc(n, size);
    count_alloc(p, n * size, false);
    return p;
}

void free(void *p)
{
    size_t size;
    if (is_early(p) || !ready())
        return;
    count_free(p, &size);
    real.free(p);
}

void free_sized(void *p, size_t size)
{
    (void)size;
    free(p);
}

void free_aligned_sized(void *p, size_t alignment, size_t size)
{
    (void)alignment;
    (void)size;
    free(p);
}

void *realloc(void *p, size_t size)
{
    size_t old = 0;
    if (!ready() || is_early(p)) {
        void *moved = ready() ? malloc(size) : take_early(size);
        if (p && moved)
            memcpy(moved, p, size < (size_t)(early + sizeof(early) - (char *)p) ? size : 0);
        return moved;
    }
    bool known = count_free(p, &old);
    void *moved = real.realloc(p, size);
    if (moved)
        count_alloc(moved, size, false);
    else if (known && size)
        count_alloc(p, old, true);
    return moved;
}

void *reallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, bytes);
}

int posix_memalign(void **ret_p, size_t alignment, size_t size)
{
    if (!ready())
        return ENOMEM;
    int error = real.posix_memalign(ret_p, alignment, size);
    if (!error)
        count_alloc(*ret_p, size, false);
    return error;
}

#define ALIGNED(name, ...)                                                                                   \
    if (!ready())                                                                                            \
        return NULL;                                                                                         \
    void *p = real.name(__VA_ARGS__);                                                                        \
    count_alloc(p, size, false);                                                                             \
    return p

void *aligned_alloc(size_t alignment, size_t size)
{
    ALIGNED(aligned_alloc, alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    ALIGNED(memalign, alignment, size);
}

void *valloc(size_t size)
{
    ALIGNED(valloc, size);
}

void *pvalloc(size_t size)
{
    ALIGNED(pvalloc, size);
}
