// Names for addresses: fills function, file, line and the chain of inlined functions into a profile's
// locations.
#ifndef HT_RESOLVE_RESOLVE_H
#define HT_RESOLVE_RESOLVE_H

#include "profile/profile.h"

enum ht_demangle {
    HT_DEMANGLE_SIMPLE,    // without parameters and template arguments, as pprof does by default
    HT_DEMANGLE_TEMPLATES, // without parameters
    HT_DEMANGLE_FULL,
    HT_DEMANGLE_NONE,
};

struct ht_resolve_options {
    enum ht_demangle demangle;
    bool names_given; // demangle was asked for: names of symbolized profiles are made anew from system_name
    const char *root; // in front of the mappings' file names (/proc/PID/root for a container), NULL: none
    const char *debug_path; // ':' list of folders with separate debug files, NULL: /usr/lib/debug
    bool quiet;             // no warnings
};

// Context: tool. Fills the lines of locations that have none, module by module, each in one pass over its
// debug info; sets the mappings' has_ flags; then demangles the functions whose name is their system_name.
// Files are opened by the mappings' names and used only if their build id is the mapping's (a warning says so
// otherwise). What cannot be resolved stays as it is. options may be NULL. Never fails.
void ht_resolve_profile(struct ht_profile *profile, const struct ht_resolve_options *options);

// The readable name of a symbol (free() it), NULL if it is not a mangled name.
char *ht_demangle(const char *symbol, enum ht_demangle mode);

#endif
