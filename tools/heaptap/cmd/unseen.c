// Prints what is said of processes most of whose memory is not live heap: once for each program.
#include "cmd/unseen.h"
#include "cmd/command.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

// Whether a row before this one has said it for the program.
static bool is_said(const struct ht_unseen_row *rows, size_t row)
{
    for (size_t i = 0; i < row; i++)
        if (rows[i].text != NULL && strcmp(rows[i].program, rows[row].program) == 0)
            return true;
    return false;
}

void ht_unseen_print(const struct ht_unseen_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t more = 0;
        if (rows[i].text == NULL || is_said(rows, i))
            continue;
        for (size_t j = i + 1; j < count; j++)
            more += rows[j].text != NULL && strcmp(rows[j].program, rows[i].program) == 0;
        char alike[64] = "";
        if (more > 0)
            snprintf(alike, sizeof alike, " (%zu more are alike)", more);
        ht_cmd_print("%s %" PRIu32 "%s: %s", rows[i].program, rows[i].pid, alike, rows[i].text);
    }
}
