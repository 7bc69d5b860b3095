// The word that keeps our system calls from the kernel.
#include "sys/raw.h"

#include "sys/clock.h"
#include "sys/fmt.h"

#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

uint32_t ht_raw_sealed;

uint32_t ht_raw_pid(void)
{
    long pid = ht_raw0(SYS_getpid);
    if (ht_unlikely(pid <= 0)) {
        char self[24];
        uint64_t number = 0;
        long length = ht_raw4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self", (long)self, sizeof self - 1);
        self[length > 0 ? length : 0] = '\0';
        return ht_text_parse_u64(self, &number) ? (uint32_t)number : 0;
    }
    return (uint32_t)pid;
}

uint64_t ht_unique_number(void)
{
    uint64_t number = 0;
    if (ht_raw3(SYS_getrandom, (long)&number, sizeof number, GRND_NONBLOCK) != (long)sizeof number) {
        // What the kernel has given this program at its start, the same in its forked children.
        const void *given = (const void *)getauxval(AT_RANDOM); // 16 bytes; libc uses the other half
        if (given != NULL) {
            memcpy(&number, given, sizeof number);
        }
        number ^= ht_clock_raw_realtime_ns() ^ (uint64_t)ht_raw_pid() << 40;
    }
    return number;
}
