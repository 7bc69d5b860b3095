// Checks the tables of a region whose program is quiet: ht_region_check, and what only holds while nobody
// writes.
//
// Usage: soak_check FILE.live; exit status 0 and a line of figures, or 1 and what is wrong.
#include "base/error.h"
#include "record/filter.h"
#include "record/kinds.h"
#include "record/live.h"
#include "record/view.h"
#include "region/copy.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROBES 8u // record/live.c

struct tally {
    const struct ht_view *view;
    uint64_t modules, entries, live, keys;
    const char *wrong;
};

static bool count_module(void *arg, const struct ht_module *module)
{
    struct tally *tally = arg;
    tally->modules++;
    if (module->start >= module->limit ||
        ht_view_at(tally->view, module->path_ref, sizeof(struct ht_string)) == NULL)
        tally->wrong = "a module makes no sense";
    return true;
}

static bool count_entry(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    struct tally *tally = arg;
    (void)ref;
    tally->entries++;
    if (entry->values[HT_ENTRY_COUNT] >> ht_kind_heap.form.count_shift < entry->values[HT_ENTRY_SAMPLES])
        tally->wrong = "an entry has fewer objects than samples"; // a weight is never below 1
    return true;
}

static bool count_live(void *arg, const struct ht_live_copy *live)
{
    struct tally *tally = arg;
    const struct ht_entry *entry = ht_view_at(tally->view, live->entry_ref, sizeof *entry);
    tally->live++;
    if (entry == NULL || entry->values[HT_ENTRY_SAMPLES] == 0 ||
        entry->size_class != ht_size_class(live->size_bytes))
        tally->wrong = "a live sample is filed under a wrong entry";
    return true;
}

// L1 of record/live.c: the key stands in its probe path, and every bucket before its own says that somebody
// passed.
static void check_level(struct tally *tally, const struct ht_live_level *level)
{
    const uint64_t *keys = (const uint64_t *)(tally->view->base + level->keys_offset);
    uint32_t *due = calloc(level->bucket_count, sizeof *due);
    const uint32_t *passed = (const uint32_t *)(tally->view->base + level->passed_offset);
    uint32_t mask = level->bucket_count - 1;
    for (uint32_t at = 0; at < level->bucket_count * HT_BUCKET_SLOTS; at++) {
        uint32_t bucket = at / HT_BUCKET_SLOTS;
        if (keys[at] == 0)
            continue;
        tally->keys++;
        if (keys[at] == HT_SLOT_BUSY || keys[at] % 2 != 0) {
            tally->wrong = "a slot was left in the middle of a change";
            continue;
        }
        uint32_t home = (uint32_t)(ht_address_hash(keys[at]) >> 32) & mask;
        if (((bucket - home) & mask) >= PROBES)
            tally->wrong = "a key stands outside of its probe path (L1)";
        for (uint32_t b = home; b != bucket && ((bucket - home) & mask) < PROBES; b = (b + 1) & mask)
            due[b]++;
    }
    for (uint32_t b = 0; b <= mask; b++)
        if (passed[b] != due[b])
            tally->wrong = "a bucket's count of passed keys is not what the keys say (L1)";
    free(due);
}

static int check(const struct ht_view *view)
{
    const struct ht_region_header *header = view->header;
    struct tally tally = {.view = view, .wrong = ht_region_check(view)};
    ht_view_each_module(view, count_module, &tally);
    ht_view_each_entry(view, count_entry, &tally);
    ht_view_each_live(view, count_live, &tally);
    for (uint32_t i = 0; tally.wrong == NULL && i < header->level_count; i++)
        check_level(&tally, &header->levels[i]);
    if (tally.wrong == NULL && (uint64_t)ht_live_count(header) != tally.keys)
        tally.wrong = "the stripes do not add up to the keys (L3)";
    if (tally.wrong == NULL && (tally.live > tally.keys || tally.entries > header->entry_count ||
                                tally.modules > header->module_count))
        tally.wrong = "there are more live samples, entries or modules than were made";
    if (header->failed != 0)
        tally.wrong = "recording was switched off for good";
    printf("%" PRIu64 " modules, %" PRIu64 " entries, %" PRIu64 " live samples in %" PRIu64
           " slots of %u levels, %" PRIu64 " of %" PRIu64 " bytes\n",
           tally.modules, tally.entries, tally.live, tally.keys, header->level_count, header->used_bytes,
           header->size_bytes);
    if (tally.wrong != NULL)
        fprintf(stderr, "soak_check: %s\n", tally.wrong);
    return tally.wrong != NULL;
}

int main(int argc, char **argv)
{
    struct stat stat;
    struct ht_region_copy copy;
    int fd = argc == 2 ? ht_region_open(argv[1], O_RDONLY, &stat) : -1;
    if (fd < 0 || ht_region_read(fd, &copy) != 0) {
        fprintf(stderr, "soak_check: %s\n", argc == 2 ? ht_error() : "usage: soak_check FILE.live");
        return 2;
    }
    close(fd);
    int result = check(&copy.view);
    ht_region_copy_free(&copy);
    return result;
}
