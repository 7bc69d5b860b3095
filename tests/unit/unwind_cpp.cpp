// C++ for test_unwind.c: the probe is called in a comparison, a std::function, a catch block and during an
// exception.
#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{
struct at_exit_of_scope {
    void (*probe)();
    ~at_exit_of_scope()
    {
        probe();
    }
};

__attribute__((noinline)) void throw_through(void (*probe)(), int depth)
{
    at_exit_of_scope guard{probe};
    if (depth == 0) {
        throw std::runtime_error(std::string(40, 'x'));
    }
    throw_through(probe, depth - 1);
}
} // namespace

extern "C" void run(void (*probe)())
{
    std::vector<int> values{5, 3, 9, 1, 7, 2, 8, 6, 4};
    std::sort(values.begin(), values.end(), [probe](int a, int b) {
        probe();
        return a < b;
    });
    std::function<int(int)> count = [&](int n) {
        probe();
        return n == 0 ? 0 : 1 + count(n - 1);
    };
    count(5);
    try {
        throw_through(probe, 3);
    } catch (const std::exception &error) {
        probe();
    }
}
