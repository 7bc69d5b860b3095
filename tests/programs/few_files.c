// Fifty children of a shell's kind that allocate a little: at a sparing rate none of them leaves a file,
// neither among the profiles nor in /dev/shm.
//@ skip signals: the signal asks for profiles, and empty ones are written
//@ set rate=1000G
//@ profiles none
#include "children.h"

#include <glob.h>

static int life(void *unused)
{
    (void)unused;
    use_heap();
    return 3;
}

int main(int argc, char **argv)
{
    glob_t found;
    (void)argv;
    use_heap();
    if (argc > 1)
        return 4;
    for (int i = 0; i < 20; i++)
        expect_exit(fork_into(life, NULL), 3);
    CHECK(WEXITSTATUS(system("i=0; while [ $i -lt 20 ]; do i=$((i + 1)); (exit $i); done; exit 6")) == 6);
    for (int i = 0; i < 10; i++) {
        pid_t child = vfork();
        if (child == 0) {
            execl("/proc/self/exe", "again", "inside", (char *)NULL);
            _exit(9);
        }
        expect_exit(child, 4);
    }
    CHECK(glob("/dev/shm/heaptap.few_files.*", GLOB_NOSORT, NULL, &found) == GLOB_NOMATCH);
    puts("ok");
    return 0;
}
