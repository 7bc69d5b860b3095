// A region as it is named on the command line, opened.
#ifndef HT_REGION_TARGET_H
#define HT_REGION_TARGET_H

#include "base/options.h"
#include "base/rights.h"
#include "region/process.h"

// Context: tool. Functions that return int give 0, or -1 with the reason and the remedy in ht_error(),
// written so that it can follow "PID: " or "FILE: ".

// A region as named on the command line: by the PID of its process or by its file (*.live).
struct ht_target {
    char name[PATH_MAX]; // as given
    bool alive;          // its process runs; `process` is filled in
    struct ht_process process;
    char region_path[PATH_MAX];
    struct stat stat;
    int fd; // of the region, O_RDONLY or as asked; HT_NO_FD after ht_target_close
};
#define HT_NO_FD (-1)

// "4242", or a name that ends with ".live".
bool ht_target_matches(const char *argument);

// The arguments with the pids of the profiled processes in the place of their name. A name is a word that is
// neither of the above, has no slash and no colon, and is no file's here but a program's; one that nobody has
// stays as it is.
// Free with ht_target_names_free.
struct ht_strings ht_target_names(char *const *arguments, size_t count);
void ht_target_names_free(struct ht_strings *names);

// With O_RDONLY, of a forked child that has recorded nothing yet (process.is_heir), the region that it
// inherits from: read it with ht_target_read.
int ht_target_open(const char *argument, int flags, struct ht_target *ret_target);

// Whose word the region's bytes are, and with whose rights what it names is opened and written: its file's
// owner; where that is root, and the process has given up root's rights since, its process.
struct ht_owner ht_target_owner(const struct ht_target *target);

// A copy of the region as its process has it.
int ht_target_read(const struct ht_target *target, struct ht_region_copy *ret_copy);
void ht_target_close(struct ht_target *target);

#endif
