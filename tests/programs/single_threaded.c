// A program that must be single-threaded: unshare of what threads share, and of the user namespace, fails as
// soon as another thread lives in the process.
#include "check.h"

#include <dirent.h>
#include <sched.h>
#include <time.h>
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

// Tries again while a snapshot's thread is there (EINVAL); 0 or an error number.
static int unshare_alone(int flags, time_t end)
{
    int error;
    do
        error = unshare(flags) ? errno : 0;
    while (error == EINVAL && time(NULL) < end);
    return error;
}

int main(void)
{
    for (size_t i = 0; i < 10000; i++) {
        void *p = malloc(i);
        KEEP(p);
        free(p);
    }
    // A snapshot's thread may be there for a moment, not for long: there must be moments without one. Signals
    // cut sleeps short, so the clock decides how long to look.
    time_t end = time(NULL) + 200;
    while (threads() > 1 && time(NULL) < end)
        usleep(1000);
    CHECK(time(NULL) < end);
    CHECK(unshare_alone(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, end) == 0);
    int error = unshare_alone(CLONE_NEWUSER, end);
    CHECK(error == 0 || error == EPERM || error == ENOSPC);
    printf("ok, unshare: %s\n", error ? "not permitted" : "done");
    void *p = malloc(1000);
    CHECK(p);
    free(p);
    return 0;
}
