// Reading the host's memory without faults: the kernel says whether a page can be read.
#ifndef HT_UNWIND_MEMORY_H
#define HT_UNWIND_MEMORY_H

#include "sys/raw.h"
#include "unwind/unwind.h"

#include <errno.h>

#define HT_PAGE_BYTES 4096u // the smallest page; larger ones are only asked about more often

// One system call, nothing is written. rt_sigprocmask copies the new set in before it looks at `how` (so
// since Linux 2.6.0; also the order in gVisor): an address that cannot be read gives EFAULT, one that can
// EINVAL, the mask stays.
static inline bool ht_is_readable(uintptr_t address)
{
    uintptr_t aligned = address & ~(uintptr_t)7;
    return aligned != 0 && ht_raw4(SYS_rt_sigprocmask, -1, (long)aligned, 0, 8) == -EINVAL;
}

// Whether [address, address + size_bytes) can be read; at most a page long.
static inline bool ht_is_range_readable(uintptr_t address, size_t size_bytes)
{
    uintptr_t last = address + size_bytes - 1;
    return last >= address && ht_is_readable(address) &&
           (((address ^ last) & ~(uintptr_t)(HT_PAGE_BYTES - 1)) == 0 || ht_is_readable(last));
}

#endif
