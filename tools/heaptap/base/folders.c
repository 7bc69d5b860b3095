// Folders on disk.
#include "base/folders.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *ht_folders_of_user(const char *variable, const char *below_home, const char *name)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    if (base != NULL && base[0] == '/')
        return ht_format("%s/%s", base, name);
    if (home != NULL && home[0] == '/' && access(home, F_OK) == 0)
        return ht_format("%s/%s/%s", home, below_home, name);
    return NULL;
}

void ht_folders_make_above(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}
