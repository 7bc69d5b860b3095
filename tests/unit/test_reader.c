// The process that reads foreign files: what it may still do, and what becomes of the command when it fails.
#include "base/error.h"
#include "base/foreign.h"
#include "resolve/pipe.h"
#include "resolve/reader.h"
#include "resolve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/heaptap-reader-XXXXXX";

static char *in_folder(const char *name)
{
    return ht_format("%s/%s", folder, name);
}

static int open_own(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void assert_names(struct ht_reader *reader)
{
    struct ht_reader_module module;
    assert_int_equal(ht_reader_open(reader, open_own(), "exe", NULL, &module), 0);
    assert_true(strlen(module.build_id) >= 16);
    assert_true(module.layout.segment_count >= 2);
    ht_reader_module_free(&module);
}

static void assert_demangles(struct ht_reader *reader)
{
#ifdef HT_HAVE_LIBIBERTY
    const char *const symbols[] = {"_ZN3foo3barEv", "_Znot_a_name", "_ZSt4cout"};
    char *names[3];
    assert_int_equal(ht_reader_demangle(reader, symbols, 3, HT_DEMANGLE_SIMPLE, names), 0);
    assert_string_equal(names[0], "foo::bar");
    assert_null(names[1]);
    assert_string_equal(names[2], "std::cout");
    free(names[0]);
    free(names[2]);
#else
    (void)reader;
#endif
}

static void test_answers(void **state)
{
    (void)state;
    struct ht_reader reader = {0};
    struct ht_reader_module module;
    assert_names(&reader);
    assert_demangles(&reader);
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    assert_int_equal(ht_reader_open(&reader, fd, "passwd", NULL, &module), -1);
    assert_non_null(strstr(ht_error(), "ELF"));
    assert_names(&reader); // a bad file costs nothing but itself
    ht_reader_end(&reader);
    ht_reader_end(&reader);
}

static char *status_of(pid_t pid)
{
    char *path = ht_format("/proc/%d/status", (int)pid), *text = ht_alloc_zero(1, 8192);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_true(fread(text, 1, 8191, file) > 0);
    fclose(file);
    free(path);
    return text;
}

static void test_has_no_rights(void **state)
{
    (void)state;
    const bool is_root = geteuid() == 0;
    struct ht_reader reader = {.owner = {is_root ? 12345 : geteuid(), is_root ? 23456 : getegid()}};
    assert_names(&reader);
    char *status = status_of(reader.pid);
    assert_non_null(strstr(status, "\nCapPrm:\t0000000000000000\n"));
    assert_non_null(strstr(status, "\nCapEff:\t0000000000000000\n"));
    assert_non_null(strstr(status, "\nNoNewPrivs:\t1\n"));
    assert_non_null(strstr(status, "\nSeccomp:\t2\n"));
    if (is_root) {
        assert_non_null(strstr(status, "\nUid:\t12345\t12345\t12345\t12345\n"));
        assert_non_null(strstr(status, "\nGid:\t23456\t23456\t23456\t23456\n"));
        assert_non_null(strstr(status, "\nGroups:\t \n"));
    }
    free(status);
    ht_reader_end(&reader);
}

// Killed, stopped for good, or talking nonsense: the file's names are lost, the next reader reads on; after
// the third there is none any more.
static void test_deaths(void **state)
{
    (void)state;
    struct ht_reader reader = {0};
    struct ht_reader_module module;
    for (int i = 0; i < 3; i++) {
        assert_names(&reader);
        kill(reader.pid, SIGSEGV);
        int result = ht_reader_open(&reader, open_own(), "exe", NULL, &module);
        assert_int_equal(result, HT_READER_DIED);
    }
    assert_int_equal(ht_reader_open(&reader, open_own(), "exe", NULL, &module), HT_READER_DIED);
    assert_non_null(strstr(ht_error(), "3 times"));
    ht_reader_end(&reader);
}

static void test_stuck(void **state)
{
    (void)state;
    struct ht_reader reader = {0};
    struct ht_reader_module module;
    assert_names(&reader);
    kill(reader.pid, SIGSTOP);
    assert_int_equal(ht_reader_open(&reader, open_own(), "exe", NULL, &module), HT_READER_DIED);
    assert_non_null(strstr(ht_error(), "no end"));
    assert_names(&reader);
    ht_reader_end(&reader);
}

// Any bytes as the reader's answer: refused or used, nothing is read beyond them (sanitizers look).
static void test_foreign_answers(void **state)
{
    (void)state;
    uint32_t random = 11;
    for (int round = 0; round < 400; round++) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        pid_t child = fork();
        if (child == 0) {
            // What a reader might say: a head that is nearly right, and bytes.
            uint64_t words[40];
            for (size_t i = 0; i < 40; i++) {
                random = (random + (uint32_t)round) * 1664525u + 1013904223u;
                words[i] = random >> (random >> 28);
            }
            uint32_t head[4] = {(uint32_t)HT_MESSAGE_FAILED + random % 5, 0, 8 * (random >> 8 & 31), 0};
            if (round % 16 == 0)
                head[3] = random;
            send(ends[1], head, sizeof head, MSG_NOSIGNAL);
            send(ends[1], words, 8 * (size_t)(random >> 8 & 31), MSG_NOSIGNAL);
            _exit(0);
        }
        close(ends[1]);
        struct ht_reader reader = {.socket = ends[0], .pid = child};
        struct ht_reader_module module = {0};
        struct ht_reader_answers answers;
        const uint64_t addresses[] = {1, 2, 3};
        if (round % 2 != 0) {
            if (ht_reader_resolve(&reader, addresses, 3, true, &module, NULL, &answers) == 0)
                ht_reader_answers_free(&answers);
        } else if (ht_reader_open(&reader, open_own(), "exe", NULL, &module) == 0) {
            ht_reader_module_free(&module);
        }
        ht_reader_end(&reader);
    }
}

