// Allocates from inlined templates, containers, recursion and named threads, for the golden tests.
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>

namespace demo
{
template <typename T> struct Tree {
    T value;
    std::unique_ptr<Tree> left, right;
};

template <typename T> std::unique_ptr<Tree<T>> grow(int depth)
{
    auto tree = std::make_unique<Tree<T>>();
    if (depth > 0) {
        tree->left = grow<T>(depth - 1);
        tree->right = grow<T>(depth - 1);
    }
    return tree;
}

static inline char *copy_text(const std::string &text)
{
    char *copy = new char[text.size() + 1];
    std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
}

struct Cache {
    std::map<int, std::string> entries;
    std::vector<char *> leaked;

    void fill(int count)
    {
        for (int i = 0; i < count; i++) {
            entries[i] = std::string(static_cast<size_t>(20 + i % 400), 'x');
            if (i % 3 == 0)
                leaked.push_back(copy_text(entries[i]));
        }
    }
};
} // namespace demo

static std::unique_ptr<demo::Tree<double>> tree;
static demo::Cache cache, caches[2];

int main()
{
    tree = demo::grow<double>(13);
    cache.fill(4000);
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; i++)
        threads.emplace_back([i] {
            pthread_setname_np(pthread_self(), i == 0 ? "reader" : "writer");
            caches[i].fill(2000 * (i + 1));
        });
    for (auto &thread : threads)
        thread.join();
}
