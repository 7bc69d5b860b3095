// Every form of operator new and delete: throwing and nothrow, single and array, plain and aligned, deleted with
// and without a size; each block is counted once, and gone when it is deleted.
//@ cflags -fsized-deallocation
//@ allocators jemalloc tcmalloc mimalloc alone
//@ inuse 1228800 1310000
//@ objects 4600 4620
#include "self.h"

#include <malloc.h>
#include <new>

namespace
{

// What stays, and what goes: each 100 times, so many bytes each.
constexpr int rounds = 100;
constexpr std::align_val_t plain{64}, wide{512};
void *kept[20][rounds];

void check(void *block, size_t size, size_t align)
{
    CHECK(block && reinterpret_cast<uintptr_t>(block) % align == 0);
    fill(block, size, 0x5a);
    KEEP(block);
}

void *make(int form, size_t size)
{
    switch (form) {
    case 0:
        return ::operator new(size);
    case 1:
        return ::operator new[](size);
    case 2:
        return ::operator new(size, std::nothrow);
    case 3:
        return ::operator new[](size, std::nothrow);
    case 4:
        return ::operator new(size, wide);
    case 5:
        return ::operator new[](size, wide);
    case 6:
        return ::operator new(size, plain, std::nothrow);
    default:
        return ::operator new[](size, plain, std::nothrow);
    }
}

// By each form of delete that fits the form of new.
void drop(int form, int way, void *block, size_t size)
{
    std::align_val_t align = form < 6 ? wide : plain;
    switch (form < 4 ? form % 2 * 3 + way % 3 : 6 + form % 2 * 3 + way % 3) {
    case 0:
        return ::operator delete(block);
    case 1:
        return ::operator delete(block, size);
    case 2:
        return ::operator delete(block, std::nothrow);
    case 3:
        return ::operator delete[](block);
    case 4:
        return ::operator delete[](block, size);
    case 5:
        return ::operator delete[](block, std::nothrow);
    case 6:
        return ::operator delete(block, align);
    case 7:
        return ::operator delete(block, size, align);
    case 8:
        return ::operator delete(block, align, std::nothrow);
    case 9:
        return ::operator delete[](block, align);
    case 10:
        return ::operator delete[](block, size, align);
    default:
        return ::operator delete[](block, align, std::nothrow);
    }
}

} // namespace

int main()
{
    for (int i = 0; i < rounds; i++)
        for (int form = 0; form < 8; form++) {
            size_t size = 1536, align = form < 4 ? 16 : form < 6 ? 512 : 64;
            kept[form][i] = make(form, size);
            check(kept[form][i], size, align);
            for (int way = 0; way < 3; way++) {
                void *block = make(form, size + static_cast<size_t>(way));
                check(block, size, align);
                drop(form, way, block, size + static_cast<size_t>(way));
            }
            drop(form, 0, nullptr, 0);
        }
    // The empty ones are blocks, too.
    for (int i = 0; i < rounds; i++)
        for (int form = 0; form < 8; form++) {
            void *block = make(form, 0);
            CHECK(block);
            kept[8 + form][i] = block;
        }
    for (int i = 0; i < rounds; i++) {
        for (int form = 0; form < 8; form++)
            drop(form, form % 2 ? 0 : 1, kept[8 + form][i], 0);
        // The family is counted beside them.
        void *block = malloc(100);
        KEEP(block);
        void *aligned = aligned_alloc(64, 128);
        KEEP(aligned);
        block = realloc(block, 200);
        KEEP(block);
        CHECK(!posix_memalign(&kept[16][i], 256, 300));
        void *zeroed = calloc(3, 5);
        KEEP(zeroed);
        free(zeroed);
        free(kept[16][i]);
        free(aligned);
        free(block);
        void *second = memalign(32, 10);
        KEEP(second);
        free(second);
    }
    puts("ok");
    return 0;
}
