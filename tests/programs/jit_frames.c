// Generated code calls malloc with and without frame pointers, is overwritten, remapped, moved and unmapped.
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __x86_64__
#define PAGE 4096u

typedef void *code_fn(void *(*)(size_t), size_t);

// Calls its first argument with its second: with a frame pointer; without one, 8 and 0x88 bytes deep; with
// rbp as a register like any other; and as the target of a chain of itself.
static const unsigned char framed[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8,
                                       0x48, 0x89, 0xf7, 0xff, 0xd0, 0x5d, 0xc3};
static const unsigned char frameless[] = {0x48, 0x83, 0xec, 0x08, 0x48, 0x89, 0xf8, 0x48, 0x89,
                                          0xf7, 0xff, 0xd0, 0x48, 0x83, 0xc4, 0x08, 0xc3};
static const unsigned char large[] = {0x48, 0x81, 0xec, 0x88, 0x00, 0x00, 0x00, 0x48, 0x89, 0xf8, 0x48, 0x89,
                                      0xf7, 0xff, 0xd0, 0x48, 0x81, 0xc4, 0x88, 0x00, 0x00, 0x00, 0xc3};
static const unsigned char odd_rbp[] = {0x55, 0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7,
                                        0x48, 0x89, 0xc5, 0xff, 0xd5, 0x5d, 0xc3};

static const struct {
    const unsigned char *bytes;
    size_t size;
} codes[] = {{framed, sizeof(framed)},
             {frameless, sizeof(frameless)},
             {large, sizeof(large)},
             {odd_rbp, sizeof(odd_rbp)}};
#define CODES (sizeof(codes) / sizeof(*codes))

static code_fn *as_code(unsigned char *page)
{
    code_fn *code;
    memcpy(&code, &page, sizeof(code));
    return code;
}

static void run(unsigned char *at)
{
    for (size_t i = 1; i < 15; i++) {
        char *p = as_code(at)(malloc, i * 30);
        CHECK(p);
        *p = 1;
        free(p);
    }
}

static unsigned char *map(int protection)
{
    unsigned char *page = mmap(NULL, 2 * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    return page;
}

// The same address holds one code after another: what was known of it is wrong.
static void overwritten(void)
{
    unsigned char *page = map(PROT_READ | PROT_WRITE | PROT_EXEC);
    for (size_t i = 0; i < 10 * CODES; i++) {
        memset(page, 0xcc, PAGE);
        memcpy(page, codes[i % CODES].bytes, codes[i % CODES].size);
        run(page);
    }
    munmap(page, 2 * PAGE);
}

// Never writable and executable at once; unreadable code where the processor knows it; up to the last byte of
// a page.
static void protected(void)
{
    for (size_t i = 0; i < CODES; i++) {
        unsigned char *page = map(PROT_READ | PROT_WRITE);
        unsigned char *at = page + PAGE - codes[i].size;
        memcpy(at, codes[i].bytes, codes[i].size);
        CHECK(!mprotect(page, PAGE, PROT_READ | PROT_EXEC) && !mprotect(page + PAGE, PAGE, PROT_NONE));
        run(at);
        CHECK(!mprotect(page, PAGE, PROT_EXEC));
        run(at);
        CHECK(!mprotect(page, PAGE, PROT_READ | PROT_WRITE));
        memset(page, 0xcc, PAGE);
        munmap(page, 2 * PAGE);
    }
}

// Written through one mapping, run through another, then moved elsewhere.
static void two_views(void)
{
    int memory = memfd_create("code", MFD_CLOEXEC);
    CHECK(memory >= 0);
    CHECK(write(memory, framed, sizeof(framed)) == (ssize_t)sizeof(framed));
    unsigned char *code = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, memory, 0);
    CHECK(code != MAP_FAILED);
    run(code);
    CHECK(pwrite(memory, large, sizeof(large), 0) == (ssize_t)sizeof(large));
    run(code);
    unsigned char *moved = mremap(code, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, map(PROT_NONE));
    CHECK(moved != MAP_FAILED);
    run(moved);
    munmap(moved, PAGE);
    close(memory);
}

// Code goes away while blocks that it allocated live, and other data takes its place.
static void unmapped(void)
{
    void *blocks[40];
    for (size_t i = 0; i < 40; i++) {
        unsigned char *page = map(PROT_READ | PROT_WRITE | PROT_EXEC);
        memcpy(page, codes[i % CODES].bytes, codes[i % CODES].size);
        CHECK((blocks[i] = as_code(page)(malloc, 100 + i)));
        // In one step: another thread could be given the place in between.
        CHECK(mmap(page, 2 * PAGE, i % 2 ? PROT_NONE : PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                   0) == page);
        munmap(page, 2 * PAGE);
    }
    for (size_t i = 0; i < 40; i++)
        free(blocks[i]);
}

static void *all(void *unused)
{
    overwritten();
    protected();
    two_views();
    unmapped();
    return unused;
}

int main(void)
{
    pthread_t thread;
    all(NULL);
    CHECK(!pthread_create(&thread, NULL, all, NULL));
    all(NULL);
    pthread_join(thread, NULL);
    puts("ok");
    return 0;
}
#else
int main(void)
{
    puts("the code is x86-64's");
    return 77;
}
#endif
