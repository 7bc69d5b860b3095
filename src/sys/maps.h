// Reading /proc/PID/maps: bytes in, one mapping after another out; for walks inside the host and for the
// command.
#ifndef HT_SYS_MAPS_H
#define HT_SYS_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Context of everything here: any (hook, signal handler, tool); pure functions of the bytes they are given,
// whatever those are. Format: proc(5), "start-limit perms offset major:minor inode path".
struct ht_maps_line {
    uint64_t start, limit, file_offset, inode;
    uint32_t device_major, device_minor;
    bool readable, executable;
    const char *path; // in the line; "" for none. A newline in it is \012, and behind that of a removed file
                      // is " (deleted)"
};

// Parses one line, NUL-terminated. False: that is none; *ret_line untouched.
bool ht_maps_parse(const char *line, struct ht_maps_line *ret_line);

// A buffer of the caller's through which a file of any length is read. Lines that do not fit and lines that
// are none are passed over.
struct ht_maps_window {
    char *buffer;
    size_t size_bytes;
    size_t begin, end; // what was read and not yet taken
    bool skipping;     // inside of a line that did not fit
};

struct ht_maps_window ht_maps_window(char *buffer, size_t size_bytes);

// The next line; valid until more is read. False: more must be read first.
bool ht_maps_take(struct ht_maps_window *window, struct ht_maps_line *ret_line);

// Makes room and says where the next bytes of the file belong (*ret_room_bytes is at least 1); the caller
// adds their number to `end`.
char *ht_maps_room(struct ht_maps_window *window, size_t *ret_room_bytes);

#endif
