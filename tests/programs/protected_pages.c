// A host that protects pages and counts the faults, as garbage collectors do: the recorder's reads never
// raise one, not even with frame pointers into such pages or on stacks whose upper part is protected.
#include "self.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE 4096u

static char *pages;
static volatile int faults;
static void *(*volatile allocate)(size_t) = malloc;
static ucontext_t main_context, coroutine;
static char *stack;

static void on_fault(int number, siginfo_t *info, void *context)
{
    char *at = info->si_addr;
    (void)number;
    (void)context;
    faults++;
    // Anything else would be a real crash.
    if (at < pages || at >= pages + 64 * PAGE ||
        mprotect(pages + (size_t)(at - pages) / PAGE * PAGE, PAGE, PROT_READ | PROT_WRITE))
        _exit(9);
}

static void protect(char *start, size_t size)
{
    CHECK(!mprotect(start, size, PROT_NONE));
}

// The write barrier of a collector: each first write of a round is a fault, nothing else is.
static void barriers(void)
{
    for (int round = 0; round < 20; round++) {
        protect(pages, 64 * PAGE);
        faults = 0;
        for (size_t i = 0; i < 64; i++) {
            pages[i * PAGE + i] = 1;
            void *p = allocate(i * 1000);
            CHECK(p);
            free(p);
        }
        CHECK(faults == 64);
    }
}

#ifdef __x86_64__
// push rbp; mov rbp, rdx; call rsi; pop rbp; ret: no unwind tables, and a frame pointer of the caller's
// choice.
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xd5, 0xff, 0xd6, 0x5d, 0xc3};

static void wild_pointers(void)
{
    unsigned char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    memcpy(page, code, sizeof(code));
    CHECK(!mprotect(page, PAGE, PROT_READ | PROT_EXEC));
    void *(*call)(size_t, void *(*)(size_t), const void *);
    memcpy(&call, &page, sizeof(call));
    protect(pages, 64 * PAGE);
    faults = 0;
    for (size_t i = 0; i < 64; i++) {
        void *p = call(i * 100 + 1, allocate, pages + i * PAGE + i * 8);
        CHECK(p);
        free(p);
    }
    void *p = call(8 << 20, allocate, pages + PAGE);
    CHECK(p && faults == 0);
    free(p);
    munmap(page, PAGE);
}
#else
static void wild_pointers(void)
{
}
#endif

// Runs one page below the page that holds its caller's frames, which is protected meanwhile.
__attribute__((noinline)) static void down(int levels)
{
    volatile char frame[700];
    frame[0] = (char)levels;
    __asm__ volatile("" : : "r"(frame) : "memory"); // all of it is needed
    if (levels)
        down(levels - 1);
    else
        for (int round = 0; round < 3; round++) {
            CHECK(!mprotect(stack + 15 * PAGE, PAGE, round == 1 ? PROT_NONE : PROT_READ | PROT_WRITE));
            for (size_t i = 0; i < 50; i++) {
                void *p = allocate(i * 10);
                CHECK(p);
                free(p);
            }
            free(allocate(8 << 20));
        }
    CHECK(frame[0] == (char)levels);
}

static void in_coroutine(void)
{
    down(10);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    pages = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && stack != MAP_FAILED && !sigaction(SIGSEGV, &action, NULL));
    barriers();
    wild_pointers();
    faults = 0;
    getcontext(&coroutine);
    coroutine.uc_stack.ss_sp = stack;
    coroutine.uc_stack.ss_size = 16 * PAGE;
    coroutine.uc_link = &main_context;
    makecontext(&coroutine, in_coroutine, 0);
    swapcontext(&main_context, &coroutine);
    CHECK(faults == 0);
    puts("ok");
    return 0;
}
