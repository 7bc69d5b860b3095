// Memory of the command: allocation, arenas, the hash index and growable bytes.
#include "base/memory.h"

#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

void *ht_alloc(size_t bytes)
{
    void *block = malloc(bytes == 0 ? 1 : bytes);
    if (block == NULL)
        ht_die("out of memory (%zu bytes wanted)", bytes);
    return block;
}

void *ht_alloc_zero(size_t count, size_t bytes_each)
{
    void *block = calloc(count == 0 ? 1 : count, bytes_each);
    if (block == NULL)
        ht_die("out of memory (%zu times %zu bytes wanted)", count, bytes_each);
    return block;
}

void *ht_realloc_array(void *array, size_t count, size_t bytes_each)
{
    void *block = reallocarray(array, count == 0 ? 1 : count, bytes_each);
    if (block == NULL)
        ht_die("out of memory (%zu times %zu bytes wanted)", count, bytes_each);
    return block;
}

char *ht_strdup(const char *text)
{
    size_t length = strlen(text);
    return memcpy(ht_alloc(length + 1), text, length + 1);
}

char *ht_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        ht_die("out of memory");
    va_end(args);
    return text;
}

void *ht_arena_alloc(struct ht_arena *arena, size_t bytes)
{
    size_t needed = (bytes + 7) & ~(size_t)7;
    if (arena->chunk == NULL || arena->chunk_bytes - arena->used_bytes < needed) {
        size_t chunk_bytes = arena->chunk == NULL ? 4096 : arena->chunk_bytes * 2;
        if (chunk_bytes > 1u << 20)
            chunk_bytes = 1u << 20;
        if (chunk_bytes < needed + sizeof(char *))
            chunk_bytes = needed + sizeof(char *);
        char *chunk = ht_alloc(chunk_bytes);
        memcpy(chunk, &arena->chunk, sizeof(char *));
        arena->chunk = chunk;
        arena->chunk_bytes = chunk_bytes;
        arena->used_bytes = sizeof(char *);
        arena->total_bytes += chunk_bytes;
    }
    void *block = arena->chunk + arena->used_bytes;
    arena->used_bytes += needed;
    return block;
}

char *ht_arena_copy(struct ht_arena *arena, const char *bytes, size_t length)
{
    char *copy = ht_arena_alloc(arena, length + 1);
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

void ht_arena_free(struct ht_arena *arena)
{
    for (char *chunk = arena->chunk; chunk != NULL;) {
        char *previous;
        memcpy(&previous, chunk, sizeof(char *));
        free(chunk);
        chunk = previous;
    }
    memset(arena, 0, sizeof *arena);
}

uint64_t ht_hash_keys[2] = {0x9e3779b97f4a7c15u, 0xd6e8feb86659fd93u};

// The kernel gives each process 16 random bytes.
__attribute__((constructor)) static void choose_hash_keys(void)
{
    const void *random = (const void *)(uintptr_t)getauxval(AT_RANDOM);
    if (random != NULL)
        memcpy(ht_hash_keys, random, sizeof ht_hash_keys);
}

uint64_t ht_hash_bytes(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    uint64_t hash = length, words[2];
    for (; length >= sizeof words; at += sizeof words, length -= sizeof words) {
        memcpy(words, at, sizeof words);
        hash = ht_hash_add(hash ^ words[0], words[1]);
    }
    words[0] = words[1] = 0;
    if (length > 0)
        memcpy(words, at, length);
    return ht_hash_add(ht_hash_add(hash ^ words[0], words[1]), 0);
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return x;
}

uint64_t ht_checksum(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    uint64_t hash = length * 0x9e3779b97f4a7c15u + 1;
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0xd6e8feb86659fd93u;
        hash ^= hash >> 29;
    }
    uint64_t rest = 0;
    for (size_t i = 0; i < length; i++)
        rest = rest << 8 | at[i];
    return mix(hash ^ rest);
}

uint32_t ht_index_next(const struct ht_index *index, uint64_t hash, size_t *cursor)
{
    if (index->slot_count == 0)
        return HT_NONE;
    size_t mask = index->slot_count - 1;
    for (;; ++*cursor) {
        const struct ht_index_slot *slot = &index->slots[((hash >> 32) + *cursor) & mask];
        if (slot->position_plus_1 == 0)
            return HT_NONE;
        if (slot->hash == (uint32_t)(hash >> 32)) {
            ++*cursor;
            return slot->position_plus_1 - 1;
        }
    }
}

// Slots are found by the high half of the hash alone, so that growing needs no access to the caller's array.
static void index_put(struct ht_index *index, struct ht_index_slot entry)
{
    size_t mask = index->slot_count - 1;
    size_t at = entry.hash & mask;
    while (index->slots[at].position_plus_1 != 0)
        at = (at + 1) & mask;
    index->slots[at] = entry;
}

void ht_index_add(struct ht_index *index, uint64_t hash, uint32_t position)
{
    if (index->used * 4 >= index->slot_count * 3) {
        struct ht_index grown = {.slot_count = index->slot_count == 0 ? 64 : index->slot_count * 2,
                                 .used = index->used};
        grown.slots = ht_alloc_zero(grown.slot_count, sizeof *grown.slots);
        for (size_t i = 0; i < index->slot_count; i++)
            if (index->slots[i].position_plus_1 != 0)
                index_put(&grown, index->slots[i]);
        free(index->slots);
        *index = grown;
    }
    index_put(index, (struct ht_index_slot){(uint32_t)(hash >> 32), position + 1});
    index->used++;
}

void ht_index_free(struct ht_index *index)
{
    free(index->slots);
    memset(index, 0, sizeof *index);
}

void ht_buffer_add(struct ht_buffer *buffer, const void *bytes, size_t length)
{
    HT_RESERVE(buffer->data, buffer->capacity, buffer->length + length + 1);
    if (length > 0)
        memcpy(buffer->data + buffer->length, bytes, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void ht_buffer_text(struct ht_buffer *buffer, const char *text)
{
    ht_buffer_add(buffer, text, strlen(text));
}

void ht_buffer_printf(struct ht_buffer *buffer, const char *format, ...)
{
    for (size_t room = 120;;) {
        HT_RESERVE(buffer->data, buffer->capacity, buffer->length + room + 1);
        va_list args;
        va_start(args, format);
        int length = vsnprintf(buffer->data + buffer->length, room + 1, format, args);
        va_end(args);
        if (length < 0)
            return;
        if ((size_t)length <= room) {
            buffer->length += (size_t)length;
            return;
        }
        room = (size_t)length;
    }
}

void ht_buffer_drain(struct ht_buffer *buffer)
{
    enum { DRAINED_BYTES = 1 << 20 };
    if (buffer->stream == NULL || buffer->length < DRAINED_BYTES)
        return;
    if (fwrite(buffer->data, 1, buffer->length, buffer->stream) < buffer->length && buffer->stream_error == 0)
        buffer->stream_error = errno;
    buffer->length = 0;
    buffer->data[0] = '\0';
}

void ht_buffer_free(struct ht_buffer *buffer)
{
    free(buffer->data);
    memset(buffer, 0, sizeof *buffer);
}
