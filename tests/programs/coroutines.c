// Coroutines on mapped stacks, on heap blocks and on pieces of another stack allocate, free each other's
// stacks, and end.
#include "check.h"

#include <sys/mman.h>
#include <ucontext.h>

#define COROUTINES 12
#define ROUNDS     60

static void allocate(size_t seed)
{
    for (size_t i = 1; i < 20; i++) {
        char *p = malloc(seed * 13 % 900 + i);
        CHECK(p);
        *p = 1;
        free(p);
    }
}

// ---- ucontext

struct coroutine {
    ucontext_t context;
    char *stack;
    size_t size;
    enum { MAPPED, HEAP } kind;
    int rounds;
    volatile int returned;
};

static ucontext_t scheduler;
static struct coroutine coroutines[COROUTINES];

static void body(int index)
{
    struct coroutine *self = &coroutines[index];
    for (int i = 0; i < self->rounds; i++) {
        allocate((size_t)(index + i));
        swapcontext(&self->context, &scheduler);
    }
    allocate(1);
    self->returned = 1;
}

static void begin(int index)
{
    struct coroutine *self = &coroutines[index];
    self->kind = index % 2 ? HEAP : MAPPED;
    self->size = 16384 + (size_t)index * 4096;
    self->stack = self->kind == HEAP
                      ? malloc(self->size)
                      : mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(self->stack && self->stack != MAP_FAILED);
    getcontext(&self->context);
    self->context.uc_stack.ss_sp = self->stack;
    self->context.uc_stack.ss_size = self->size;
    self->context.uc_link = &scheduler;
    self->rounds = index % 5 + 1;
    self->returned = 0;
    makecontext(&self->context, (void (*)(void))body, 1, index);
}

static void end(int index)
{
    struct coroutine *self = &coroutines[index];
    if (self->kind == HEAP)
        free(self->stack);
    else
        munmap(self->stack, self->size);
    self->stack = NULL;
}

static void with_ucontext(void)
{
    for (int i = 0; i < COROUTINES; i++)
        begin(i);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < COROUTINES; i++) {
            swapcontext(&scheduler, &coroutines[i].context);
            if (coroutines[i].returned) {
                end(i);
                begin(i);
            }
        }
    // Abandoned where they stand: their stacks go, with frames on them.
    for (int i = 0; i < COROUTINES; i++)
        end(i);
}

#ifdef __x86_64__
// ---- switching by hand, as fibre libraries do: six registers and the stack pointer

void switch_stack(void **ret_old, void *new);
void first_frame(void);
__asm__(".text\n\t.globl switch_stack\n\t.type switch_stack, @function\n"
        "switch_stack:\n\t"
        "push %rbp\n\tpush %rbx\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
        "mov %rsp, (%rdi)\n\tmov %rsi, %rsp\n\t"
        "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbx\n\tpop %rbp\n\tret\n\t"
        ".size switch_stack, . - switch_stack\n\t"
        ".globl first_frame\n\t.type first_frame, @function\n"
        "first_frame:\n\tcall *%r12\n\tud2\n\t.size first_frame, . - first_frame\n");

static void *main_stack, *fibre_stack;
static volatile int fibre_done;

static void fibre(void)
{
    for (size_t i = 0; i < 20; i++) {
        allocate(i);
        switch_stack(&fibre_stack, main_stack);
    }
    fibre_done = 1;
    switch_stack(&fibre_stack, main_stack);
}

// `trash` fills the stack, and with it the registers that the fibre starts with.
static void by_hand(char *stack, size_t size, unsigned char trash, size_t above)
{
    memset(stack, trash, size);
    uintptr_t *top = (uintptr_t *)(void *)(stack + size - above);
    *--top = (uintptr_t)first_frame;
    *--top = trash == 0xff ? (uintptr_t)&main_stack : 0x0101010101010101u * trash; // rbp
    *--top = 0x0101010101010101u * trash;                                          // rbx
    *--top = (uintptr_t)fibre;                                                     // r12
    for (int i = 0; i < 3; i++)
        *--top = 0x0101010101010101u * trash;
    fibre_stack = top;
    for (fibre_done = 0; !fibre_done;) {
        switch_stack(&main_stack, fibre_stack);
        allocate(3);
    }
}

static void with_assembly(void)
{
    const unsigned char trash[] = {0, 1, 0x55, 0x7f, 0x80, 0xff};
    char on_this_stack[16384] __attribute__((aligned(16)));
    for (size_t i = 0; i < sizeof(trash); i++) {
        // With nothing readable above the first frame, and with 64 bytes of trash above it.
        for (size_t above = 0; above <= 64; above += 64) {
            char *mapped = mmap(NULL, 16384 + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            CHECK(mapped != MAP_FAILED && !mprotect(mapped + 4096, 16384, PROT_READ | PROT_WRITE));
            by_hand(mapped + 4096, 16384, trash[i], above);
            munmap(mapped, 16384 + 8192);
            char *block = malloc(16384);
            by_hand(block, 16384, trash[i], above);
            free(block);
            by_hand(on_this_stack, sizeof(on_this_stack), trash[i], above);
        }
    }
}
#endif

int main(void)
{
    with_ucontext();
#ifdef __x86_64__
    with_assembly();
#endif
    puts("ok");
    return 0;
}
