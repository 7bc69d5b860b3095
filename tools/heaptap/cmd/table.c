// The one list of commands, in the order of `heaptap --help`; each has its row in its own file.
#include "cmd/command.h"

#include <stddef.h>

const struct ht_command *const ht_commands[] = {
#define X(name) &ht_command_##name,
    HT_COMMANDS(X)
#undef X
        NULL,
};
