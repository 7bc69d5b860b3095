// A program that defines the whole malloc family itself and exports it: its own wins everywhere, also inside
// libc.
#include "self.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>

#define HEAP_BYTES (64u << 20)
#define HEADER     16u

static char heap[HEAP_BYTES] __attribute__((aligned(4096)));
static size_t used;
static long calls;

static void *take(size_t align, size_t size)
{
    if (size > HEAP_BYTES / 2) {
        errno = ENOMEM;
        return NULL;
    }
    align = align < HEADER ? HEADER : align;
    size_t space = size + align + HEADER,
           at = __atomic_fetch_add(&used, (space + 15) & ~(size_t)15, __ATOMIC_RELAXED);
    if (at + space > HEAP_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    char *p = heap + at + HEADER;
    p += -(uintptr_t)p & (align - 1);
    memcpy(p - HEADER, &size, sizeof(size));
    return p;
}

static size_t size_of(void *block)
{
    size_t size;
    memcpy(&size, (char *)block - HEADER, sizeof(size));
    return size;
}

void *malloc(size_t size)
{
    return take(HEADER, size);
}
void free(void *block)
{
    // Anything but a block of this heap would be somebody else's.
    if (block && ((char *)block < heap || (char *)block >= heap + HEAP_BYTES))
        __builtin_trap();
}
void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return take(HEADER, bytes); // never used before, so zero
}
void *realloc(void *block, size_t size)
{
    void *fresh = take(HEADER, size);
    if (fresh && block)
        memcpy(fresh, block, size_of(block) < size ? size_of(block) : size);
    return fresh;
}
int posix_memalign(void **ret_block, size_t align, size_t size)
{
    void *block = take(align, size);
    *ret_block = block;
    return block ? 0 : ENOMEM;
}
void *aligned_alloc(size_t align, size_t size)
{
    return take(align, size);
}
void *memalign(size_t align, size_t size)
{
    return take(align, size);
}
void *valloc(size_t size)
{
    return take(4096, size);
}
void *pvalloc(size_t size)
{
    return take(4096, size);
}
size_t malloc_usable_size(void *block)
{
    return block ? size_of(block) : 0;
}

static void *work(void *unused)
{
    for (size_t i = 0; i < 500; i++) {
        char *copied = strdup("some text"), *p = calloc(10, i);
        CHECK(copied && p && filled(p, i * 10, 0));
        free(realloc(copied, 100));
        free(p);
    }
    return unused;
}

int main(void)
{
    pthread_t threads[3];
    long before = calls;
    for (int i = 0; i < 3; i++)
        CHECK(!pthread_create(&threads[i], NULL, work, NULL));
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK(calls - before >= 3 * 1500);
    char *line = NULL;
    CHECK(asprintf(&line, "%s %d", "libc's own blocks come from here too", 1) > 0);
    CHECK(line >= heap && line < heap + HEAP_BYTES);
    free(line);
    void *handle = dlopen(beside("libdeep.so"), RTLD_NOW);
    CHECK(handle && ((int (*)(void))dlsym(handle, "deep_works"))() && !dlclose(handle));
    CHECK(!system("true"));
    puts("ok");
    return 0;
}
