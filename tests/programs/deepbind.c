// A plugin opened with RTLD_DEEPBIND calls libc's malloc past every preload: its blocks are freed and resized
// by the host, and the host's by it.
//@ skip jemalloc: blocks of two allocators meet in free, with and without us
#include "self.h"

#include <dlfcn.h>
#include <malloc.h>

// Blocks that only libc has seen are freed by name while many others are remembered by their addresses: each
// of them goes back to libc all the same.
static void all_go_back(void *(*make)(size_t))
{
    enum { OURS = 20000, THEIRS = 4000, BYTES = 2000 };
    static void *ours[OURS], *theirs[THEIRS];
    for (size_t i = 0; i < OURS; i++)
        CHECK((ours[i] = malloc(16)));
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < THEIRS; i++)
        CHECK((theirs[i] = make(BYTES)));
    CHECK(mallinfo2().uordblks >= before + THEIRS * BYTES);
    for (size_t i = 0; i < THEIRS; i++)
        free(theirs[i]);
    CHECK(mallinfo2().uordblks < before + 20 * BYTES);
    for (size_t i = 0; i < OURS; i++)
        free(ours[i]);
}

int main(void)
{
    record_some();
    void *handle = dlopen(beside("libdeep.so"), RTLD_NOW | RTLD_DEEPBIND);
    CHECK(handle);
    void *(*make)(size_t) = (void *(*)(size_t))dlsym(handle, "deep_make");
    void *(*resize)(void *, size_t) = (void *(*)(void *, size_t))dlsym(handle, "deep_resize");
    void (*release)(void *) = (void (*)(void *))dlsym(handle, "deep_free");
    CHECK(make && resize && release);
    all_go_back(make);
    void *blocks[500];
    for (size_t round = 0; round < 4; round++)
        for (size_t i = 0; i < 500; i++) {
            size_t size = i * 7 + 1;
            void *p = round % 2 ? make(size) : malloc(size);
            CHECK(p && malloc_usable_size(p) >= size);
            fill(p, size, 6);
            // Each block goes through both sides: a recorded address comes back without its free having been
            // seen.
            p = round / 2 ? resize(p, size + 5000) : realloc(p, size + 5000);
            CHECK(p && filled(p, size, 6));
            blocks[i] = p;
            if (i % 3 == 0) {
                (i % 2 ? release : free)(blocks[i / 2]);
                blocks[i / 2] = malloc(10);
            }
            if (i == 499)
                for (size_t n = 0; n < 500; n++)
                    (n % 2 ? release : free)(blocks[n]);
        }
    CHECK(!dlclose(handle));
    record_some();
    puts("ok");
    return 0;
}
