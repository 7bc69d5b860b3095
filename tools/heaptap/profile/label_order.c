// Sorts labels by the ranks of their keys.
#include "profile/label_order.h"

#include <stdlib.h>

enum { FEW = 16 };

struct key {
    const char *text;
    uint32_t string;
};

static int compare_keys(const void *left, const void *right)
{
    return strcmp(((const struct key *)left)->text, ((const struct key *)right)->text);
}

void ht_label_order_init(struct ht_label_order *order, const struct ht_profile *profile, uint32_t more)
{
    struct key *keys = NULL;
    size_t count = 0, capacity = 0;
    *order = (struct ht_label_order){.rank = ht_alloc_zero(profile->string_count, sizeof *order->rank)};
    for (size_t i = 0; i <= profile->label_count; i++) {
        uint32_t key = i < profile->label_count ? profile->labels[i].key : more;
        if (order->rank[key]++ > 0)
            continue;
        HT_RESERVE(keys, capacity, count + 1);
        keys[count++] = (struct key){ht_profile_text(profile, key), key};
    }
    if (keys != NULL)
        qsort(keys, count, sizeof *keys, compare_keys);
    for (size_t i = 0; i < count; i++) {
        bool is_same = i > 0 && compare_keys(&keys[i - 1], &keys[i]) == 0;
        order->rank[keys[i].string] = is_same ? order->rank[keys[i - 1].string] : (uint32_t)i;
    }
    free(keys);
}

void ht_label_order_free(struct ht_label_order *order)
{
    free(order->rank);
    free(order->spare);
    *order = (struct ht_label_order){0};
}

static uint64_t place_of(const struct ht_label_order *order, const struct ht_label *label)
{
    return (uint64_t)(label->text == 0) << 32 | order->rank[label->key];
}

static void insert(const struct ht_label_order *order, struct ht_label *labels, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct ht_label label = labels[i];
        size_t at = i;
        for (; at > 0 && place_of(order, &labels[at - 1]) > place_of(order, &label); at--)
            labels[at] = labels[at - 1];
        labels[at] = label;
    }
}

// Both halves are sorted; the first one is in the spare room.
static void merge(const struct ht_label_order *order, struct ht_label *labels, size_t half, size_t count)
{
    size_t left = 0, right = half, to = 0;
    memcpy(order->spare, labels, half * sizeof *labels);
    while (left < half && right < count)
        if (place_of(order, &labels[right]) < place_of(order, &order->spare[left]))
            labels[to++] = labels[right++];
        else
            labels[to++] = order->spare[left++];
    memcpy(labels + to, order->spare + left, (half - left) * sizeof *labels);
}

static void sort(struct ht_label_order *order, struct ht_label *labels, size_t count)
{
    if (count <= FEW) {
        insert(order, labels, count);
        return;
    }
    size_t half = count / 2;
    sort(order, labels, half);
    sort(order, labels + half, count - half);
    merge(order, labels, half, count);
}

void ht_label_order_sort(struct ht_label_order *order, struct ht_label *labels, size_t count)
{
    if (count > FEW)
        HT_RESERVE(order->spare, order->spare_capacity, count);
    sort(order, labels, count);
}
