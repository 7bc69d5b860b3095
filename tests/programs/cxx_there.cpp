// New here, delete there: blocks cross between a program and a library that was opened later, in both directions
// and between threads.
//@ allocators jemalloc tcmalloc mimalloc alone
//@ inuse 0 90000
#include "self.h"

#include <dlfcn.h>
#include <thread>
#include <vector>

int main()
{
    void *handle = dlopen(beside("libcxx_there.so"), RTLD_NOW);
    CHECK(handle);
    auto make = reinterpret_cast<void *(*)(size_t)>(dlsym(handle, "there_make"));
    auto drop = reinterpret_cast<void (*)(void *)>(dlsym(handle, "there_drop"));
    CHECK(make && drop);
    auto work = [&] {
        for (size_t i = 0; i < 2000; i++) {
            char *here = new char[i + 1];
            fill(here, i + 1, 2);
            drop(here);
            char *there = static_cast<char *>(make(i + 1));
            fill(there, i + 1, 3);
            delete[] there;
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; i++)
        threads.emplace_back(work);
    work();
    for (auto &thread : threads)
        thread.join();
    std::vector<void *> blocks;
    for (size_t i = 0; i < 1000; i++)
        blocks.push_back(make(500));
    std::thread other([&] {
        for (void *block : blocks)
            delete[] static_cast<char *>(block);
    });
    other.join();
    std::vector<void *>().swap(blocks);
    puts("ok");
    return 0;
}
