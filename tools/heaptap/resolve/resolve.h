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

// What became of one module's addresses.
enum ht_resolve_state {
    HT_RESOLVE_CACHED,     // all answered by the cache
    HT_RESOLVE_DEBUG,      // by the file and its debug info
    HT_RESOLVE_SYMBOLS,    // by the file's symbols alone: no debug info was found
    HT_RESOLVE_CHANGED,    // the file is another one by now
    HT_RESOLVE_MISSING,    // no file
    HT_RESOLVE_NO_FILE,    // mapped was no file
    HT_RESOLVE_UNREADABLE, // its reader failed
    HT_RESOLVE_STATES,
};

struct ht_resolve_module {
    uint32_t file, build_id; // strings of the profile
    enum ht_resolve_state state;
    size_t locations, named; // that had no names before; that have now
};

// What was done; the caller frees `modules`.
struct ht_resolve_summary {
    struct ht_resolve_module *modules;
    size_t module_count, module_capacity;
    size_t jit_locations, jit_named; // in code that no file has
};

struct ht_resolve_options {
    enum ht_demangle demangle;
    bool names_given; // demangle was asked for: names of symbolized profiles are made anew from system_name
    bool names_only;  // no file is looked at: names come from elsewhere and are demangled
    const char *root; // in front of the mappings' file names (/proc/PID/root for a container), NULL: none
    const char
        *debug_path; // ':' list of folders with separate debug files, besides the usual ones; NULL: none
    bool quiet;      // no warnings
    bool no_cache;
    uint32_t pid; // the living process that the profile is of, in our namespace; 0: the profile says it
    bool debuginfod;
    uint64_t debuginfod_timeout_ns;     // for all downloads together
    struct ht_resolve_summary *summary; // filled in; NULL: nobody wants it
};

// What --debuginfod waits for servers, unless it is told otherwise.
#define HT_DEBUGINFOD_TIMEOUT_NS UINT64_C(10000000000)

// Context: tool. Fills the lines of locations that have none, module by module, each in one pass over its
// debug info; sets the mappings' has_ flags; then demangles the functions whose name is their system_name.
// Files are opened by the mappings' names with the rights of the profile's owner and used only if their build
// id is the mapping's (a warning says so otherwise); a process of its own reads them (resolve/reader.h).
// Addresses of debug info that was read before come from the cache. Addresses in no file get names from the
// program's map for perf. What cannot be resolved stays as it is. options may be NULL. Never fails.
void ht_resolve_profile(struct ht_profile *profile, const struct ht_resolve_options *options);

// The readable name of a symbol (free() it), NULL if it is not a mangled name, or in a build without
// libiberty. Names that another tool has made readable as if Rust's were C++'s become Rust's.
char *ht_demangle(const char *symbol, enum ht_demangle mode);

// Would libiberty be asked about this symbol? It is no match for every name: only the reader's process asks
// it.
bool ht_demangle_is_foreign(const char *symbol);

// Takes balanced groups of the given brackets out of a readable name; those of an operator's own name stay. A
// name that does not balance stays whole.
void ht_demangle_remove_groups(char *name, char open, char close);

#endif
