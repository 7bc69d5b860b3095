// A program linked with an allocator that has its own operator new and its own calls (jemalloc): blocks of
// all of them meet in free, delete and realloc.
//@ ldflags -l:libjemalloc.so.2
//@ allocators linked:jemalloc
#include "self.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

extern "C" {
void *mallocx(size_t size, int flags);
void *rallocx(void *block, size_t size, int flags);
void dallocx(void *block, int flags);
size_t sallocx(const void *block, int flags);
int mallctl(const char *name, void *old, size_t *old_size, void *fresh, size_t fresh_size);
}

static void work()
{
    std::vector<std::string> texts;
    for (size_t i = 0; i < 3000; i++)
        texts.emplace_back(i % 200, 'b');
    for (size_t i = 0; i < 1000; i++) {
        void *p = mallocx(i + 1, 0);
        CHECK(p && sallocx(p, 0) >= i + 1);
        fill(p, i + 1, 3);
        p = i % 2 ? rallocx(p, 2 * i + 2, 0) : realloc(p, 2 * i + 2);
        CHECK(p && filled(p, i + 1, 3));
        if (i % 3)
            free(p);
        else
            dallocx(p, 0);
        p = malloc(i + 1);
        CHECK(p);
        dallocx(p, 0);
        // In this allocator delete is free, and programs rely on it.
        char *made = new char[i + 1];
        KEEP(made);
        free(made);
    }
}

int main()
{
    unsigned arenas = 0;
    size_t size = sizeof(arenas);
    CHECK(!mallctl("opt.narenas", &arenas, &size, nullptr, 0) && arenas > 0);
    std::thread first(work), second(work);
    work();
    first.join();
    second.join();
    puts("ok");
    return 0;
}
