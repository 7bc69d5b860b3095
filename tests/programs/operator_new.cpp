// A program with its own operator new and delete above malloc: each pair finds the other, with sizes,
// alignments and a new handler, from several threads.
//@ allocators jemalloc tcmalloc mimalloc alone
#include "self.h"

#include <atomic>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace
{

constexpr size_t header_bytes = 64;
std::atomic<long> live_blocks{0};
int handler_calls;

void *make(size_t size)
{
    char *base = static_cast<char *>(malloc(size + header_bytes));
    if (base == nullptr)
        return nullptr;
    memcpy(base, &size, sizeof(size));
    fill(base + sizeof(size), header_bytes - sizeof(size), 0xa5);
    live_blocks++;
    return base + header_bytes;
}

void drop(void *block)
{
    if (block == nullptr)
        return;
    char *base = static_cast<char *>(block) - header_bytes;
    CHECK(filled(base + sizeof(size_t), header_bytes - sizeof(size_t), 0xa5));
    live_blocks--;
    free(base);
}

void give_up()
{
    handler_calls++;
    if (handler_calls == 3)
        throw std::bad_alloc();
}

struct alignas(4096) page {
    char bytes[4096];
};

void work()
{
    std::map<std::string, std::vector<std::unique_ptr<std::string>>> all;
    for (int i = 0; i < 2000; i++)
        all[std::to_string(i % 50)].push_back(
            std::make_unique<std::string>(static_cast<size_t>(i % 300), 'a'));
    for (auto &entry : all)
        for (auto &text : entry.second)
            CHECK(text->find_first_not_of('a') == std::string::npos);
}

} // namespace

void *operator new(size_t size)
{
    for (;;) {
        void *block = make(size);
        if (block != nullptr)
            return block;
        std::new_handler handler = std::get_new_handler();
        if (handler == nullptr)
            throw std::bad_alloc();
        handler();
    }
}
void *operator new[](size_t size)
{
    return operator new(size);
}
void operator delete(void *block) noexcept
{
    drop(block);
}
void operator delete[](void *block) noexcept
{
    drop(block);
}
void operator delete(void *block, size_t) noexcept
{
    drop(block);
}
void operator delete[](void *block, size_t) noexcept
{
    drop(block);
}

int main()
{
    long before = live_blocks;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++)
        threads.emplace_back(work);
    for (auto &thread : threads)
        thread.join();
    work();
    threads = std::vector<std::thread>();
    CHECK(live_blocks == before);
    // The aligned ones are libstdc++'s own still, above aligned_alloc.
    for (int i = 0; i < 100; i++) {
        auto aligned = std::make_unique<page>();
        CHECK(reinterpret_cast<uintptr_t>(aligned.get()) % 4096 == 0);
    }
    std::set_new_handler(give_up);
    volatile size_t huge = SIZE_MAX / 4;
    try {
        char *made = new char[huge];
        KEEP(made);
        CHECK(false);
    } catch (const std::bad_alloc &) {
        CHECK(handler_calls == 3);
    }
    puts("ok");
    return 0;
}
