// Where files can be that belong to a module, opened for its reader.
#ifndef HT_RESOLVE_PLACES_H
#define HT_RESOLVE_PLACES_H

#include "base/rights.h"
#include "resolve/wish.h"

#include <stdbool.h>

// A name below the folder that its "/" stands for. Both are free()d with ht_place_set(place, NULL, NULL).
struct ht_place {
    char *root; // NULL: ours
    char *path; // NULL: nowhere
};
void ht_place_set(struct ht_place *place, const char *root, const char *path);

struct ht_places {
    struct ht_owner owner; // with whose rights files are opened
    const char *root;      // in front of names (--root), NULL: none
    const char *extra;     // ':' list of folders with separate debug files; NULL: none
    bool debuginfod;       // servers are asked last
    // Of the module that is open:
    struct ht_place file;
    struct ht_place debug; // its debug info, as far as a file was found
    bool is_trusted;       // nobody but root and the reader could have written what was opened for it
};

// Context: tool, one thread. Opens a file of the module with the owner's rights; -1 with ht_error().
int ht_places_open(struct ht_places *places, const char *root, const char *path);

// A file for a build id, from the folders for debug info, the ordinal counting from 0; HT_WISH_NOTHING,
// HT_WISH_END.
int ht_places_open_by_id(struct ht_places *places, const char *build_id, unsigned ordinal);

// struct ht_wishes of a reader; arg is the struct ht_places.
int ht_places_grant(void *arg, const struct ht_wish *wish);

#endif
