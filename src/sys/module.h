// An executable segment of a loaded file, in the words in which the unwinder reports it and the region keeps
// it.
#ifndef HT_SYS_MODULE_H
#define HT_SYS_MODULE_H

#include <stdbool.h>
#include <stdint.h>

// One executable PT_LOAD as the r-xp line of /proc/PID/maps shows it. Pointers are borrowed for the call.
struct ht_module_desc {
    uint64_t start, limit; // addresses, page aligned
    uint64_t file_offset;  // of `start`
    uint64_t link_start;   // what `start` is in the file's own addresses; 0: profiles show it as it is mapped
    const char *path;
    const uint8_t *build_id; // GNU build id, or NULL
    uint32_t build_id_bytes;
    bool is_program;
};

#endif
