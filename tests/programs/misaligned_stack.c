// Callers whose stack is not aligned as the ABI asks for: libc's allocator does not mind, and so must nobody
// else.
#include "check.h"

#ifdef __x86_64__
// function(a, b) with the stack pointer `off` bytes away from where the ABI wants it.
static uintptr_t call_off(void *function, uintptr_t a, uintptr_t b, uintptr_t off)
{
    uintptr_t result;
    __asm__ volatile("push %%rbp\n\tmov %%rsp, %%rbp\n\tand $-64, %%rsp\n\tsub %[off], %%rsp\n\t"
                     "call *%[function]\n\tmov %%rbp, %%rsp\n\tpop %%rbp"
                     : "=a"(result), "+D"(a), "+S"(b)
                     : [function] "r"(function), [off] "r"(off)
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return result;
}

static void *address_of(void *(*function)(size_t))
{
    void *address;
    memcpy(&address, &function, sizeof(address));
    return address;
}
#define ADDRESS(function) address_of((void *(*)(size_t))(uintptr_t)(function))

int main(void)
{
    for (size_t i = 0; i < 300; i++) {
        uintptr_t off = i % 3 * 8; // 0: aligned, for comparison
        void *p = (void *)call_off(ADDRESS(malloc), i * 40, 0, off);
        void *q = (void *)call_off(ADDRESS(calloc), i, 3, off);
        CHECK(p && q && filled(q, i * 3, 0));
        p = (void *)call_off(ADDRESS(realloc), (uintptr_t)p, i * 100 + 1, off);
        CHECK(p);
        fill(p, i * 100 + 1, 1);
        call_off(ADDRESS(free), (uintptr_t)p, 0, off);
        call_off(ADDRESS(free), (uintptr_t)q, 0, off);
    }
    puts("ok");
    return 0;
}
#else
int main(void)
{
    puts("other processors fault at any use of such a stack");
    return 77;
}
#endif
