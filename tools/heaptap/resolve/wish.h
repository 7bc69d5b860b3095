// What a reader of debug info wants besides the file itself: it does not look for files, it asks.
#ifndef HT_RESOLVE_WISH_H
#define HT_RESOLVE_WISH_H

#include <stddef.h>

// Each can be at several places; `ordinal` counts them from 0.
enum ht_wish_kind {
    HT_WISH_DEBUG,     // separate debug info. name: of .gnu_debuglink, or ""
    HT_WISH_ALTERNATE, // what dwz moved out of it. name: of .gnu_debugaltlink; build_id
    HT_WISH_UNIT,      // a .dwo file. name; folder: where the compiler ran, or ""
    HT_WISH_PACKAGE,   // the .dwp file
    HT_WISH_KINDS,
};

struct ht_wish {
    enum ht_wish_kind kind;
    unsigned ordinal;
    const char *name, *folder, *build_id; // "": unknown
};

// Who grants wishes: an open file (the asker closes it), HT_WISH_NOTHING at that place, or HT_WISH_END: there
// are no more places. All 0: nobody does.
struct ht_wishes {
    int (*grant)(void *arg, const struct ht_wish *wish);
    void *arg;
};
#define HT_WISH_NOTHING (-1)
#define HT_WISH_END     (-2)

static inline int ht_wish_grant(const struct ht_wishes *wishes, const struct ht_wish *wish)
{
    return wishes->grant != NULL ? wishes->grant(wishes->arg, wish) : HT_WISH_END;
}

#endif
