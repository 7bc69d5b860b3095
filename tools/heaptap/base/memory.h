// Memory of the command: allocation that ends the command when there is none, growable arrays, bump arenas,
// hashes.
#ifndef HT_BASE_MEMORY_H
#define HT_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// Context: tool. These never return NULL; without memory the command says so and ends with status 1.
void *ht_alloc(size_t bytes);
void *ht_alloc_zero(size_t count, size_t bytes_each);
void *ht_realloc_array(void *array, size_t count, size_t bytes_each);
char *ht_strdup(const char *text);
char *ht_format(const char *format, ...) __attribute__((format(printf, 1, 2))); // free() it

// Makes room for `needed` elements; the capacity grows by half.
#define HT_RESERVE(array, capacity, needed)                                                                  \
    do {                                                                                                     \
        if ((size_t)(needed) > (capacity)) {                                                                 \
            size_t grown_ = (capacity) + (capacity) / 2 + 16;                                                \
            if (grown_ < (size_t)(needed))                                                                   \
                grown_ = (size_t)(needed);                                                                   \
            (array) = ht_realloc_array((array), grown_, sizeof *(array));                                    \
            (capacity) = grown_;                                                                             \
        }                                                                                                    \
    } while (0)

// Bump allocation for what lives as long as its owner (strings). All zero is an empty arena.
struct ht_arena {
    char *chunk; // newest; begins with the address of the one before
    size_t used_bytes;
    size_t chunk_bytes;
    size_t total_bytes; // of all chunks
};

void *ht_arena_alloc(struct ht_arena *arena, size_t bytes);                    // aligned to 8
char *ht_arena_copy(struct ht_arena *arena, const char *bytes, size_t length); // with a NUL behind it
void ht_arena_free(struct ht_arena *arena);

// Hashes for tables in memory. What is hashed are numbers and texts of others, who must not be able to choose
// many that fall into one place: the keys are random, other ones in each process.
extern uint64_t ht_hash_keys[2];

// A word into a running hash (which is any number at first); of one word: ht_hash_add(0, word).
static inline uint64_t ht_hash_add(uint64_t hash, uint64_t word)
{
    unsigned __int128 product = (unsigned __int128)(hash ^ ht_hash_keys[0]) * (word ^ ht_hash_keys[1]);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t ht_hash_bytes(const void *bytes, size_t length);

// The same in every process, for what is kept in files; anybody can make bytes of any sum.
uint64_t ht_checksum(const void *bytes, size_t length);

// Open-addressing index from hashes to positions (0 .. UINT32_MAX - 1) in an array of the caller's, who
// compares. All zero is an empty index.
struct ht_index {
    struct ht_index_slot {
        uint32_t hash;
        uint32_t position_plus_1; // 0: empty
    } * slots;
    size_t slot_count; // power of two
    size_t used;
};

#define HT_NONE UINT32_MAX

// Iterates over the positions with this hash: start with *cursor = 0; HT_NONE at the end.
uint32_t ht_index_next(const struct ht_index *index, uint64_t hash, size_t *cursor);
void ht_index_add(struct ht_index *index, uint64_t hash, uint32_t position);
void ht_index_free(struct ht_index *index);

// Growable bytes for output and encoding; always has a NUL behind the content. All zero is empty.
struct ht_buffer {
    char *data;
    size_t length;
    size_t capacity;
    FILE *stream;     // where ht_buffer_drain() writes to; NULL: all stays in memory
    int stream_error; // errno of the first time that the stream did not take it, 0: none
};

void ht_buffer_add(struct ht_buffer *buffer, const void *bytes, size_t length);
void ht_buffer_text(struct ht_buffer *buffer, const char *text);
void ht_buffer_printf(struct ht_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ht_buffer_free(struct ht_buffer *buffer);

// For reports that may be longer than memory, between two rows: writes what has gathered, from time to time.
// What fails is seen by ht_cmd_write, in stream_error.
void ht_buffer_drain(struct ht_buffer *buffer);

static inline void ht_buffer_byte(struct ht_buffer *buffer, char byte)
{
    HT_RESERVE(buffer->data, buffer->capacity, buffer->length + 2);
    buffer->data[buffer->length++] = byte;
    buffer->data[buffer->length] = '\0';
}

// Two's complement arithmetic that wraps, for values from foreign files.
static inline int64_t ht_wrap_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t ht_wrap_abs(int64_t value)
{
    return value < 0 ? (int64_t)(0 - (uint64_t)value) : value;
}

// Truncates toward zero; what does not fit becomes INT64_MIN (what x86-64 and Go do).
static inline int64_t ht_int64_of_double(double value)
{
    return value >= -0x1p63 && value < 0x1p63 ? (int64_t)value : INT64_MIN;
}

#endif
