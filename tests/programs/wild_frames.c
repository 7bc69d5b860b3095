// Frame pointers that point nowhere, JIT frames without unwind tables, very deep recursion: the stack walk
// must survive.
#include "check.h"

#include <sys/mman.h>

typedef void *allocate_fn(size_t);

static void *(*volatile allocate)(size_t) = malloc;

#ifdef __x86_64__
// Calls malloc with an arbitrary value in rbp.
static void *with_frame_pointer(uintptr_t value, size_t size)
{
    void *result;
    void *(*target)(size_t) = allocate;
    __asm__ volatile(
        "push %%rbp\n\tpush %%r12\n\tmov %%rsp, %%r12\n\tand $-16, %%rsp\n\tmov %[value], %%rbp\n\t"
        "call *%[target]\n\tmov %%r12, %%rsp\n\tpop %%r12\n\tpop %%rbp"
        : "=a"(result)
        : "D"(size), [target] "r"(target), [value] "r"(value)
        : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r13", "memory", "cc");
    return result;
}

// push rbp; mov rbp, rsp; call *rsi; pop rbp; ret, and the same without a frame pointer
static const unsigned char with_frame[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd6, 0x5d, 0xc3};
static const unsigned char without_frame[] = {0x48, 0x83, 0xec, 0x08, 0xff, 0xd6,
                                              0x48, 0x83, 0xc4, 0x08, 0xc3};

static void jit(const unsigned char *code, size_t size)
{
    unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    memcpy(page, code, size);
    CHECK(!mprotect(page, 4096, PROT_READ | PROT_EXEC));
    void *(*call)(size_t, void *(*)(size_t));
    memcpy(&call, &page, sizeof(call));
    for (size_t i = 0; i < 100; i++) {
        void *p = call(i * 100, allocate);
        CHECK(p);
        free(p);
    }
    munmap(page, 4096);
}
#endif

static int recurse(int levels)
{
    char *p = malloc((size_t)levels % 50);
    CHECK(p);
    KEEP(p);
    int deeper = levels ? recurse(levels - 1) : 0;
    free(p);
    return deeper + 1;
}

int main(void)
{
#ifdef __x86_64__
    static uintptr_t loop[2];
    loop[0] = (uintptr_t)loop; // a frame that is its own caller
    void *unreadable = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uintptr_t values[] = {0,
                                1,
                                8,
                                UINTPTR_MAX,
                                UINTPTR_MAX - 7,
                                (uintptr_t)1 << 47,
                                (uintptr_t)unreadable,
                                (uintptr_t)unreadable + 4088,
                                (uintptr_t)loop,
                                (uintptr_t)&values};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        for (size_t n = 0; n < 20; n++) {
            void *p = with_frame_pointer(values[i], n * 100);
            CHECK(p);
            free(p);
        }
    jit(with_frame, sizeof(with_frame));
    jit(without_frame, sizeof(without_frame));
#endif
    CHECK(recurse(3000) == 3001);
    puts("ok");
    return 0;
}
