// Output files: whole or not at all.
#ifndef HT_BASE_OUTPUT_H
#define HT_BASE_OUTPUT_H

#include <stddef.h>

// Makes `path` hold exactly these bytes. A plain file (or none yet; links are followed) is written under
// another name beside it and then renamed, so that a full disk leaves what was there before; its mode is
// kept. Anything else
// (/dev/null, a pipe, a terminal) is written to. Fails with the reason (ht_error()). Context: tool.
int ht_output_write(const char *path, const void *bytes, size_t length);

#endif
