// The program's file given by hand: `heaptap REPORT PROGRAM PROFILE...`, as `go tool pprof` takes it.
#ifndef HT_INPUT_PROGRAM_H
#define HT_INPUT_PROGRAM_H

#include "input/load.h"

// Context: tool. If the first operand is an ELF file, it is taken off them and becomes load->program. Fails
// if no profile follows it.
int ht_load_take_program(struct ht_load *load, char ***operands, int *count);

// Makes load->program the file of a profile's first mapping (and of the other parts of the same file). One
// whose build id is not that of the mapping is left aside, with a warning; `name` is the profile's, for that.
void ht_load_use_program(const struct ht_load *load, const char *name, struct ht_profile *profile);

#endif
