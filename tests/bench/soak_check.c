// Checks the tables of a region whose program is quiet: all that record/check.h has.
//
// Usage: soak_check FILE.live; exit status 0 and a line of figures, or 1 and what is wrong.
#include "base/error.h"
#include "record/check.h"
#include "record/live.h"
#include "region/copy.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static bool count_entry(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    (void)ref;
    (void)entry;
    ++*(uint64_t *)arg;
    return true;
}

static bool count_live(void *arg, const struct ht_live_copy *live)
{
    (void)live;
    ++*(uint64_t *)arg;
    return true;
}

static int check(const struct ht_view *view)
{
    const struct ht_region_header *header = view->header;
    struct ht_bump memory;
    struct ht_check check;
    ht_bump_init(&memory, UINT64_MAX);
    const char *wrong = ht_check_all(&check, view, HT_CHECK_QUIET, &memory);
    if (wrong == NULL && header->failed != 0)
        wrong = "recording was switched off for good";
    uint64_t entries = 0, live = 0;
    ht_view_each_entry(view, count_entry, &entries);
    ht_view_each_live(view, count_live, &live);
    printf("%u modules, %" PRIu64 " entries, %" PRIu64 " live samples in %" PRId64
           " slots of %u levels, %" PRIu64 " of %" PRIu64 " bytes\n",
           header->module_count, entries, live, ht_live_count(header), header->level_count,
           header->used_bytes, header->size_bytes);
    if (wrong != NULL)
        fprintf(stderr, "soak_check: %s\n", wrong);
    ht_bump_release(&memory);
    return wrong != NULL;
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
