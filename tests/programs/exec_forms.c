// Every way to start an image: by descriptor, from memory, from a deleted file, through the loader, under a
// name that is not the file's.
//@ skip signals: between exec and a handler the signal ends the program, as it does bare
//@ unwiped
#include "children.h"

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static char self[4096];
static char *arguments[] = {(char *)"-a name/with a slash and\nmore", (char *)"inside", NULL};
static char loader[256];

static void copy_self(int to)
{
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status;
    CHECK(from >= 0 && !fstat(from, &status));
    for (off_t left = status.st_size; left > 0;) {
        ssize_t sent = sendfile(to, from, NULL, (size_t)left);
        CHECK(sent > 0);
        left -= sent;
    }
    close(from);
}

static int by_descriptor(void *unused)
{
    (void)unused;
    fexecve(open(self, O_RDONLY | O_CLOEXEC), arguments, environ);
    return 9;
}

static int from_memory(void *unused)
{
    (void)unused;
    int fd = memfd_create("a name", MFD_CLOEXEC);
    CHECK(fd >= 0);
    copy_self(fd);
    syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
    return 9;
}

static int deleted(void *unused)
{
    (void)unused;
    char name[] = "/tmp/heaptap-exec-forms.XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);
    CHECK(fd >= 0 && !fchmod(fd, 0700));
    copy_self(fd);
    close(fd);
    arguments[1] = name;
    execve(name, arguments, environ);
    return 9;
}

static int find_loader(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_INTERP)
            snprintf(loader, sizeof loader, "%s",
                     (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
    return 1; // the program itself comes first
}

static int through_the_loader(void *unused)
{
    (void)unused;
    dl_iterate_phdr(find_loader, NULL);
    execl(loader, loader, self, "inside", (char *)NULL);
    return 9;
}

static int no_arguments_name(void *unused)
{
    (void)unused;
    arguments[0] = (char *)"";
    execve("/proc/self/exe", arguments, environ);
    return 9;
}

static int inside(char *name)
{
    use_heap();
    if (name[0] == '/') {
        // The file goes while it runs, and another one takes its place.
        CHECK(!unlink(name));
        use_heap();
        int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        CHECK(fd >= 0 && write(fd, "no executable", 13) == 13);
        close(fd);
        use_heap();
        CHECK(!unlink(name));
        expect_exit(fork_into(no_arguments_name, NULL), 3); // /proc/self/exe leads to the deleted file
    }
    use_heap();
    return 3;
}

int main(int argc, char **argv)
{
    use_heap();
    if (argc > 1 && argv[0][0] == '\0')
        return 3;
    if (argc > 1)
        return inside(argv[1]);
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    expect_exit(fork_into(by_descriptor, NULL), 3);
    expect_exit(fork_into(from_memory, NULL), 3);
    expect_exit(fork_into(deleted, NULL), 3);
    expect_exit(fork_into(through_the_loader, NULL), 3);
    expect_exit(fork_into(no_arguments_name, NULL), 3);
    puts("ok");
    return 0;
}
