// Whole walks: equal to libunwind's frame by frame, and without a fault where there is no stack to speak of.
#include "unwind/memory.h"
#include "unwind/objects.h"
#include "unwind/unwind.h"

#include "sanitized.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define UNW_LOCAL_ONLY
#include <libunwind.h>

#ifdef UNDER_SANITIZER
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
#define NOINLINE     __attribute__((noinline))
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

static __thread struct ht_unwind_scratch scratch;
static __thread struct ht_unwind_window window;
static __thread struct ht_unwind_result result;

// ---- what the recorder would see

static struct {
    char path[256];
    uint64_t start, limit, file_offset;
    bool is_program;
} seen[512];
static unsigned seen_count;
static int64_t delta_for_libraries;

static bool reporter(const struct ht_module_desc *desc, int64_t *ret_delta)
{
    unsigned i = __atomic_fetch_add(&seen_count, 1, __ATOMIC_RELAXED) % 512;
    strncpy(seen[i].path, desc->path, sizeof seen[i].path - 1);
    seen[i].start = desc->start;
    seen[i].limit = desc->limit;
    seen[i].file_offset = desc->file_offset;
    seen[i].is_program = desc->is_program;
    *ret_delta = strstr(desc->path, "heaptap-unwind") != NULL ? delta_for_libraries : 0;
    return true;
}

static void prepare(void)
{
    static bool done;
    if (!done) {
        done = true;
        ht_objects_init(dlsym(RTLD_DEFAULT, "_dl_find_object"), reporter);
    }
}

// ---- equality with libunwind

static unsigned long compared_walks, compared_frames;

static void report_difference(const uintptr_t *expected, unsigned expected_count)
{
    unsigned count = result.frame_count > expected_count ? result.frame_count : expected_count;
    for (unsigned i = 0; i < count; i++) {
        Dl_info info = {0};
        uintptr_t ours = i < result.frame_count ? scratch.pcs[i] : 0;
        uintptr_t theirs = i < expected_count ? expected[i] : 0;
        dladdr((void *)(theirs != 0 ? theirs : ours), &info);
        print_message("%2u %12lx %12lx %s %s\n", i, ours, theirs, info.dli_sname ? info.dli_sname : "?",
                      ours == theirs ? "" : "<<<");
    }
}

// Walks with libunwind from the caller's context; what we ought to deliver: return addresses minus one, but
// for frames that a signal interrupted (libunwind calls these signal frames) and the trampoline that is their
// callee.
static unsigned reference_walk(unw_context_t *context, uintptr_t *ret_pcs)
{
    unw_cursor_t cursor;
    unsigned count = 0;
    assert_int_equal(unw_init_local(&cursor, context), 0);
    do {
        unw_word_t ip;
        unw_get_reg(&cursor, UNW_REG_IP, &ip);
        if (ip == 0) {
            break;
        }
        bool is_signal = unw_is_signal_frame(&cursor) > 0;
        ret_pcs[count++] = is_signal ? ip : ip - 1;
        if (is_signal && count > 1) {
            ret_pcs[count - 2]++;
        }
        unw_proc_info_t info;
        if (!is_signal && unw_get_proc_info(&cursor, &info) == 0 && info.start_ip == ip) {
            ret_pcs[count - 1]++; // a return address made by hand
        }
    } while (count < HT_MAX_FRAMES && unw_step(&cursor) > 0);
    return count;
}

static bool difference_found;

// Both walks from here. Frame 0 is this function, at two different places.
static NOINLINE void compare_here(void)
{
    static __thread uintptr_t expected[HT_MAX_FRAMES];
    struct ht_unwind_start start;
    unw_context_t context;
    ht_unwind_capture(&start);
    ht_unwind(&scratch, &window, &start, &result);
    unw_getcontext(&context);
    unsigned count = reference_walk(&context, expected);
    compared_walks++;
    compared_frames += count;
    if (count != result.frame_count || result.failed ||
        memcmp(scratch.pcs + 1, expected + 1, (count - 1) * sizeof expected[0]) != 0) {
        if (!difference_found) {
            print_message("failed %d, truncated %d\n", result.failed, result.truncated);
            report_difference(expected, count);
        }
        difference_found = true;
    }
}

static void assert_same(void)
{
    bool differs = difference_found || compared_walks == 0;
    difference_found = false;
    compared_walks = compared_frames = 0;
    assert_false(differs);
}

// ---- plain frames

