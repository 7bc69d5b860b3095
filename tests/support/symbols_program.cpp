// A program full of templates, lambdas and deep inlining, to compare the names of its addresses with addr2line's.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <regex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

template <class T> struct Ring {
    std::vector<T> items;
    size_t next = 0;

    void push(T value)
    {
        if (items.size() < 64)
            items.push_back(std::move(value));
        else
            items[next++ % 64] = std::move(value);
    }
    template <class F> auto fold(F f) const { return std::accumulate(items.begin(), items.end(), T{}, f); }
};

struct Base {
    virtual ~Base() = default;
    virtual int go(int) const = 0;
};

template <int N> struct Leaf : Base {
    int go(int x) const override
    {
        if constexpr (N == 0)
            return x;
        else
            return Leaf<N - 1>().go(x * N) + N;
    }
};

} // namespace

int main(int argc, char **argv)
{
    Ring<std::string> ring;
    std::map<std::string, std::vector<int>> index;
    std::unordered_map<int, std::unique_ptr<Base>> made;
    made[0] = std::make_unique<Leaf<7>>();
    made[1] = std::make_unique<Leaf<3>>();
    for (int i = 0; i < argc; i++) {
        ring.push(argv[i]);
        index[argv[i]].push_back(i);
    }
    std::regex word("([a-z]+)([0-9]*)");
    std::sort(ring.items.begin(), ring.items.end(),
              [](const std::string &a, const std::string &b) { return a.size() < b.size(); });
    std::function<int(int)> deep = [&](int n) { return n < 1 ? made[n & 1]->go(argc) : deep(n - 1) + n; };
    std::thread thread([&] {
        try {
            if (argc > 99)
                throw std::runtime_error("many");
            std::cout << deep(argc) << "\n";
        } catch (std::exception &error) {
            std::cerr << error.what();
        }
    });
    thread.join();
    std::smatch match;
    std::string all = ring.fold([](std::string a, const std::string &b) { return a + b; });
    return std::regex_search(all, match, word) ? static_cast<int>(match.size()) : 0;
}
