// Damages one structure of a region's file, for the test of `heaptap doctor FILE.live`.
//
// Usage: region_damage FILE.live STRUCTURE; exit status 0: done.
#include "record/layout.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ht_region_header *header;

static void *at(uint32_t ref)
{
    return (unsigned char *)header + (size_t)ref * HT_REF_UNIT;
}

// That of the blocks which the host keeps.
static struct ht_entry *used_entry(void)
{
    const uint32_t *heads = at(header->entry_heads_ref);
    for (uint32_t i = 0; i < header->head_count; i++)
        for (uint32_t ref = heads[i]; ref != 0; ref = ((struct ht_entry *)at(ref))->next_ref)
            if (((struct ht_entry *)at(ref))->values[HT_ENTRY_SAMPLES] == 200)
                return at(ref);
    return NULL;
}

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[1], O_RDWR) : -1;
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0)
        return 2;
    header = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED || header->magic != HT_REGION_MAGIC)
        return 2;
    struct ht_entry *entry = used_entry();
    if (entry == NULL)
        return 3;
    const char *what = argv[2];
    if (strcmp(what, "header") == 0)
        header->backed_bytes = header->used_bytes - 8;
    else if (strcmp(what, "stacks") == 0)
        ((struct ht_stack *)at(entry->stack_ref))->frames[0] ^= 64;
    else if (strcmp(what, "strings") == 0)
        ((struct ht_string *)at(header->strings_ref))->next_ref = header->strings_ref;
    else if (strcmp(what, "modules") == 0)
        ((struct ht_module *)at(header->modules_ref))->limit = 0;
    else if (strcmp(what, "kinds") == 0)
        ((struct ht_kind_row *)at(header->kinds_ref))->form.column_count = 0;
    else if (strcmp(what, "entries") == 0)
        entry->hash++;
    else if (strcmp(what, "live_samples") == 0)
        memset((unsigned char *)header + header->levels[0].slots_offset, 255,
               HT_BUCKET_SLOTS * 64 * sizeof(struct ht_live_slot));
    else if (strcmp(what, "live_sums") == 0)
        for (int i = HT_ENTRY_VALUES - 1; i >= HT_ENTRY_SAMPLES; i--)
            entry->values[i] /= 2; // all of them live
    else
        return 2;
    return 0;
}