static bool stepping; // what is traced must not trace itself

static NOINLINE int recursion(int depth)
{
    if (depth == 0) {
        if (!stepping) {
            compare_here();
        }
        return 1;
    }
    int below = recursion(depth - 1);
    KEEP_FRAME();
    return below + depth;
}

static void plain_recursion(void **state)
{
    (void)state;
    prepare();
    for (int depth = 0; depth < 60; depth++) {
        recursion(depth);
    }
    assert_same();
}

static NOINLINE int variable_frame(size_t size, int depth)
{
    volatile char bytes[size];
    char *more = __builtin_alloca(size / 2 + 1);
    more[0] = bytes[0] = (char)depth;
    int below = depth == 0 ? recursion(3) : variable_frame(size + 100, depth - 1);
    KEEP_FRAME();
    return below + bytes[0] + more[0];
}

// The stack is aligned anew: the CFA is an expression.
static NOINLINE int aligned_frame(int depth)
{
    volatile char bytes[64] __attribute__((aligned(64)));
    bytes[0] = (char)depth;
    int below = depth == 0 ? recursion(2) : aligned_frame(depth - 1);
    KEEP_FRAME();
    return below + bytes[0];
}

static NOINLINE int huge_frame(void)
{
    volatile char bytes[3u << 20];
    bytes[0] = 1;
    int below = recursion(2);
    KEEP_FRAME();
    return below + bytes[0];
}

static void frames_of_all_shapes(void **state)
{
    (void)state;
    prepare();
    variable_frame(10, 5);
    variable_frame(9000, 3);
    aligned_frame(4);
    huge_frame();
    recursion(1);
    assert_same();
}

static int compare_ints(const void *a, const void *b)
{
    compare_here();
    return *(const int *)a - *(const int *)b;
}

static void through_libc(void **state)
{
    (void)state;
    prepare();
    int values[100];
    for (int i = 0; i < 100; i++) {
        values[i] = (i * 37) % 100;
    }
    qsort(values, 100, sizeof values[0], compare_ints);
    static int big[50000]; // too many for the stack: qsort allocates
    qsort(big, 30, sizeof big[0], compare_ints);
    assert_same();
}

static void *thread_main(void *arg)
{
    (void)arg;
    recursion(5);
    return NULL;
}

static void threads_begin(void **state)
{
    (void)state;
    prepare();
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, thread_main, NULL), 0);
        pthread_join(thread, NULL);
    }
    assert_false(result.failed);
    assert_same();
}

static NOINLINE unsigned deep(unsigned depth)
{
    if (depth == 0) {
        compare_here();
        return 0;
    }
    unsigned below = deep(depth - 1);
    KEEP_FRAME();
    return below + 1;
}

static void too_deep(void **state)
{
    (void)state;
    prepare();
    deep(100);
    assert_false(result.truncated);
    deep(1000);
    assert_true(result.truncated);
    assert_false(result.failed);
    assert_int_equal(result.frame_count, HT_MAX_FRAMES);
    deep(SANITIZED ? 5000 : 100000); // some MiB of stack
    assert_same();
}

// ---- signals, other stacks

static void on_signal(int number)
{
    (void)number;
    recursion(2);
}

static NOINLINE int raise_below(int depth)
{
    if (depth == 0) {
        raise(SIGUSR1);
        return 0;
    }
    int below = raise_below(depth - 1);
    KEEP_FRAME();
    return below + 1;
}

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    assert_int_equal(sigaction(number, &action, NULL), 0);
}

static void signal_handlers(void **state)
{
    (void)state;
    prepare();
    handle(SIGUSR1, on_signal, 0);
    raise_below(3);
    assert_false(result.failed);
    static char other_stack[256 * 1024];
    stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack}, old;
    assert_int_equal(sigaltstack(&stack, &old), 0);
    handle(SIGUSR1, on_signal, SA_ONSTACK);
    raise_below(3);
    raise_below(5);
    assert_int_equal(sigaltstack(&old, NULL), 0);
    handle(SIGUSR1, SIG_DFL, 0);
    assert_same();
}

static ucontext_t context_main, context_other;

static void coroutine(int depth)
{
    recursion(depth);
    swapcontext(&context_other, &context_main);
    recursion(depth + 1);
}

