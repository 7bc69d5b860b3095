// File names as text: cleaned, trimmed, their last part.
#ifndef HT_BASE_PATH_H
#define HT_BASE_PATH_H

#include "base/memory.h"

// Context: tool; pure, nothing is looked up in a file system.

// The shortest equal name (no "//", "." or avoidable ".."; "." for ""), appended to *out.
void ht_path_clean(const char *path, struct ht_buffer *out);

// Where the last part begins: "b" of "a/b", "" of "a/".
const char *ht_path_name(const char *path);

// The last part as pprof's reports show it: "b" for "a/b/" and "a/b", "/" for "/", "." for "". Appended to
// *out.
void ht_path_base(const char *path, struct ht_buffer *out);

// Where `path` begins after a prefix of `trim_path` (a ':' list, may be NULL or "") or /proc/self/cwd is
// taken off. Without a trim_path, everything up to a directory that is called like the last part of one in
// `source_path` (a ':' list, may be NULL) goes.
const char *ht_path_trim(const char *path, const char *trim_path, const char *source_path);

#endif
