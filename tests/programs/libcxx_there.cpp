// The other library of cxx_late_plugin and cxx_there: makes, drops and throws; needs libstdc++ and has a scope of
// its own.
#include <cstdint>
#include <new>
#include <string>
#include <vector>

extern "C" {

void *there_make(size_t size)
{
    return new char[size];
}

void there_drop(void *block)
{
    delete[] static_cast<char *>(block);
}

// How many of three kinds of failure ended as they should.
int there_fail(void)
{
    volatile size_t huge = SIZE_MAX / 4;
    int good = 0;
    try {
        char *block = new char[huge];
        __asm__ volatile("" : "+r"(block) : : "memory");
    } catch (const std::bad_alloc &) {
        good++;
    }
    char *none = new (std::nothrow) char[huge];
    __asm__ volatile("" : "+r"(none) : : "memory");
    good += none == nullptr;
    try {
        std::string text("x");
        good += text.at(huge) == 'y';
    } catch (const std::exception &) {
        good++;
    }
    return good;
}

// Strings and vectors, some of them over-aligned; returns how many bytes they held.
long there_work(int rounds)
{
    struct alignas(128) Wide {
        char bytes[128];
    };
    long sum = 0;
    for (int i = 0; i < rounds; i++) {
        std::vector<std::string> texts(20, std::string(static_cast<size_t>(i % 90), 'c'));
        std::vector<Wide> wide(3);
        sum += static_cast<long>(texts.back().size()) + (reinterpret_cast<uintptr_t>(wide.data()) % 128 == 0);
    }
    return sum;
}
}
