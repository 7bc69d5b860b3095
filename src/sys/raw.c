// The word that keeps our system calls from the kernel.
#include "sys/raw.h"

uint32_t ht_raw_sealed;
