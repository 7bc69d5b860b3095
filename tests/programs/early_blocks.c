// Blocks from before everything - IFUNC resolvers, preinit, constructors of every priority and of another
// preload - live to the very end, grow, shrink and are freed after exit handlers.
//@ preload before libearly
//@ cflags -fno-stack-protector
#include "check.h"

#include <dlfcn.h>
#include <malloc.h>

#define BLOCKS 40

static struct {
    unsigned char *block;
    size_t size;
} blocks[BLOCKS];
static unsigned count;

static void make(size_t size)
{
    unsigned char *p;
    switch (count % 5) {
    case 0:
        p = malloc(size);
        break;
    case 1:
        p = calloc(size, 1);
        break;
    case 2:
        p = realloc(malloc(1), size);
        break;
    case 3:
        p = aligned_alloc(64, size);
        break;
    default:
        p = realloc(NULL, size);
        break;
    }
    if (!p || malloc_usable_size(p) < size)
        _Exit(4);
    memset(p, (int)count, size);
    blocks[count].block = p;
    blocks[count++].size = size;
}

static int answer(void)
{
    return 42;
}

// Runs while the loader relocates the program, the last of all objects: the C library and the preloads are
// ready.
__attribute__((used)) static int (*resolve(void))(void)
{
    for (size_t size = 64; size < 70000; size *= 4)
        make(size);
    return answer;
}
int resolved(void) __attribute__((ifunc("resolve")));

static void preinit(void)
{
    for (size_t size = 64; size < 70000; size *= 4)
        make(size);
}
__attribute__((section(".preinit_array"), used)) static void (*const early)(void) = preinit;

__attribute__((constructor(101))) static void first(void)
{
    make(640);
}

__attribute__((constructor(65535))) static void last(void)
{
    make(6400);
}

static void check(unsigned i)
{
    if (!filled(blocks[i].block, blocks[i].size, (unsigned char)i))
        _Exit(5);
}

__attribute__((destructor(101))) static void very_last(void)
{
    for (unsigned i = 0; i < count; i++) {
        check(i);
        void *p = i % 3 ? blocks[i].block : realloc(blocks[i].block, blocks[i].size * 3);
        if (!p || !filled(p, blocks[i].size, (unsigned char)i))
            _Exit(6);
        free(p);
    }
}

int main(void)
{
    void *(*early_block)(size_t *) = (void *(*)(size_t *))dlsym(RTLD_DEFAULT, "early_block");
    size_t size = 0;
    CHECK(resolved() == 42 && count >= 12 && early_block);
    void *p = early_block(&size);
    CHECK(p && filled(p, size, 7));
    CHECK((p = realloc(p, size * 2)) && filled(p, size, 7));
    free(p);
    for (unsigned i = 0; i < count; i++) {
        check(i);
        if (i % 2) {
            blocks[i].block = realloc(blocks[i].block, blocks[i].size / 2);
            blocks[i].size /= 2;
        }
        check(i);
    }
    puts("ok");
    return 0;
}