static void coroutines(void **state)
{
    (void)state;
    prepare();
    size_t size = 128 * 1024;
    for (int round = 0; round < 3; round++) {
        char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(stack, MAP_FAILED);
        assert_int_equal(getcontext(&context_other), 0);
        context_other.uc_stack.ss_sp = stack;
        context_other.uc_stack.ss_size = size;
        context_other.uc_link = &context_main;
        makecontext(&context_other, (void (*)(void))coroutine, 1, round + 1);
        assert_int_equal(swapcontext(&context_main, &context_other), 0);
        recursion(2);
        assert_int_equal(swapcontext(&context_main, &context_other), 0);
        munmap(stack, size);
    }
    assert_same();
}

// ---- every instruction: a trap after each one compares the walk from there

static volatile unsigned steps;

static void stepped(int (*function)(void));

static void on_trap(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    uintptr_t pc = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (pc - (uintptr_t)stepped > 256) { // whose pushes no table knows of
        steps++;
        compare_here();
    }
}

static NOINLINE void stepped(int (*function)(void))
{
    stepping = true;
    __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
    function();
    __asm__ volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
    stepping = false;
}

static int some_calls(void)
{
    char text[64];
    int values[5] = {3, 1, 2, 5, 4};
    snprintf(text, sizeof text, "%d %s %.2f", 42, "words", 1.5);
    values[4] = (int)strtol(text, NULL, 10);
    return aligned_frame(1) + variable_frame(20, 1) + values[4] + (int)getppid();
}

static void (*stepped_library)(void (*probe)(void));
static int (*stepped_lazily)(void (*probe)(void));

static void no_probe(void)
{
}

static int library_calls(void)
{
    if (stepped_library != NULL) {
        stepped_library(no_probe);
        stepped_lazily(no_probe);
    }
    return 0;
}

// ---- libraries that come and go

static char directory[] = "/tmp/heaptap-unwind-XXXXXX";
static bool have_directory;

// False: there is no such compiler.
static bool build(const char *compiler, const char *source, const char *flags, const char *name,
                  char *ret_path, size_t size)
{
    char command[2048];
    if (!have_directory) {
        assert_non_null(mkdtemp(directory));
        have_directory = true;
    }
    snprintf(ret_path, size, "%s/%s", directory, name);
    snprintf(command, sizeof command, "%s -shared -fPIC -O2 %s -o %s '%s/tests/unit/%s'", compiler, flags,
             ret_path, HT_TEST_SOURCE_DIR, source);
    int status = system(command);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) // no such compiler here
        return false;
    assert_int_equal(status, 0);
    return true;
}

static void *open_library(const char *path)
{
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    assert_non_null(library);
    return library;
}

// `ret_function`: a pointer to a function.
static void symbol(void *library, const char *name, void *ret_function)
{
    void *address = dlsym(library, name);
    assert_non_null(address);
    memcpy(ret_function, &address, sizeof address);
}

static void every_instruction(void **state)
{
    (void)state;
#ifdef UNDER_TSAN
    skip(); // the handler would run, instrumented, inside TSan's own functions
#endif
    prepare();
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    compare_here(); // so that nothing of libunwind's first use is traced
    stepped(some_calls);
    char path[512];
    if (build("cc", "unwind_library.c", "-Wl,-z,lazy -DFRAME_WORDS=7", "lazy.so", path, sizeof path)) {
        void *library = open_library(path);
        symbol(library, "run", &stepped_library);
        symbol(library, "run_lazily", &stepped_lazily);
        stepped(library_calls);
        dlclose(library);
    }
    handle(SIGTRAP, SIG_DFL, 0);
    print_message("%u instructions, %lu frames\n", steps, compared_frames);
    assert_true(steps > 1000);
    assert_same();
}

static void lazy_binding(void **state)
{
    (void)state;
    prepare();
    char path[512];
    if (!build("cc", "unwind_library.c", "-Wl,-z,lazy -DFRAME_WORDS=5", "ifunc.so", path, sizeof path)) {
        skip();
    }
    void *library = open_library(path);
    int (*run_lazily)(void (*)(void));
    symbol(library, "run_lazily", &run_lazily);
    assert_int_equal(run_lazily(compare_here), 6); // the loader calls the resolver, and that the probe
    dlclose(library);
    assert_same();
}

static void cpp_frames(void **state)
{
    (void)state;
    prepare();
    char path[512];
    if (!build("c++", "unwind_cpp.cpp", "", "cpp.so", path, sizeof path)) {
        skip();
    }
    void *library = open_library(path);
    void (*run)(void (*)(void));
    symbol(library, "run", &run);
    run(compare_here);
    dlclose(library);
    assert_same();
}

