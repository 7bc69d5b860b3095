// Source files for annotated listings: found along a search path, read once, served by line.
#ifndef HT_VIEW_TEXT_SOURCE_H
#define HT_VIEW_TEXT_SOURCE_H

#include "base/memory.h"
#include "base/rights.h"

#include <stdint.h>

struct ht_source_file {
    char *path;         // as the profile has it
    char *error;        // why there is no text, NULL: there is
    int64_t changed_ns; // since 1970, of the file
    char *text;         // lines without their ends, each with a NUL
    size_t *lines;      // where line i + 1 begins in text
    size_t line_count, line_capacity;
};

struct ht_sources {
    struct ht_owner owner; // with whose rights files are opened
    char *search_path;     // ':' list of folders
    const char *trim_path; // ':' list, or NULL
    struct ht_source_slot {
        struct ht_source_file *file; // stays where it is
    } * files;
    size_t count, capacity;
    struct ht_index index; // by path
    uint64_t read_bytes;   // of all files
};

// Context: tool. source_path: NULL or "" is the current folder; trim_path as in base/path.h. Both live on.
void ht_sources_init(struct ht_sources *sources, struct ht_owner owner, const char *source_path,
                     const char *trim_path);
void ht_sources_free(struct ht_sources *sources);

// The file of this name, read on first use. Relative names are looked for in the folders of the search path
// and in all folders above them, Go's also as files of its module cache or of a "vendor" there. Only plain
// files are read (at most 32 MB each, and 256 MB in all). Never NULL: look at `error`.
const struct ht_source_file *ht_sources_find(struct ht_sources *sources, const char *path);

// The same if it was looked for before; else NULL.
const struct ht_source_file *ht_sources_known(const struct ht_sources *sources, const char *path);

// A line from 1 on; NULL behind the end.
const char *ht_source_line(const struct ht_source_file *file, int64_t line);

#endif
