// A setuid executable started by an ordinary user: the loader leaves preloaded libraries out, and nothing is
// heard or seen of it.
//@ root: makes a setuid executable
#include "children.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/auxv.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static char folder[] = "/var/tmp/heaptap-setuid.XXXXXX";
static char path[64];

static void copy_self(void)
{
    struct stat status;
    int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
    CHECK(from >= 0 && to >= 0 && !fstat(from, &status));
    for (off_t left = status.st_size; left > 0;) {
        ssize_t sent = sendfile(to, from, NULL, (size_t)left);
        CHECK(sent > 0);
        left -= sent;
    }
    CHECK(!fchown(to, 0, 0) && !fchmod(to, 04755) && !close(to) && !close(from));
}

static int as_nobody(void *unused)
{
    (void)unused;
    CHECK(!setgroups(0, NULL) && !setgid(65534) && !setuid(65534));
    execl(path, path, "inside", (char *)NULL);
    return 9;
}

static int inside(void)
{
    CHECK(getuid() == 65534 && geteuid() == 0);
    CHECK(getauxval(AT_SECURE) == 1 && !getenv("LD_PRELOAD"));
    for (int i = 0; i < 40; i++)
        use_heap();
    CHECK(WEXITSTATUS(system("exit 2")) == 2);
    return 4;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return inside();
    struct statvfs status;
    CHECK(mkdtemp(folder) && !chmod(folder, 0755) && !statvfs(folder, &status));
    if (status.f_flag & ST_NOSUID) {
        CHECK(!rmdir(folder));
        puts("/var/tmp does not allow setuid programs");
        return 77;
    }
    snprintf(path, sizeof path, "%s/program", folder);
    copy_self();
    for (int i = 0; i < 10; i++)
        use_heap();
    expect_exit(fork_into(as_nobody, NULL), 4);
    CHECK(!unlink(path) && !rmdir(folder));
    puts("ok");
    return 0;
}
