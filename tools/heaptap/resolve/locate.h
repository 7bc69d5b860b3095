// Finds the file that a mapping of a profile was made from, and never another one.
#ifndef HT_RESOLVE_LOCATE_H
#define HT_RESOLVE_LOCATE_H

#include "resolve/places.h"
#include "resolve/reader.h"
#include "resolve/resolve.h"

// Which process a profile is of, as far as it can still be looked at.
struct ht_origin {
    uint32_t pid;       // in our pid namespace, 0: unknown or gone
    uint32_t inner_pid; // in its own; 0: unknown
    int64_t start_ns;   // since the epoch, no later than it started; 0 unknown
};

struct ht_wanted {
    const char *name;     // as in the mapping
    const char *build_id; // lower-case; "": unknown
    uint64_t start, limit;
    bool is_program; // the profile's first mapping
};

enum ht_located {
    HT_LOCATED,
    HT_LOCATED_CHANGED, // a file of that name is there, and it is another one; ht_error()
    HT_LOCATED_MISSING,
    HT_LOCATED_NO_FILE,    // what was mapped is no file
    HT_LOCATED_UNREADABLE, // the reader failed on it; ht_error()
};

// Who looks, and what was found last. All 0 but the first three is a valid start.
struct ht_locator {
    struct ht_reader *reader;
    const struct ht_resolve_options *options;
    struct ht_origin origin;
    struct ht_places places; // of the file that was found
    struct ht_reader_module module;
};

// Context: tool.

// The process that the profile's comments name; all 0 when they name none, or several (merged profiles).
// options.pid wins.
struct ht_origin ht_origin_of(const struct ht_profile *profile, const struct ht_resolve_options *options);

// Opens the file in the reader: by its name (below options.root), through the process if it still runs
// (deleted files, containers), by build id in the folders for debug info, and, if allowed, from debuginfod
// servers. With a build id only files that have it are taken.
enum ht_located ht_locate(struct ht_locator *locator, const struct ht_wanted *wanted);

// How the reader comes to what belongs to the file.
struct ht_wishes ht_locator_wishes(struct ht_locator *locator);

// Forgets what was found.
void ht_locator_clear(struct ht_locator *locator);

#endif
