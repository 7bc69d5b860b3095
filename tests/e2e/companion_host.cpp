// The host of test_companion: three threads allocate by every form of operator new, by the malloc family and by what
// the allocator has beside it, in functions whose names begin with counted_; then it says exactly what it did, in a line
// like those of support/count_preload.c.
//@ cflags -fsized-deallocation
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

extern "C" {
__attribute__((weak)) void *mallocx(size_t size, int flags);
__attribute__((weak)) void *rallocx(void *block, size_t size, int flags);
__attribute__((weak)) void dallocx(void *block, int flags);
__attribute__((weak)) void *tc_malloc(size_t size);
__attribute__((weak)) void *tc_realloc(void *block, size_t size);
__attribute__((weak)) void tc_free(void *block);
__attribute__((weak)) void *mi_malloc(size_t size);
__attribute__((weak)) void *mi_realloc(void *block, size_t size);
__attribute__((weak)) void mi_free(void *block);
}

namespace
{

constexpr int forms = 12;
struct row {
    long allocated, live;
};
using rows = std::map<size_t, row>;

} // namespace

extern "C" {

// Not inlined, and each a frame of its own.
__attribute__((noinline)) void *counted_new(int form, size_t size)
{
    void *block = nullptr;
    switch (form) {
    case 0:
        block = ::operator new(size);
        break;
    case 1:
        block = ::operator new[](size);
        break;
    case 2:
        block = ::operator new(size, std::nothrow);
        break;
    case 3:
        block = ::operator new[](size, std::nothrow);
        break;
    case 4:
        block = ::operator new(size, std::align_val_t(128));
        break;
    case 5:
        block = ::operator new[](size, std::align_val_t(128));
        break;
    case 6:
        block = malloc(size);
        break;
    case 7:
        block = calloc(1, size);
        break;
    case 8:
        block = mallocx ? mallocx(size, 0) : malloc(size);
        break;
    case 9:
        block = tc_malloc ? tc_malloc(size) : malloc(size);
        break;
    case 10:
        block = mi_malloc ? mi_malloc(size) : malloc(size);
        break;
    default:
        if (posix_memalign(&block, 64, size))
            abort();
    }
    if (block == nullptr)
        abort();
    memset(block, form, size);
    return block;
}

__attribute__((noinline)) void *counted_again(int form, void *block, size_t size)
{
    block = form == 8 && rallocx      ? rallocx(block, size, 0)
            : form == 9 && tc_realloc ? tc_realloc(block, size)
            : form == 10 && mi_realloc ? mi_realloc(block, size)
                                       : realloc(block, size);
    if (block == nullptr)
        abort();
    return block;
}
}

static void drop(int form, void *block, size_t size)
{
    switch (form) {
    case 0:
        return ::operator delete(block, size);
    case 1:
        return ::operator delete[](block);
    case 2:
        return ::operator delete(block, std::nothrow);
    case 3:
        return ::operator delete[](block, std::nothrow);
    case 4:
        return ::operator delete(block, size, std::align_val_t(128));
    case 5:
        return ::operator delete[](block, std::align_val_t(128));
    case 8:
        return dallocx ? dallocx(block, 0) : free(block);
    case 9:
        return tc_free ? tc_free(block) : free(block);
    case 10:
        return mi_free ? mi_free(block) : free(block);
    default:
        free(block);
    }
}

static void work(unsigned seed, int count, rows *result)
{
    uint64_t random = seed;
    for (int i = 0; i < count; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int form = static_cast<int>(random >> 33) % forms;
        // Few sizes, from small to large, so that the sums can be held against them; multiples of the alignment.
        size_t size = size_t{128} << ((random >> 50) % 7);
        void *block = counted_new(form, size);
        (*result)[size].allocated++;
        if (form >= 6 && form <= 10 && i % 4 == 0) {
            block = counted_again(form, block, size + 128);
            size += 128;
            (*result)[size].allocated++;
        }
        if (i % 3)
            drop(form, block, size);
        else
            (*result)[size].live++;
    }
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 3000;
    std::vector<rows> results(3);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 3; i++)
        threads.emplace_back(work, i + 1, count, &results[i]);
    for (auto &thread : threads)
        thread.join();
    rows sum;
    long totals[4] = {0, 0, 0, 0};
    for (auto &result : results)
        for (auto &[size, row] : result) {
            sum[size].allocated += row.allocated;
            sum[size].live += row.live;
            totals[0] += row.allocated;
            totals[1] += row.allocated * static_cast<long>(size);
            totals[2] += row.live;
            totals[3] += row.live * static_cast<long>(size);
        }
    printf("%d companion_host %ld %ld %ld %ld 0 0", 0, totals[0], totals[1], totals[2], totals[3]);
    for (auto &[size, row] : sum)
        printf(" %zu:%ld:%ld", size, row.allocated, row.live);
    puts("");
    return 0;
}
