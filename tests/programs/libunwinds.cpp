// A C++ plugin for C hosts: throws and catches inside, with blocks allocated while an exception is under way.
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

struct guard {
    int *unwound;
    std::string text = std::string(500, 'g');
    ~guard()
    {
        // Allocates while the stack is being unwound.
        std::vector<std::string> more(20, text);
        *unwound += static_cast<int>(more.size() / 20);
    }
};

void go_down(int levels, int *unwound)
{
    guard one{unwound};
    if (levels == 0)
        throw std::runtime_error(std::string(300, 'e'));
    go_down(levels - 1, unwound);
}

} // namespace

// How many frames were unwound; -1 when the exception was not the one that was thrown.
extern "C" int unwind_frames(int levels)
{
    int unwound = 0;
    try {
        go_down(levels, &unwound);
    } catch (const std::runtime_error &error) {
        return std::string(error.what()).size() == 300 ? unwound : -1;
    } catch (...) {
        return -1;
    }
    return -1;
}
