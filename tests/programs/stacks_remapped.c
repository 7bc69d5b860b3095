// A stack that was deep is unmapped, and a smaller one with nothing above it takes its place: no word of the
// old one is read.
#include "check.h"

#include <sys/mman.h>

#ifdef __x86_64__
#define PAGE  4096u
#define PAGES 16u

// Enters `function` on another stack, as context switches do: a thunk at the very top, reached by a jump, so
// that what its unwind table takes for the return address lies in the next page.
void enter(void *top, void (*function)(void), void **ret_back);
void leave(void *back);
__asm__(".text\n\t.globl enter\n\t.type enter, @function\n"
        "enter:\n\t"
        "push %rbp\n\tpush %rbx\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
        "mov %rsp, (%rdx)\n\tmov %rdi, %rsp\n\txor %ebp, %ebp\n\tjmp thunk\n\t.size enter, . - enter\n\t"
        ".type thunk, @function\n"
        "thunk:\n\t.cfi_startproc\n\tcall *%rsi\n\tud2\n\t.cfi_endproc\n\t.size thunk, . - thunk\n\t"
        ".globl leave\n\t.type leave, @function\n"
        "leave:\n\tmov %rdi, %rsp\n\t"
        "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbx\n\tpop %rbp\n\tret\n\t"
        ".size leave, . - leave\n");

static void *back;
static char *area;

static void allocate(void)
{
    void *p = malloc(100);
    KEEP(p);
    free(p);
}

// Down through the pages of the stack, allocating in each.
static void descend(unsigned pages)
{
    char room[PAGE - 200], *p = room;
    KEEP(p);
    allocate();
    if (pages)
        descend(pages - 1);
    KEEP(p);
    allocate();
}

static void deep(void)
{
    descend(PAGES - 4);
    leave(back);
}

static void shallow(void)
{
    allocate();
    leave(back);
}

static void map(unsigned pages)
{
    CHECK(mmap(area, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
          area);
}

static void forget(void)
{
    CHECK(mmap(area, (PAGES + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area);
}

int main(void)
{
    area = mmap(NULL, (PAGES + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED);
    for (unsigned pages = 4; pages < PAGES; pages++) {
        map(PAGES);
        enter(area + PAGES * PAGE, deep, &back);
        forget();
        map(pages);
        enter(area + pages * PAGE, shallow, &back);
        forget();
    }
    puts("ok");
    return 0;
}
#else
int main(void)
{
    puts("the stack switch is written for x86-64");
    return 77;
}
#endif
