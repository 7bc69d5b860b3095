// Prints what is said of processes most of whose memory is not live heap: once for each program.
#include "cmd/unseen.h"
#include "cmd/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ht_unseen_print(const struct ht_unseen_row *rows, size_t count)
{
    struct ht_index programs = {0}; // the first row of each
    size_t *alike = ht_alloc_zero(count + 1, sizeof *alike), found;
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = ht_hash_bytes(rows[i].program, strlen(rows[i].program));
        size_t cursor = 0;
        if (rows[i].text == NULL)
            continue;
        while ((found = ht_index_next(&programs, hash, &cursor)) != HT_NONE &&
               strcmp(rows[found].program, rows[i].program) != 0)
            ;
        if (found == HT_NONE)
            ht_index_add(&programs, hash, (uint32_t)i);
        alike[found == HT_NONE ? i : found]++;
    }
    for (size_t i = 0; i < count; i++) {
        char more[64] = "";
        if (alike[i] > 1)
            snprintf(more, sizeof more, " (%zu more are alike)", alike[i] - 1);
        if (alike[i] > 0)
            ht_cmd_print("%s %" PRIu32 "%s: %s", rows[i].program, rows[i].pid, more, rows[i].text);
    }
    ht_index_free(&programs);
    free(alike);
}
