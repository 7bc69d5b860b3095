// Modules: the executable segments that frames of a profile point into, append-only in the region.
#ifndef HT_RECORD_MODULES_H
#define HT_RECORD_MODULES_H

#include "record/region.h"
#include "sys/module.h"

#include <stdbool.h>
#include <stdint.h>

// Remembers a module (once for each distinct one). ret_delta: what to add to a pc inside [start, limit) to
// get its profile address; not 0 when another module has been written at that range before (scrapers identify
// stacks by address alone, so a profile address means one thing for the life of the process).
// Hook context, lock-free, no errno. False: no memory left; *ret_delta untouched.
bool ht_modules_add(struct ht_region *region, const struct ht_module_desc *desc, int64_t *ret_delta);

#endif
