// Any program with any files beside it as the reader's process would read them: separate debug info, its
// alternate, a .dwo file and a package (.dwp), each asked for at several places. Names or nothing, within
// bounded memory, and files that are open before and after are the same.
//
// An input is the lengths of the five files (2 bytes each, little endian) and their contents. An odd length
// says that the file is at the second place, behind one of another content.
#include "base/text.h"
#include "resolve/cache.h"
#include "resolve/elf.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { FILES = 5, HEAD_BYTES = 2 * FILES, ADDRESSES = 16, MEMORY_BYTES = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

// The files of an input: the program, then by enum ht_wish_kind.
struct files {
    struct {
        const uint8_t *bytes;
        size_t length;
        bool is_second;
    } file[FILES];
    unsigned asked;
};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// Crashes of the libraries are why this runs in a process of its own, and are no find: the input is left.
// Ours are told as ever.
static sigjmp_buf leave;

const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:detect_leaks=0";
}

static bool is_of_library(uintptr_t pc)
{
    Dl_info info;
    const char *file = dladdr((void *)pc, &info) != 0 && info.dli_fname != NULL ? info.dli_fname : "";
    return strstr(file, "/libdw") != NULL || strstr(file, "/libelf") != NULL;
}

static void look_at_crash(int signal_number, siginfo_t *info, void *context)
{
    (void)info;
#if defined(__x86_64__)
    uintptr_t pc = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    uintptr_t pc = ((ucontext_t *)context)->uc_mcontext.pc;
#endif
    if (is_of_library(pc)) {
        siglongjmp(leave, 1);
    }
    signal(signal_number, SIG_DFL);
}

static void watch_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_sigaction = look_at_crash, .sa_flags = SA_SIGINFO | SA_NODEFER};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaction(signals[i], &action, NULL);
    }
}

static int open_file(const void *bytes, size_t length)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, bytes, length) == (ssize_t)length && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static int grant(void *arg, const struct ht_wish *wish)
{
    static const char other[] = "something else";
    struct files *files = arg;
    must(wish->kind < HT_WISH_KINDS && wish->name != NULL && wish->folder != NULL && wish->build_id != NULL);
    must(strlen(wish->name) + strlen(wish->folder) < MEMORY_BYTES && files->asked++ < 10000);
    size_t at = (size_t)wish->kind + 1;
    if (wish->ordinal > 2 || files->file[at].length == 0) {
        return HT_WISH_END;
    }
    if (wish->ordinal == 2 || (wish->ordinal == 1) != files->file[at].is_second) {
        return wish->ordinal == 0 ? open_file(other, sizeof other) : HT_WISH_NOTHING;
    }
    return open_file(files->file[at].bytes, files->file[at].length);
}

static size_t add_queries(const struct ht_layout *layout, struct ht_query *queries)
{
    size_t count = 0;
    for (size_t i = 0; i < layout->segment_count && count == 0; i++) {
        const struct ht_segment *segment = &layout->segments[i];
        uint64_t step = segment->memory_bytes / ADDRESSES;
        for (uint64_t at = segment->address; (segment->flags & PF_X) && count < ADDRESSES; at += step + 1) {
            if (count > 0 && at < queries[count - 1].address) {
                break; // wraps
            }
            queries[count++] = (struct ht_query){.address = at};
        }
    }
    return count;
}

static void ask(struct ht_elf *module)
{
    struct ht_query queries[ADDRESSES];
    size_t count = add_queries(&module->layout, queries);
    ht_elf_resolve(module, queries, count);
    for (size_t i = 0; i < count; i++) {
        must(queries[i].first_frame + queries[i].frame_count <= module->frame_count);
        for (uint32_t frame = 0; frame < queries[i].frame_count; frame++) {
            const struct ht_frame *answer = &module->frames[queries[i].first_frame + frame];
            must(answer->symbol == NULL || strlen(answer->symbol) < MEMORY_BYTES);
            must(answer->file == NULL || strlen(answer->file) < MEMORY_BYTES);
        }
    }
    free(ht_elf_lacks(module));
    must(module->split.memory_bytes < MEMORY_BYTES);
}

static int lowest_free(void)
{
    int fd = dup(0);
    must(fd >= 0 && close(fd) == 0);
    return fd;
}

static void read_files(struct files *files)
{
    const struct ht_wishes wishes = {grant, files};
    struct ht_elf module;
    int before = lowest_free();
    int fd = open_file(files->file[0].bytes, files->file[0].length);
    if (ht_elf_open(&module, "program", fd, &wishes) == 0) {
        ask(&module);
        ask(&module); // what is open is asked again
        ht_elf_close(&module);
    }
    must(lowest_free() == before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_watching;
    static unsigned crashes;
    struct files files = {0};
    if (!is_watching) {
        is_watching = true;
        watch_crashes();
    }
    if (size < HEAD_BYTES) {
        return 0;
    }
    const uint8_t *at = data + HEAD_BYTES;
    for (size_t i = 0; i < FILES; i++) {
        size_t length = (size_t)data[2 * i] | (size_t)data[2 * i + 1] << 8, left = size - (size_t)(at - data);
        files.file[i].is_second = (length & 1) != 0;
        files.file[i].length = length < left ? length : left;
        files.file[i].bytes = at;
        at += files.file[i].length;
    }
    if (sigsetjmp(leave, 1) == 0) {
        read_files(&files);
    } else {
        fprintf(stderr, "libdw or libelf crashed (%u)\n", ++crashes);
        closefrom(3);
    }
    return 0;
}
