// Memory that there is not: bad_alloc passes through our frames, nothrow gives a null pointer, and the new
// handler may make room, throw something of its own, jump away, or ask for memory itself; afterwards every block
// is counted as before.
//@ allocators jemalloc tcmalloc alone
//@ inuse 1000000 1095000
#include "self.h"

#include <csetjmp>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{

volatile size_t huge = SIZE_MAX / 4;
thread_local int calls, depth;
thread_local jmp_buf back;
thread_local void *reserve;

struct Guard {
    Guard()
    {
        depth++;
    }
    ~Guard()
    {
        depth--;
    }
};

void give_up()
{
    if (++calls % 3 == 0)
        std::set_new_handler(nullptr);
}

void throw_other()
{
    Guard guard;
    throw std::bad_alloc();
}

void jump()
{
    calls++;
    longjmp(back, 1);
}

void allocate_and_throw()
{
    std::string text(1000, 'x');
    KEEP(reserve);
    std::vector<std::string> more(10, text);
    throw std::bad_alloc();
}

template <typename Make> void expect_bad_alloc(Make make)
{
    Guard guard;
    bool caught = false;
    try {
        Guard inner;
        void *block = make();
        KEEP(block);
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    CHECK(caught && depth == 1);
}

void each_way(std::new_handler handler)
{
    auto again = [handler] { std::set_new_handler(handler); };
    again();
    expect_bad_alloc([] { return ::operator new(huge); });
    again();
    expect_bad_alloc([] { return ::operator new[](huge); });
    again();
    expect_bad_alloc([] { return ::operator new(huge, std::align_val_t(256)); });
    again();
    expect_bad_alloc([] { return ::operator new[](huge, std::align_val_t(256)); });
    again();
    CHECK(!::operator new(huge, std::nothrow));
    again();
    CHECK(!::operator new[](huge, std::nothrow));
    again();
    CHECK(!::operator new(huge, std::align_val_t(128), std::nothrow));
}

void work()
{
    for (int i = 0; i < 50; i++) {
        char *block = new char[static_cast<size_t>(i) * 100 + 1];
        KEEP(block);
        delete[] block;
    }
}

bool jumps_out()
{
    if (setjmp(back) != 0)
        return true;
    void *block = ::operator new(huge);
    KEEP(block);
    return false;
}

} // namespace

int main()
{
    for (int round = 0; round < 10; round++) {
        each_way(nullptr);
        each_way(give_up);
        CHECK(calls > 0);
        each_way(throw_other);
        each_way(allocate_and_throw);
        std::set_new_handler(jump);
        CHECK(jumps_out());
        std::set_new_handler(nullptr);
        work();
    }
    std::thread other(work);
    other.join();
    for (int i = 0; i < 1000; i++) {
        char *kept = new char[1000];
        KEEP(kept);
    }
    puts("ok");
    return 0;
}
