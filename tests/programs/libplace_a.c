// Loaded and unloaded in turns with libplace_b, which is the same code with larger frames: at the same
// address the same return address has other unwind rules.
#include <stddef.h>

#ifndef PLACE_FRAME
#define PLACE_FRAME "24"
#endif

void *place_make(size_t size);
void *place_deep(size_t size, int levels);

#ifdef __x86_64__
__asm__(".text\n"
        ".globl place_make\n"
        ".type place_make, @function\n"
        "place_make:\n"
        ".cfi_startproc\n"
        "subq $" PLACE_FRAME ", %rsp\n"
        ".cfi_adjust_cfa_offset " PLACE_FRAME "\n"
        "call malloc@plt\n"
        "addq $" PLACE_FRAME ", %rsp\n"
        ".cfi_adjust_cfa_offset -" PLACE_FRAME "\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size place_make, . - place_make\n");
#else
#include <stdlib.h>
void *place_make(size_t size)
{
    volatile char frame[sizeof(PLACE_FRAME) * 16];
    frame[0] = 0;
    void *p = malloc(size);
    frame[1] = 0;
    return p;
}
#endif

void *place_deep(size_t size, int levels)
{
    void *p = levels ? place_deep(size, levels - 1) : place_make(size);
    __asm__ volatile("" : "+r"(p));
    return p;
}
