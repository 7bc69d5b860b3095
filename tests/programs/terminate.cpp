// C++ exceptions that nobody catches, that leave a noexcept function, and that come from operator new: the
// process ends, or goes on, as it does without us.
#include "self.h"

#include <csignal>
#include <exception>
#include <new>
#include <string>
#include <thread>

namespace
{

void throw_through(int levels)
{
    std::string text(static_cast<size_t>(levels) * 100, 'x');
    if (levels == 0)
        throw 7;
    throw_through(levels - 1);
    CHECK(text.size() == static_cast<size_t>(levels) * 100);
}

void cannot_throw() noexcept
{
    throw_through(3);
}

void end(int kind)
{
    switch (kind) {
    case 0:
        throw_through(10);
        break;
    case 1:
        cannot_throw();
        break;
    case 2:
        std::thread(throw_through, 5).join();
        break;
    default: {
        volatile size_t huge = SIZE_MAX / 4;
        char *made = new char[huge];
        KEEP(made);
    }
    }
}

// The text that a child's standard error got.
std::string errors_of(int kind, int *ret_status)
{
    int channel[2];
    CHECK(!pipe(channel));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(dup2(channel[1], 2) == 2);
        end(kind);
        _exit(1);
    }
    CHECK(!close(channel[1]));
    std::string text;
    char byte;
    for (ssize_t n; (n = read(channel[0], &byte, 1)) != 0;) {
        CHECK(n == 1 || errno == EINTR);
        if (n == 1)
            text += byte;
    }
    CHECK(!close(channel[0]));
    *ret_status = wait_status(child);
    return text;
}

} // namespace

int main()
{
    no_core();
    record_some();
    for (int i = 0; i < 200; i++) {
        try {
            throw_through(i % 30);
        } catch (int value) {
            CHECK(value == 7);
        }
    }
    for (int kind = 0; kind < 4; kind++) {
        int status = 0;
        std::string text = errors_of(kind, &status);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        CHECK(text.find("terminate called after throwing an instance of '") == 0);
        fputs(text.c_str(), stdout);
    }
    puts("ok");
    fflush(stdout);
    std::set_terminate(abort);
    throw_through(2);
}
