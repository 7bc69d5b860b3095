// Fuzzes the reader of stubs (PLT).
#include "ranges.h"
#include "resolve/plt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return ranges_of(data, size, true, ht_plt_each);
}