static void check_replacement(void)
{
    // Frames of different sizes in code of the same length, so that addresses are the same.
    char first[512], second[512];
    if (!build("cc", "unwind_library.c", "-Wl,--build-id -falign-functions=256 -DFRAME_WORDS=40", "first.so",
               first, sizeof first) ||
        !build("cc", "unwind_library.c", "-Wl,--build-id -falign-functions=256 -DFRAME_WORDS=80", "second.so",
               second, sizeof second)) {
        skip();
    }
    unsigned same_place = 0;
    uintptr_t places[2] = {0, 0};
    for (int round = 0; round < 20; round++) {
        void *library = open_library(round % 2 == 0 ? first : second);
        void (*run)(void (*)(void));
        symbol(library, "run", &run);
        same_place += (uintptr_t)run == places[(round + 1) % 2];
        places[round % 2] = (uintptr_t)run;
        unw_flush_cache(unw_local_addr_space, 0, 0); // its cache does not see the change
        run(compare_here);
        dlclose(library);
        compare_here();
    }
    assert_true(same_place > 10);
    assert_same();
}

static void library_replaced(void **state)
{
    (void)state;
    prepare();
    unsigned before = seen_count;
    check_replacement();
    // Each of the two was reported once: loaded again, it is the same.
    unsigned reports = 0;
    for (unsigned i = before; i < seen_count; i++) {
        reports += strstr(seen[i].path, "first.so") != NULL || strstr(seen[i].path, "second.so") != NULL;
    }
    assert_int_equal(reports, 2);
}

static NOINLINE void walk_here(void)
{
    struct ht_unwind_start start;
    ht_unwind_capture(&start);
    ht_unwind(&scratch, &window, &start, &result);
}

static void reports_and_deltas(void **state)
{
    (void)state;
    prepare();
    char path[512];
    if (!build("cc", "unwind_library.c", "-DFRAME_WORDS=9", "delta.so", path, sizeof path)) {
        skip();
    }
    void *library = open_library(path);
    void (*run)(void (*)(void));
    symbol(library, "run", &run);
    delta_for_libraries = 0x7000000000;
    run(walk_here);
    unsigned index = seen_count - 1;
    assert_string_equal(seen[index].path, path);
    assert_true((uintptr_t)run - seen[index].start < seen[index].limit - seen[index].start);
    unsigned shifted = 0;
    for (unsigned i = 0; i < result.frame_count; i++) {
        uint64_t original = scratch.pcs[i] - (uint64_t)delta_for_libraries;
        shifted += original >= seen[index].start && original < seen[index].limit;
    }
    assert_int_equal(shifted, 4); // run has become a jump
    assert_false(result.failed);
    // A forked child reports everything again.
    unsigned before = seen_count;
    ht_objects_forget_modules();
    delta_for_libraries = 0;
    run(walk_here);
    assert_true(seen_count - before >= 3);
    bool has_program = false;
    char program[512] = "";
    assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    for (unsigned i = before; i < seen_count; i++) {
        if (seen[i].is_program) {
            has_program = true;
            assert_string_equal(seen[i].path, program);
            assert_true((uintptr_t)walk_here - seen[i].start < seen[i].limit - seen[i].start);
        }
    }
    assert_true(has_program);
    dlclose(library);
}

static NOINLINE uintptr_t zigzag(unsigned path, unsigned depth, void (*leaf)(void));

static NOINLINE uintptr_t zig(unsigned path, unsigned depth, void (*leaf)(void))
{
    uintptr_t below = zigzag(path, depth, leaf);
    KEEP_FRAME();
    return below + 1;
}

static NOINLINE uintptr_t zag(unsigned path, unsigned depth, void (*leaf)(void))
{
    volatile uintptr_t words[9] = {path};
    uintptr_t below = zigzag(path, depth, leaf);
    KEEP_FRAME();
    return below + words[0];
}

static NOINLINE uintptr_t zigzag(unsigned path, unsigned depth, void (*leaf)(void))
{
    if (depth == 0) {
        leaf();
        return 0;
    }
    uintptr_t below = path & 1 ? zig(path >> 1, depth - 1, leaf) : zag(path >> 1, depth - 1, leaf);
    KEEP_FRAME();
    return below;
}

// ---- in a child: things that can be done once in a process

