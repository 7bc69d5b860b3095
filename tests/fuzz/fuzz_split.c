// Fuzzes the reader of split debug info: any program with any package (.dwp) or .dwo file beside it gives
// names or nothing, within bounded memory, and files that are open before and after are the same.
//
// An input is the length of the program (2 bytes, little endian), the program, and the other file; an odd
// length says that this is a package.
#include "resolve/elf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD = 2, ADDRESSES = 16, MEMORY_BYTES = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/dev/shm/heaptap-fuzz-XXXXXX";

static void remove_folder(void)
{
    static const char *const names[] = {"case", "case.dwo", "case.dwp"};
    char path[sizeof folder + 16];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void write_file(const char *name, const uint8_t *bytes, size_t length)
{
    char path[sizeof folder + 16];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (length == 0) {
        unlink(path);
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, bytes, length) == (ssize_t)length && close(fd) == 0);
}

static int lowest_free(void)
{
    int fd = dup(0);
    must(fd >= 0 && close(fd) == 0);
    return fd;
}

static void ask(struct ht_elf *module)
{
    struct ht_query queries[ADDRESSES];
    size_t count = 0;
    for (size_t i = 0; i < module->layout.segment_count && count == 0; i++) {
        const struct ht_segment *segment = &module->layout.segments[i];
        for (; (segment->flags & PF_X) && count < ADDRESSES; count++) {
            queries[count] = (struct ht_query){.address = segment->address + count * 4};
        }
    }
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

static int grant(void *arg, const struct ht_wish *wish)
{
    char path[sizeof folder + 16];
    (void)arg;
    if (wish->ordinal > 0 || (wish->kind != HT_WISH_PACKAGE && wish->kind != HT_WISH_UNIT)) {
        return HT_WISH_END;
    }
    snprintf(path, sizeof path, "%s/case.%s", folder, wish->kind == HT_WISH_PACKAGE ? "dwp" : "dwo");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : HT_WISH_NOTHING;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ht_wishes wishes = {grant, NULL};
    struct ht_elf module;
    char path[sizeof folder + 8];
    static bool is_made;
    if (!is_made) {
        is_made = true;
        must(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
    }
    if (size < HEAD) {
        return 0;
    }
    size_t length = (size_t)data[0] | (size_t)data[1] << 8, rest = size - HEAD;
    bool is_package = (length & 1) != 0;
    length = length < rest ? length : rest;
    write_file("case", data + HEAD, length);
    write_file("case.dwp", data + HEAD + length, is_package ? rest - length : 0);
    write_file("case.dwo", data + HEAD + length, is_package ? 0 : rest - length);
    snprintf(path, sizeof path, "%s/case", folder);
    int before = lowest_free();
    int fd = length > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0 && ht_elf_open(&module, path, fd, &wishes) == 0) {
        ask(&module);
        ht_elf_close(&module);
    }
    must(lowest_free() == before);
    return 0;
}
