// C++ exceptions pass frames that allocate, leave constructors, are rethrown and carried between threads.
#include "check.h"

#include <exception>
#include <future>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{

int alive;

struct counted {
    std::string text;
    std::unique_ptr<char[]> block;
    explicit counted(size_t n) : text(n % 100, 'x'), block(new char[n + 1])
    {
        block[0] = 1;
        __atomic_add_fetch(&alive, 1, __ATOMIC_RELAXED);
    }
    ~counted()
    {
        std::vector<int> unwinding(10); // destructors allocate while an exception is on its way
        __atomic_sub_fetch(&alive, 1, __ATOMIC_RELAXED);
    }
};

struct half_made {
    counted first, second;
    half_made() : first(10), second(20)
    {
        throw std::runtime_error(std::string(500, 'm'));
    }
};

[[gnu::noinline]] int deep(int levels)
{
    counted here(static_cast<size_t>(levels));
    if (levels == 0)
        throw std::out_of_range(std::string(300, 'd'));
    return deep(levels - 1) + 1;
}

[[gnu::noinline]] int rethrown(int levels)
{
    try {
        return levels ? rethrown(levels - 1) : deep(3);
    } catch (const std::exception &error) {
        counted more(5);
        if (levels % 2)
            throw;
        throw std::runtime_error(error.what() + std::string(levels, 'r'));
    }
}

template <class error, class function> void expect(function work)
{
    bool caught = false;
    try {
        work();
    } catch (const error &) {
        caught = true;
    }
    CHECK(caught);
}

void one_thread()
{
    for (int i = 0; i < 10; i++) {
        expect<std::out_of_range>([i] { deep(i * 20); });
        expect<std::runtime_error>([] { half_made made; });
        expect<std::exception>([i] { rethrown(i); });
        expect<std::logic_error>([] {
            try {
                deep(4);
            } catch (...) {
                std::throw_with_nested(std::logic_error("nested"));
            }
        });
    }
}

long *volatile kept; // an array that nobody looks at need not be allocated

// What is too large fails as it does without us: an exception, or a null pointer.
void too_much()
{
    volatile size_t huge = std::numeric_limits<ptrdiff_t>::max();
    for (int i = 0; i < 5; i++) {
        expect<std::bad_alloc>([&] { ::operator delete(::operator new(huge)); });
        expect<std::bad_alloc>([&] { ::operator delete(::operator new(huge, std::align_val_t(64))); });
        expect<std::bad_alloc>([&] { kept = new long[huge]; });
        expect<std::length_error>([&] { std::vector<long> many(huge); });
        CHECK(::operator new(huge, std::nothrow) == nullptr);
        CHECK(::operator new[](huge, std::nothrow) == nullptr);
    }
    static int handled;
    std::set_new_handler([] {
        if (++handled == 3)
            throw std::bad_alloc();
    });
    expect<std::bad_alloc>([&] { ::operator delete(::operator new(huge)); });
    CHECK(handled == 3);
    std::set_new_handler(nullptr);
}

struct alignas(256) aligned {
    char bytes[512];
};

void between_threads()
{
    std::exception_ptr carried[8];
    std::vector<std::thread> threads;
    for (auto &each : carried)
        threads.emplace_back([&each] {
            try {
                one_thread();
                deep(12);
            } catch (...) {
                each = std::current_exception();
            }
        });
    for (auto &thread : threads)
        thread.join();
    for (auto &each : carried)
        expect<std::out_of_range>([&each] { std::rethrow_exception(each); });
    auto later = std::async(std::launch::async, [] { return deep(30); });
    expect<std::out_of_range>([&later] { later.get(); });
    std::promise<std::shared_ptr<counted>> promise;
    auto future = promise.get_future();
    std::thread([promise = std::move(promise)]() mutable {
        promise.set_value_at_thread_exit(std::make_shared<counted>(9));
    }).join();
    CHECK(future.get()->text.size() == 9);
    auto block = std::make_unique<aligned>();
    CHECK(reinterpret_cast<uintptr_t>(block.get()) % 256 == 0);
}

} // namespace

int main()
{
    one_thread();
    too_much();
    between_threads();
    CHECK(alive == 0);
    puts("ok");
    return 0;
}
