// What is made of the tables of commands, options and variables: man pages and completions.
#ifndef HT_CMD_GENERATE_H
#define HT_CMD_GENERATE_H

#include "base/memory.h"
#include "cmd/command.h"

// Context: tool, at build time. Each appends a whole file to *out; `date` is the one in the page's head.
void ht_generate_man_main(const char *date, struct ht_buffer *out); // heaptap(1)
void ht_generate_man_command(const struct ht_command *command, const char *date,
                             struct ht_buffer *out);                // heaptap-NAME(1)
void ht_generate_man_shim(const char *date, struct ht_buffer *out); // heaptap(7)
void ht_generate_bash(struct ht_buffer *out);
void ht_generate_zsh(struct ht_buffer *out);

#endif
