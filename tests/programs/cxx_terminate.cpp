// bad_alloc meets noexcept: terminate is called, with the exception in flight, and the handler's exit status is
// the program's.
//@ allocators jemalloc tcmalloc alone
#include "self.h"

#include <exception>
#include <new>

namespace
{

volatile size_t huge = SIZE_MAX / 4;

void finish()
{
    bool is_bad_alloc = false;
    try {
        std::rethrow_exception(std::current_exception());
    } catch (const std::bad_alloc &) {
        is_bad_alloc = true;
    }
    puts(is_bad_alloc ? "ok" : "another exception");
    fflush(stdout);
    _Exit(is_bad_alloc ? 7 : 1);
}

void promise() noexcept
{
    char *block = new char[huge];
    KEEP(block);
}

} // namespace

int main()
{
    std::set_terminate(finish);
    for (int i = 0; i < 100; i++) {
        char *kept = new char[1000];
        KEEP(kept);
    }
    promise();
    return 0;
}
