// thread_local objects with destructors that allocate, free and revive one another, in threads of every kind
// of end.
#include "check.h"

#include <memory>
#include <pthread.h>
#include <string>
#include <thread>
#include <vector>

namespace
{

long alive;

struct lively {
    std::vector<std::string> words;
    std::unique_ptr<char[]> late;
    lively()
    {
        __atomic_add_fetch(&alive, 1, __ATOMIC_RELAXED);
        for (int i = 0; i < 20; i++)
            words.emplace_back(static_cast<size_t>(i * 5), 'w');
    }
    ~lively()
    {
        // What other destructors and the recorder itself need must still be there.
        late.reset(new char[1000]);
        std::vector<std::string> again(words.rbegin(), words.rend());
        CHECK(again.front().size() == 95);
        __atomic_sub_fetch(&alive, 1, __ATOMIC_RELAXED);
    }
};

thread_local lively first;
thread_local std::unique_ptr<lively> second;

struct last {
    ~last()
    {
        second.reset(new lively); // made in a destructor, gone in a later one
        free(malloc(77));
    }
};
thread_local last third;

void touch()
{
    second = std::make_unique<lively>();
    (void)&third;
    first.words.emplace_back(95, 'z');
    first.words.pop_back();
}

void *leave_by_exit(void *)
{
    touch();
    pthread_exit(nullptr);
}

void *leave_by_cancel(void *)
{
    touch();
    pthread_cancel(pthread_self());
    pthread_testcancel();
    return nullptr;
}

lively at_the_end; // destroyed after main

} // namespace

int main()
{
    touch();
    for (int i = 0; i < 30; i++) {
        std::thread a(touch), b(touch);
        pthread_t c, d;
        CHECK(!pthread_create(&c, nullptr, leave_by_exit, nullptr));
        CHECK(!pthread_create(&d, nullptr, leave_by_cancel, nullptr));
        a.join();
        b.join();
        pthread_join(c, nullptr);
        pthread_join(d, nullptr);
    }
    CHECK(alive == 3);
    puts("ok");
    return 0;
}
