// A host that forbids itself the file system (Landlock): no profile can be written any more, and nothing else
// is different.
//@ set log=none
#include "self.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

#define CREATE_RULESET 444
#define RESTRICT_SELF  446

static int life(void *warm)
{
    if (warm)
        record_some();
    uint64_t handled = (1u << 13) - 1; // all rights of the first version: none is granted
    long ruleset = syscall(CREATE_RULESET, &handled, sizeof(handled), 0);
    if (ruleset < 0)
        return 8; // this kernel has no Landlock
    CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !syscall(RESTRICT_SELF, ruleset, 0));
    close((int)ruleset);
    for (int i = 0; i < 20; i++) {
        record_some();
        usleep(2000);
    }
    return 8;
}

int main(void)
{
    expect_exit(fork_into(life, NULL), 8);
    expect_exit(fork_into(life, (void *)1), 8);
    CHECK(life(NULL) == 8);
    puts("ok");
    return 0;
}
