// A file that bears the name of a profile to come (of a process that had the same pid) is neither overwritten
// nor deleted, whatever number of profiles is to be kept.
//@ set keep=1
//@ profiles some
#include "children.h"

#include <fcntl.h>

static char folder[4096];

static void name_of(char *path, size_t size, pid_t pid, int number)
{
    CHECK(snprintf(path, size, "%s/heaptap.profiles_stay.%d.%04d.exit.pb.gz", folder, (int)pid, number) <
          (int)size);
}

static int life(void *unused)
{
    char path[4200];
    (void)unused;
    for (int i = 0; i < 3; i++) {
        name_of(path, sizeof path, getpid(), i);
        int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        CHECK(file >= 0 && write(file, "mine", 4) == 4 && !close(file));
    }
    void *kept = malloc(3 << 20);
    CHECK(kept);
    KEEP(kept);
    for (int i = 0; i < 20; i++)
        use_heap();
    return 3;
}

int main(void)
{
    char own_folder[] = "/tmp/heaptap-profiles-stay.XXXXXX", path[4200], content[100];
    const char *out = getenv("HEAPTAP_OUT");
    CHECK(mkdtemp(own_folder));
    snprintf(folder, sizeof folder, "%s", out ? out : own_folder);
    pid_t child = fork_into(life, NULL);
    expect_exit(child, 3);
    for (int i = 0; i < 3; i++) {
        name_of(path, sizeof path, child, i);
        int file = open(path, O_RDONLY);
        CHECK(file >= 0 && read(file, content, sizeof content) == 4 && !memcmp(content, "mine", 4));
        CHECK(!close(file) && !unlink(path));
    }
    CHECK(!rmdir(own_folder));
    void *kept = malloc(3 << 20);
    CHECK(kept);
    KEEP(kept);
    puts("ok");
    return 0;
}
