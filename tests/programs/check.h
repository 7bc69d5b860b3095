// What the hazard programs share: a check that ends the program with the place that failed.
#ifndef HT_TESTS_CHECK_H
#define HT_TESTS_CHECK_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE_NAME__, __LINE__, #condition, errno);           \
            _Exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif

// The compiler must believe that the block is used.
#define KEEP(p) __asm__ volatile("" : "+r"(p) : : "memory")

// Fills and checks a block, so that a block handed out twice is found.
static inline void fill(void *p, size_t size, unsigned char byte)
{
    memset(p, byte, size);
}

static inline int filled(const void *p, size_t size, unsigned char byte)
{
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)p)[i] != byte)
            return 0;
    return 1;
}

#endif
