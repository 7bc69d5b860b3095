// Keeps answers about addresses on disk, a file for each build id, so that big debug info is read once. The
// same bytes carry a reader's answers to the command (resolve/reader.h).
#ifndef HT_RESOLVE_CACHE_H
#define HT_RESOLVE_CACHE_H

#include "resolve/elf.h"

// The folder is $XDG_CACHE_HOME/heaptap/symbols, or ~/.cache/heaptap/symbols. A file holds what is needed to
// answer without the program and without its debug info: segments, functions, and for each address its
// frames. Only answers from complete debug info are kept: what a build id with debug info means never
// changes. Files are written under a temporary name and renamed, so that readers and writers may be many; of
// two that write at the same time the last wins, and nothing but time is lost.
//
// Whoever may write a file may write any build id into it. So a key is the build id alone where all that was
// read is root's or the reader's own, and no one else can write it; where it is not, the user is a part of
// the key whose profile it was read for: what somebody says comes back to himself alone.
//
// A file ends at HT_CACHE_FILE_BYTES (older addresses go first), the folder at HT_CACHE_TOTAL_BYTES (the
// files that were not written for the longest time go first).
// A new number when answers are made in another way.
#define HT_CACHE_MAGIC       UINT64_C(0x33304d5953505448) // "HTPSYM03", the file's first bytes
#define HT_CACHE_FILE_BYTES  (UINT64_C(64) << 20)
#define HT_CACHE_TOTAL_BYTES (UINT64_C(512) << 20)

// An answer's frame, innermost inlined function first.
struct ht_cache_frame {
    uint32_t function;
    uint32_t line;
};

// Texts by their place in the file; 0: none.
struct ht_cache_function {
    uint32_t symbol, name, file; // name: readable, 0: not known
    uint32_t start_line;
};

struct ht_cache {
    char *bytes; // the whole file; NULL: an empty cache
    const struct ht_cache_header *header;
    const struct ht_segment *segments;
    const struct ht_cache_entry *entries;
    const struct ht_cache_frame *frames;
    const struct ht_cache_function *functions;
    const char *texts;
};

// Context: tool. Bytes of the file are foreign: whatever they are, the functions stay inside them.

// The folder by the environment, made if it is missing (0700), free() it. NULL: there is none, or it is not
// the user's own (root in somebody else's home leaves no files there).
char *ht_cache_folder(void);

// The name of a file, free() it; NULL: a build id that no file is kept for. They come from profiles.
char *ht_cache_key(const char *build_id);
char *ht_cache_key_of(const char *build_id, uint32_t uid);

// Reads a file. Fails without a reason when there is none that can be used: the cache is then empty. The key
// may be NULL.
int ht_cache_open(struct ht_cache *cache, const char *folder, const char *key, const char *build_id);
// The same from bytes (taken over).
int ht_cache_parse(struct ht_cache *cache, char *bytes, size_t length, const char *build_id);
void ht_cache_close(struct ht_cache *cache);

struct ht_layout ht_cache_layout(const struct ht_cache *cache);
uint32_t ht_cache_function_count(const struct ht_cache *cache);

// Frames of an address of the file; NULL: not known here. They are valid until ht_cache_close().
const struct ht_cache_frame *ht_cache_find(const struct ht_cache *cache, uint64_t address,
                                           uint32_t *ret_count);

// A text of the cache; NULL for 0.
const char *ht_cache_text(const struct ht_cache *cache, uint32_t text);

// Builds a new file.
struct ht_cache_writer {
    uint64_t limit_bytes; // of the texts; 0: HT_CACHE_FILE_BYTES
    struct ht_index text_index, function_index;
    struct ht_buffer texts;
    struct ht_cache_function *functions;
    size_t function_count, function_capacity;
    struct ht_cache_frame *frames;
    size_t frame_count, frame_capacity;
    struct ht_cache_entry *entries;
    size_t entry_count, entry_capacity;
};

// Texts may be NULL. Returns the function's number.
uint32_t ht_cache_add_function(struct ht_cache_writer *writer, const char *symbol, const char *name,
                               const char *file, int64_t start_line);
void ht_cache_add_frame(struct ht_cache_writer *writer, uint32_t function, int64_t line);
// The `frame_count` frames that were added last answer this address.
void ht_cache_add_entry(struct ht_cache_writer *writer, uint64_t address, uint32_t frame_count);

// Appends the bytes of a file to `out` and frees the writer.
void ht_cache_write(struct ht_cache_writer *writer, const char *build_id, const struct ht_layout *layout,
                    struct ht_buffer *out);

// Adds what the file has by now to the news, writes it anew and keeps the folder in its bounds. A cache that
// cannot be written is none: nothing is said. The key may be NULL.
void ht_cache_save(const struct ht_cache *news, const char *folder, const char *key);

#endif
