// A program that uses include/heaptap/heaptap.h: prints what each call returned.
#include "heaptap/heaptap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((noinline)) static void *before_the_stop(void)
{
    void *p = malloc(1000);
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

__attribute__((noinline)) static void *while_stopped(void)
{
    void *p = malloc(2000);
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

int main(void)
{
    errno = 77;
    void *first = before_the_stop();
    printf("%d", heaptap_is_loaded());
    printf(" %d", heaptap_stop_recording());
    void *second = while_stopped();
    printf(" %d", heaptap_start_recording());
    printf(" %d", heaptap_take_snapshot());
    printf(" %d\n", heaptap_take_snapshot());
    free(first);
    free(second);
    return errno == 77 ? 0 : 1;
}