static void in_child(void (*function)(void **state))
{
    const struct CMUnitTest test = {"in a child", function, NULL, NULL, NULL};
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(_cmocka_run_group_tests("child", &test, 1, NULL, NULL));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0) {
        print_message("child: status %x\n", (unsigned)status);
    }
    assert_int_equal(status, 0);
}

static void child_without_init(void **state)
{
    (void)state;
    ht_objects_set_reporter(reporter);
    recursion(3);
    assert_true(seen_count >= 2);
    assert_same();
}

static void before_the_constructor(void **state)
{
    (void)state;
    in_child(child_without_init);
}

static void child_without_find_object(void **state)
{
    (void)state;
    ht_objects_init(NULL, reporter);
    recursion(3);
    check_replacement();
}

static void without_find_object(void **state)
{
    (void)state;
    in_child(child_without_find_object);
}

static NOINLINE void walk_without_system_calls(void)
{
    walk_here();
    // From here on anything but read, write, exit and sigreturn is death.
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    for (int i = 0; i < 100; i++) {
        walk_here();
    }
    ht_raw1(SYS_exit, result.failed || result.frame_count < 20);
}

static void child_under_seccomp(void **state)
{
    (void)state;
    prepare();
    zigzag(0x55, 20, walk_without_system_calls);
}

static void no_system_calls_when_warm(void **state)
{
    (void)state;
    if (SANITIZED) {
        skip();
    }
    in_child(child_under_seccomp);
}

// ---- code without tables

// Calls its argument; with a frame: push rbp; mov rbp, rsp; call rdi; pop rbp; ret.
static const uint8_t code_with_frame[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
// sub rsp, 24; call rdi; add rsp, 24; ret
static const uint8_t code_without_frame[] = {0x48, 0x83, 0xec, 0x18, 0xff, 0xd7,
                                             0x48, 0x83, 0xc4, 0x18, 0xc3};
// push rbp; mov rbp, rsi; sub rsp, 16; call rdi; add rsp, 16; pop rbp; ret: rbp is what the caller says
static const uint8_t code_with_wild_fp[] = {0x55, 0x48, 0x89, 0xf5, 0x48, 0x83, 0xec, 0x10,
                                            0xff, 0xd7, 0x48, 0x83, 0xc4, 0x10, 0x5d, 0xc3};

static void *jit(const uint8_t *code, size_t size)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    memcpy((char *)page + 128, code, size);
    return (char *)page + 128;
}

