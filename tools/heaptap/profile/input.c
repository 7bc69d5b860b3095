// Opens what a person names as a profile.
#include "profile/input.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_file(const char *path, struct ht_profile **ret_profile)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT ? ht_fail("no such file, and no profiled process with this pid")
                               : ht_fail_errno("cannot open");
    struct stat status;
    int result;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        result = ht_fail("is a directory; name a profile in it");
    else
        result = ht_profile_read(fd, NULL, ret_profile);
    close(fd);
    return result;
}

int ht_input_open(const char *argument, struct ht_profile **ret_profile)
{
    if (strcmp(argument, "-") == 0)
        return ht_profile_read(STDIN_FILENO, NULL, ret_profile);
    if (ht_region_input_matches(argument))
        return ht_region_input_load(argument, ret_profile);
    return read_file(argument, ret_profile);
}
