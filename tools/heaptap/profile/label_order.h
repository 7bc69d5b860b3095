// The order of a sample's labels: text labels by key, then numeric ones by key.
#ifndef HT_PROFILE_LABEL_ORDER_H
#define HT_PROFILE_LABEL_ORDER_H

#include "profile/profile.h"

// Keys are compared once, however many labels have them and however long they are.
struct ht_label_order {
    uint32_t *rank; // by string: where a key stands among all keys; equal texts have one rank
    struct ht_label *spare;
    size_t spare_capacity;
};

// Context: tool; pure. Of all labels that the profile has at this moment. `more`: another key, 0: none.
void ht_label_order_init(struct ht_label_order *order, const struct ht_profile *profile, uint32_t more);
void ht_label_order_free(struct ht_label_order *order);

// Sorts one sample's labels; equal keys keep their order.
void ht_label_order_sort(struct ht_label_order *order, struct ht_label *labels, size_t count);

#endif
