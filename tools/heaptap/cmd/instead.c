// Reports of `go tool pprof` that heaptap does not have, and what does their work here.
#include "cmd/command.h"

#include <string.h>

const char *ht_cmd_instead(const char *word, size_t length)
{
    static const struct {
        const char *names, *instead; // names with a blank before and behind each
    } rows[] = {
        {" web gv evince eog ", "'svg' draws the call graph, 'flame' a page for the browser"},
        {" http ", "'flame' writes a page for the browser"},
        {" weblist disasm ",
         "'list' shows the source with the value of each line, 'top --addresses' each address"},
        {" kcachegrind ", "'callgrind' writes what KCachegrind opens"},
        {" topproto ", "'proto' writes the whole profile, 'top --json' the table"},
    };
    char wanted[32] = " ";
    if (length + sizeof "  " > sizeof wanted)
        return NULL;
    memcpy(wanted + 1, word, length);
    memcpy(wanted + 1 + length, " ", 2);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (length > 0 && strstr(rows[i].names, wanted) != NULL)
            return rows[i].instead;
    return NULL;
}
