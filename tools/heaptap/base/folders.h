// Folders on disk: where a user's own files lie, and making what is missing.
#ifndef HT_BASE_FOLDERS_H
#define HT_BASE_FOLDERS_H

// "$VARIABLE/NAME", or "$HOME/BELOW_HOME/NAME" where the variable is unset or not absolute (XDG Base
// Directory Specification). NULL: the user has no home, or one that is not there ("/nonexistent" of Debian's
// system users), which is not ours to make. The caller frees it.
char *ht_folders_of_user(const char *variable, const char *below_home, const char *name);

// Makes the folders above `path` that are missing, with mode 0700. What fails shows when `path` is used.
void ht_folders_make_above(char *path);

#endif