static void assert_opens(struct ht_owner owner, const char *root, const char *path)
{
    int fd = ht_foreign_open(owner, root, path, NULL);
    assert_true(fd >= 0);
    close(fd);
}

// Regular files alone are opened, and no link leads out of a root.
static void test_foreign_open(void **state)
{
    (void)state;
    const struct ht_owner self = {0, 0};
    char *fifo = in_folder("fifo"), *root = in_folder("root"), *inside = in_folder("root/file");
    char *link = in_folder("root/link"), *secret = in_folder("secret"), *up = in_folder("root/up");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(mkdir(root, 0755), 0);
    close(open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    close(open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    assert_int_equal(symlink(secret, link), 0);
    assert_int_equal(symlink("../../../../../../etc/passwd", up), 0);
    assert_int_equal(ht_foreign_open(self, NULL, fifo, NULL), -1);
    assert_non_null(strstr(ht_error(), "regular"));
    assert_int_equal(ht_foreign_open(self, NULL, "/dev/null", NULL), -1);
    assert_int_equal(ht_foreign_open(self, NULL, folder, NULL), -1);
    assert_opens(self, root, "/file");
    assert_opens(self, root, "/../../../../..//file");
    assert_int_equal(ht_foreign_open(self, root, "/link", NULL), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(ht_foreign_open(self, root, "/up", NULL), -1);
    assert_int_equal(errno, ENOENT);
    char *all[] = {fifo, root, inside, link, secret, up};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

// Root opens what the owner may open, and is root again then.
static void test_rights(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
        return;
    }
    const gid_t before[] = {0, 7};
    gid_t after[4] = {0};
    const struct ht_owner other = {12345, 12345};
    char *secret = in_folder("mine");
    close(open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    chmod(folder, 0755);
    assert_int_equal(setgroups(2, before), 0);
    assert_int_equal(ht_foreign_open(other, NULL, secret, NULL), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(chown(secret, 12345, 12345), 0);
    assert_opens(other, NULL, secret);
    struct ht_rights saved;
    assert_int_equal(ht_rights_take(other, &saved), 0);
    char *made = in_folder("made");
    assert_int_equal(open(made, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
    assert_int_equal(getgroups(4, after), 0);
    ht_rights_return(&saved);
    assert_int_equal(getgroups(4, after), 2);
    assert_int_equal(after[1], 7);
    int fd = open(made, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    free(made);
    free(secret);
}

static int remove_folder(void **state)
{
    (void)state;
    char *command = ht_format("rm -rf %s", folder);
    int status = system(command);
    free(command);
    return status;
}

int main(int argc, char **argv)
{
    ht_serve_if_reader(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),         cmocka_unit_test(test_has_no_rights),
        cmocka_unit_test(test_deaths),          cmocka_unit_test(test_stuck),
        cmocka_unit_test(test_foreign_answers), cmocka_unit_test(test_foreign_open),
        cmocka_unit_test(test_rights),
    };
    if (mkdtemp(folder) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
