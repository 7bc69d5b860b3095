// Fuzzes the reader of the function table of Go programs.
#include "ranges.h"
#include "resolve/gopclntab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return ranges_of(data, size, false, ht_gopclntab_each);
}
