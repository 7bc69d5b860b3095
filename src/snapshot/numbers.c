// Open addressing with linear probing; doubles at three quarters, and goes on to fifteen sixteenths where it
// cannot.
#include "snapshot/numbers.h"

#include <stdbool.h>
#include <stddef.h>

#define FIRST_CAPACITY 1024u

static uint32_t ht_numbers_slot(const struct ht_numbers *numbers, uint64_t key)
{
    uint32_t mask = numbers->capacity - 1;
    uint32_t slot = (uint32_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & mask;
    while (numbers->keys[slot] != 0 && numbers->keys[slot] != key) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

static bool ht_numbers_grow(struct ht_numbers *numbers)
{
    struct ht_numbers larger = {.memory = numbers->memory, .count = numbers->count};
    if (numbers->capacity > UINT32_MAX / 4) {
        return false;
    }
    larger.capacity = numbers->capacity == 0 ? FIRST_CAPACITY : numbers->capacity * 2;
    larger.keys =
        ht_bump_take(numbers->memory, (uint64_t)larger.capacity * (sizeof(uint64_t) + sizeof(uint32_t)));
    if (larger.keys == NULL) {
        return false;
    }
    larger.values = (uint32_t *)(larger.keys + larger.capacity);
    for (uint32_t i = 0; i < numbers->capacity; i++) {
        if (numbers->keys[i] != 0) {
            uint32_t slot = ht_numbers_slot(&larger, numbers->keys[i]);
            larger.keys[slot] = numbers->keys[i];
            larger.values[slot] = numbers->values[i];
        }
    }
    *numbers = larger;
    return true;
}

uint32_t *ht_numbers_at(struct ht_numbers *numbers, uint64_t key)
{
    if (numbers->count >= numbers->capacity / 4 * 3 && !ht_numbers_grow(numbers) && numbers->capacity == 0) {
        return NULL;
    }
    uint32_t slot = ht_numbers_slot(numbers, key);
    if (numbers->keys[slot] == 0) {
        if (numbers->count >=
            numbers->capacity - numbers->capacity / 16) { // fuller, searches would not end soon
            return NULL;
        }
        numbers->keys[slot] = key;
        numbers->count++;
    }
    return &numbers->values[slot];
}