static bool frames_include(uintptr_t low, uintptr_t high, unsigned *ret_index)
{
    for (unsigned i = 0; i < result.frame_count; i++) {
        if (scratch.pcs[i] >= low && scratch.pcs[i] < high) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static void jit_with_frames(void **state)
{
    (void)state;
    prepare();
    void *code = jit(code_with_frame, sizeof code_with_frame);
    void (*call)(void (*)(void), uintptr_t);
    memcpy(&call, &code, sizeof call);
    walk_here();
    unsigned outside = result.frame_count;
    call(walk_here, 0);
    unsigned index;
    assert_true(frames_include((uintptr_t)code, (uintptr_t)code + 16, &index));
    assert_int_equal(index, 1);
    assert_int_equal(scratch.pcs[1], (uintptr_t)code + 5); // inside the call
    assert_int_equal(result.frame_count, outside + 1);
    assert_false(result.failed);
    munmap((char *)code - 128, 4096);
}

// An interpreter that pushes where it goes on and jumps: push rbp; mov rbp, rsp; sub rsp, 16;
// mov [rbp - 16], rsp; lea rax, [resume]; push rax; jmp inner; nops; resume: mov rsp, [rbp - 16];
// mov qword [rbp - 16], 0; leave; ret; inner: as code_with_frame.
static const uint8_t code_of_interpreter[] = {
    0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0x48, 0x89, 0x65, 0xf0, 0x48, 0x8d, 0x05, 0x07,
    0,    0,    0,    0x50, 0xeb, 0x12, 0x90, 0x90, 0x90, 0x90, 0x48, 0x8b, 0x65, 0xf0, 0x48, 0xc7,
    0x45, 0xf0, 0,    0,    0,    0,    0xc9, 0xc3, 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};

static void jit_that_jumps(void **state)
{
    (void)state;
    prepare();
    uint8_t changed[sizeof code_of_interpreter];
    for (int broken = 0; broken < 2; broken++) {
        memcpy(changed, code_of_interpreter, sizeof changed);
        if (broken)
            memcpy(changed + 26, "\x48\x89\xec\x90\x90\x90\x90\x90\x90\x90\x90\x90\x5d",
                   13); // mov rsp, rbp; pop rbp
        void *code = jit(changed, sizeof changed);
        void (*call)(void (*)(void), uintptr_t);
        memcpy(&call, &code, sizeof call);
        walk_here();
        unsigned outside = result.frame_count, index;
        call(walk_here, 0);
        assert_true(frames_include((uintptr_t)code + 40, (uintptr_t)code + 48, &index));
        assert_int_equal(result.failed, broken);
        if (!broken) {
            assert_int_equal(scratch.pcs[2], (uintptr_t)code + 25); // before where it goes on
            assert_int_equal(result.frame_count, outside + 2);
        }
        munmap((char *)code - 128, 4096);
    }
}

static void jit_without_frames(void **state)
{
    (void)state;
    prepare();
    void *code = jit(code_without_frame, sizeof code_without_frame);
    void (*call)(void (*)(void), uintptr_t);
    memcpy(&call, &code, sizeof call);
    call(walk_here, 0); // rbp is whatever our callers have in it
    unsigned index;
    assert_true(frames_include((uintptr_t)code, (uintptr_t)code + 16, &index));
    munmap((char *)code - 128, 4096);
    code = jit(code_with_wild_fp, sizeof code_with_wild_fp);
    memcpy(&call, &code, sizeof call);
    uintptr_t on_stack[4] = {0, 1, 2, 3};
    static const uintptr_t values[] = {1,
                                       8,
                                       0x1000,
                                       0xdeadbeefdeadbee8,
                                       (uintptr_t)1 << 47,
                                       UINTPTR_MAX,
                                       UINTPTR_MAX - 7,
                                       0x7ffffffff000,
                                       0x8000000000000000};
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
        call(walk_here, values[i]);
        assert_true(result.failed);
        assert_int_equal(result.frame_count, 2);
    }
    call(walk_here, (uintptr_t)on_stack); // a plausible place, no return address there
    assert_true(result.failed);
    assert_int_equal(result.frame_count, 2);
    call(walk_here, 0);
    assert_false(result.failed); // zero marks the outermost frame
    munmap((char *)code - 128, 4096);
}

// ---- the other modes

static NOINLINE int with_frame_pointer(int depth)
{
    volatile uintptr_t frame = (uintptr_t)__builtin_frame_address(0); // makes one
    if (depth == 0) {
        walk_here();
        return 0;
    }
    int below = with_frame_pointer(depth - 1);
    KEEP_FRAME();
    return below + (frame != 0);
}

static NOINLINE void walk_in_mode(enum ht_unwind_mode mode)
{
    ht_unwind_start(mode);
    assert_true(ht_unwind_load());
    with_frame_pointer(10);
    ht_unwind_start(HT_UNWIND_AUTO);
}

static void other_modes(void **state)
{
    (void)state;
    prepare();
    static struct ht_unwind_scratch by_tables;
    static const enum ht_unwind_mode modes[] = {HT_UNWIND_CFI, HT_UNWIND_LIBUNWIND, HT_UNWIND_FP};
    unsigned count = 0, index = 0;
    for (volatile unsigned i = 0; i < 3; i++) { // not unrolled: all walks come from one place
        walk_in_mode(modes[i]);
        if (modes[i] == HT_UNWIND_CFI) {
            assert_false(result.failed);
            count = result.frame_count;
            by_tables = scratch;
        } else if (modes[i] == HT_UNWIND_LIBUNWIND) {
            assert_false(result.failed);
            assert_true(result.frame_count >= count);
            index = result.frame_count - (count - 1);
            assert_memory_equal(scratch.pcs + index, by_tables.pcs + 1, (count - 1) * sizeof(uintptr_t));
        } else if (!SANITIZED) {
            // Frame 0 may have no frame pointer; then its caller is left out.
            if (memcmp(scratch.pcs + 1, by_tables.pcs + 2, 9 * sizeof(uintptr_t)) != 0)
                assert_memory_equal(scratch.pcs + 2, by_tables.pcs + 2, 9 * sizeof(uintptr_t));
        }
    }
    void *code = jit(code_with_frame, sizeof code_with_frame);
    void (*call)(void (*)(void), uintptr_t);
    memcpy(&call, &code, sizeof call);
    ht_unwind_start(HT_UNWIND_CFI);
    call(walk_here, 0);
    ht_unwind_start(HT_UNWIND_AUTO);
    assert_true(result.failed); // tables alone end here
    assert_int_equal(result.frame_count, 2);
    munmap((char *)code - 128, 4096);
}

// ---- no stack to speak of

static void start_at(void *function, uintptr_t sp, uintptr_t fp, struct ht_unwind_start *ret_start)
{
    memset(ret_start, 0, sizeof *ret_start);
    ret_start->pc = (uintptr_t)function;
    ret_start->sp = sp;
    ret_start->saved[0] = fp;
}

static void hand_made_stacks(void **state)
{
    (void)state;
    prepare();
    uintptr_t stack[64] __attribute__((aligned(4096)));
    memset(stack, 0, sizeof stack);
    struct ht_unwind_start start;
    start_at((void *)recursion, (uintptr_t)stack, 0,
             &start); // at its first instruction: the return address is at sp
    ht_unwind(&scratch, &window, &start, &result);
    assert_int_equal(result.frame_count, 1);
    assert_false(result.failed);
    stack[0] = (uintptr_t)stack; // returns to data
    ht_unwind(&scratch, &window, &start, &result);
    assert_int_equal(result.frame_count, 1);
    assert_true(result.failed);
    start.pc = 0x1000; // nothing is there
    ht_unwind(&scratch, &window, &start, &result);
    assert_true(result.failed || result.frame_count <= 1);
    window = (struct ht_unwind_window){0, 0};
}

static uint64_t random_state = 7;

static uint64_t next_random(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return random_state ^ random_state >> 29;
}

// A word as a broken stack may hold: a pointer into it or near its ends, an address of code, small or random
// bits.
static uintptr_t random_word(uintptr_t low, uintptr_t high, uintptr_t code, size_t code_bytes)
{
    switch (next_random() % 8) {
    case 0:
    case 1:
        return low + next_random() % (high - low);
    case 2:
        return (low + next_random() % (high - low)) & ~(uintptr_t)7;
    case 3:
    case 4:
    case 5:
        return code + next_random() % code_bytes;
    case 6:
        return next_random() % 64 - 32;
    default:
        return next_random();
    }
}

static void corrupted_stacks(void **state)
{
    (void)state;
    prepare();
    const size_t page = 4096, pages = 4;
    char *area =
        mmap(NULL, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(area, MAP_FAILED);
    assert_int_equal(mprotect(area + page, pages * page, PROT_READ | PROT_WRITE), 0);
    uintptr_t low = (uintptr_t)area + page, high = low + pages * page;
    uintptr_t code = (uintptr_t)&qsort - 0x10000;
    unsigned long frames = 0;
    unsigned rounds = SANITIZED ? 20000 : 100000;
    for (unsigned round = 0; round < rounds; round++) {
        struct ht_unwind_window own = {0, 0};
        if (round % 64 == 0) {
            for (uintptr_t *word = (uintptr_t *)low; word < (uintptr_t *)high; word++) {
                *word = random_word(low, high, code, 0x40000);
            }
        }
        struct ht_unwind_start start;
        uintptr_t sp = (low + next_random() % (high - low)) & ~(uintptr_t)(next_random() % 4 ? 7 : 0);
        start_at((void *)(code + next_random() % 0x40000), sp, random_word(low, high, code, 0x40000), &start);
        for (unsigned i = 1; i < HT_ARCH_SAVED_COUNT; i++) {
            start.saved[i] = random_word(low, high, code, 0x40000);
        }
        ht_unwind(&scratch, &own, &start, &result);
        assert_true(result.frame_count <= HT_MAX_FRAMES);
        frames += result.frame_count;
    }
    print_message("%lu frames in %u broken stacks\n", frames, rounds);
    munmap(area, (pages + 2) * page);
}

// How often memory that is no code would pass for a caller that no object knows.
static void data_is_no_code(void **state)
{
    (void)state;
    unsigned passed = 0, rounds = 100000;
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t words[2] = {next_random(), next_random()};
        passed += ht_arch_is_call((const uint8_t *)words);
    }
    print_message("%u of %u random places look like the end of a call\n", passed, rounds);
    assert_true(passed < rounds / 20);
}

static void readable_or_not(void **state)
{
    (void)state;
    uint64_t before = 0, after = 1; // the kernel's sets
    ht_raw4(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&before, sizeof before);
    char *area = mmap(NULL, 2 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(area, MAP_FAILED);
    assert_int_equal(munmap(area + 4096, 4096), 0);
    errno = 77;
    assert_true(ht_is_readable((uintptr_t)area));
    assert_true(ht_is_readable((uintptr_t)area + 4095));
    assert_false(ht_is_readable((uintptr_t)area + 4096));
    assert_false(ht_is_range_readable((uintptr_t)area + 4090, 16));
    assert_int_equal(mprotect(area, 4096, PROT_NONE), 0);
    assert_false(ht_is_readable((uintptr_t)area));
    assert_false(ht_is_readable(0));
    assert_false(ht_is_readable(UINTPTR_MAX));
    assert_int_equal(errno, 77);
    ht_raw4(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&after, sizeof after);
    assert_int_equal(before, after);
    munmap(area, 4096);
}

// ---- several threads fill one cache

static unsigned bad_walks;

static void *zigzag_main(void *arg)
{
    unsigned path = (unsigned)(uintptr_t)arg;
    zigzag(path, 16, walk_here);
    unsigned count = result.frame_count;
    for (unsigned i = 0; i < 20000; i++) {
        zigzag(path + i * 7919, 16, walk_here);
        if (result.frame_count != count || result.failed) {
            __atomic_fetch_add(&bad_walks, 1, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    prepare();
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, zigzag_main, (void *)(i * 12345)), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(bad_walks, 0);
}

// ---- the host's stack

static uint8_t painted[64 * 1024] __attribute__((aligned(16)));
static struct ht_unwind_start painted_start;
static struct ht_unwind_scratch painted_scratch;

static void painted_main(void)
{
    struct ht_unwind_window own = {0, 0};
    ht_unwind_capture(&painted_start);
    ht_unwind(&painted_scratch, &own, &painted_start, &result);
}

static size_t stack_used(void)
{
    memset(painted, 0xa5, sizeof painted);
    assert_int_equal(getcontext(&context_other), 0);
    context_other.uc_stack.ss_sp = painted;
    context_other.uc_stack.ss_size = sizeof painted;
    context_other.uc_link = &context_main;
    makecontext(&context_other, painted_main, 0);
    assert_int_equal(swapcontext(&context_main, &context_other), 0);
    size_t low = 0;
    while (painted[low] == 0xa5) {
        low++;
    }
    return (size_t)((uint8_t *)painted_start.sp - (painted + low));
}

static void stack_consumption(void **state)
{
    (void)state;
    prepare();
    if (SANITIZED) {
        skip();
    }
    walk_here(); // binds what is bound lazily in a test, and never in the shim
    size_t cold = stack_used(), warm = stack_used();
    assert_false(result.failed);
    print_message("cold %zu bytes of stack, warm %zu\n", cold, warm);
#if defined(__SSP_STRONG__) || defined(__OPTIMIZE_SIZE__) // guards beside arrays; no inlining
    assert_true(cold < 1400 && warm < 1000);
#elif defined(__OPTIMIZE__)
    assert_true(cold < 1100 && warm < 700);
#endif
}

static void clean_up(void)
{
    char command[128];
    if (have_directory) {
        snprintf(command, sizeof command, "rm -rf %s", directory);
        if (system(command) != 0) {
            print_message("%s is left behind\n", directory);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_the_constructor), cmocka_unit_test(readable_or_not),
        cmocka_unit_test(stack_consumption),      cmocka_unit_test(plain_recursion),
        cmocka_unit_test(frames_of_all_shapes),   cmocka_unit_test(through_libc),
        cmocka_unit_test(threads_begin),          cmocka_unit_test(too_deep),
        cmocka_unit_test(signal_handlers),        cmocka_unit_test(coroutines),
        cmocka_unit_test(lazy_binding),           cmocka_unit_test(cpp_frames),
        cmocka_unit_test(library_replaced),       cmocka_unit_test(reports_and_deltas),
        cmocka_unit_test(without_find_object),    cmocka_unit_test(no_system_calls_when_warm),
        cmocka_unit_test(jit_with_frames),        cmocka_unit_test(jit_that_jumps),
        cmocka_unit_test(jit_without_frames),     cmocka_unit_test(hand_made_stacks),
        cmocka_unit_test(corrupted_stacks),       cmocka_unit_test(data_is_no_code),
        cmocka_unit_test(many_threads),           cmocka_unit_test(other_modes),
        cmocka_unit_test(every_instruction),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    clean_up();
    return failures;
}
