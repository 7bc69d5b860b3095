// A program that must be single-threaded: unshare(CLONE_NEWUSER) fails as soon as another thread lives in the
// process.
#include "check.h"

#include <dirent.h>
#include <sched.h>
#include <unistd.h>

static int threads(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    CHECK(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

int main(void)
{
    for (size_t i = 0; i < 10000; i++) {
        void *p = malloc(i);
        KEEP(p);
        free(p);
    }
    // A snapshot's thread may be there for a moment, not for long.
    for (int i = 0; i < 200 && threads() > 1; i++)
        usleep(10000);
    CHECK(threads() == 1);
    int error = 0;
    for (int i = 0; i < 200; i++) {
        error = unshare(CLONE_NEWUSER) ? errno : 0;
        if (error != EINVAL)
            break;
        usleep(5000);
    }
    CHECK(error == 0 || error == EPERM || error == ENOSPC);
    printf("unshare: %s\n", error ? "not permitted" : "done");
    void *p = malloc(1000);
    CHECK(p);
    free(p);
    return 0;
}
