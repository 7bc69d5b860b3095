// The live samples of one look at a region, their sum, and the change between two looks, each with its
// standard error.
#include "stats/live_set.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static int compare(const struct ht_live_item *a, const struct ht_live_item *b)
{
    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    return (a->birth_ns > b->birth_ns) - (a->birth_ns < b->birth_ns);
}

static int compare_items(const void *a, const void *b)
{
    return compare(a, b);
}

static bool add_item(void *arg, const struct ht_live_copy *live)
{
    struct ht_live_set *set = arg;
    HT_RESERVE(set->items, set->capacity, set->count + 1);
    set->items[set->count++] = (struct ht_live_item){
        .address = live->address,
        .birth_ns = live->birth_ns,
        .size_bytes = live->size_bytes,
        .rate_bytes = live->rate_bytes,
        .rank_bytes = live->rank_bytes,
    };
    return true;
}

void ht_live_set_fill(struct ht_live_set *set, const struct ht_view *view)
{
    set->count = 0;
    set->floor_bytes = (double)view->header->floor_bytes;
    ht_view_each_live(view, add_item, set);
    if (set->count > 0)
        qsort(set->items, set->count, sizeof *set->items, compare_items);
}

void ht_live_set_free(struct ht_live_set *set)
{
    free(set->items);
    *set = (struct ht_live_set){0};
}

// Adds one sample, or takes it off (sign -1): the variance grows either way.
static void add_sample(struct ht_estimate *sum, const struct ht_live_item *item, double floor_bytes,
                       double sign)
{
    if (floor_bytes > 0 && !((double)item->rank_bytes > floor_bytes))
        return; // given up by thinning between the looks: absent on both sides
    struct ht_live_copy live = {.size_bytes = item->size_bytes, .rate_bytes = item->rate_bytes};
    double weight = ht_live_weight(&live, floor_bytes);
    double size = (double)item->size_bytes;
    if (!isfinite(weight))
        return;
    sum->bytes += sign * size * weight;
    sum->error_bytes += size * size * weight * (weight - 1); // (1-P)/P^2 with P = 1/weight
}

static struct ht_estimate finish(struct ht_estimate sum)
{
    sum.error_bytes = sum.error_bytes > 0 ? sqrt(sum.error_bytes) : 0;
    return sum;
}

struct ht_estimate ht_live_set_total(const struct ht_live_set *set)
{
    struct ht_estimate sum = {0};
    for (size_t i = 0; i < set->count; i++)
        add_sample(&sum, &set->items[i], set->floor_bytes, 1);
    return finish(sum);
}

struct ht_estimate ht_live_set_change(const struct ht_live_set *before, const struct ht_live_set *after)
{
    struct ht_estimate sum = {0};
    double floor_bytes = after->floor_bytes;
    size_t i = 0, j = 0;
    while (i < before->count || j < after->count) {
        int order = i == before->count  ? 1
                    : j == after->count ? -1
                                        : compare(&before->items[i], &after->items[j]);
        if (order < 0)
            add_sample(&sum, &before->items[i++], floor_bytes, -1);
        else if (order > 0)
            add_sample(&sum, &after->items[j++], floor_bytes, 1);
        else
            i++, j++;
    }
    return finish(sum);
}
