// Reads /proc/self/maps line by line.
#include "unwind/own_maps.h"

#include "sys/atomic.h"
#include "sys/io.h"

#include <fcntl.h>

#define MAPS_BUFFER_BYTES 8192u

static struct {
    uint32_t busy;
    int fd;
    struct ht_maps_window window;
    char buffer[MAPS_BUFFER_BYTES];
} ht_maps;

bool ht_own_maps_open(void)
{
    uint32_t idle = 0;
    if (!ht_cas_acqrel(&ht_maps.busy, &idle, 1)) {
        return false;
    }
    ht_maps.fd = ht_io_open(HT_IO_CWD, "/proc/self/maps", O_RDONLY, 0);
    ht_maps.window = ht_maps_window(ht_maps.buffer, sizeof ht_maps.buffer);
    if (ht_maps.fd < 0) {
        ht_store_release(&ht_maps.busy, 0);
        return false;
    }
    return true;
}

void ht_own_maps_close(void)
{
    ht_io_close(ht_maps.fd);
    ht_store_release(&ht_maps.busy, 0);
}

static bool ht_own_maps_next(struct ht_maps_line *ret_line)
{
    while (!ht_maps_take(&ht_maps.window, ret_line)) {
        size_t room_bytes;
        char *at = ht_maps_room(&ht_maps.window, &room_bytes);
        long got = ht_io_read(ht_maps.fd, at, room_bytes);
        if (got <= 0) {
            return false;
        }
        ht_maps.window.end += (size_t)got;
    }
    return true;
}

bool ht_own_maps_find(uintptr_t address, struct ht_maps_line *ret_line, uintptr_t *ret_image)
{
    struct ht_maps_line line;
    uintptr_t image = 0;
    uint64_t inode = 0;
    while (ht_own_maps_next(&line)) {
        if (line.file_offset == 0 && line.readable && line.path[0] != '\0') {
            image = line.start;
            inode = line.inode;
        }
        if (address >= line.start && address < line.limit) {
            *ret_line = line;
            *ret_image = line.path[0] != '\0' && line.inode == inode ? image : 0;
            return true;
        }
    }
    return false;
}

void ht_own_maps_after_fork(void)
{
    ht_store_relaxed(&ht_maps.busy, 0);
}
