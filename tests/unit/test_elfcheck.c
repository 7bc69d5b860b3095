// What ELF files say, which programs `heaptap run` refuses, how a program is found: fixtures are compiled
// here, or written byte by byte.
#include "elf/check.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static const char *in_directory(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", directory, name);
    return path;
}

static void write_bytes(const char *name, const void *bytes, size_t length, mode_t mode)
{
    int fd = open(in_directory(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void write_text(const char *name, const char *text, mode_t mode)
{
    write_bytes(name, text, strlen(text), mode);
}

// Skips the test when the compiler cannot make this kind of program.
static void compile(const char *name, const char *source, const char *flags)
{
    char command[512], source_name[64];
    snprintf(source_name, sizeof source_name, "%s.c", name);
    write_text(source_name, source, 0600);
    snprintf(command, sizeof command, "cd %s && cc -w -o %s %s.c %s 2>/dev/null", directory, name, name,
             flags);
    if (system(command) != 0)
        skip();
}

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/heaptap-elf-XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static enum ht_elf_verdict check(const char *name)
{
    return ht_elf_check_file(in_directory(name));
}

#define PLAIN_SOURCE "int main(void) { return 0; }\n"
#define OWN_MALLOC_SOURCE                                                                                    \
    "#include <stddef.h>\n"                                                                                  \
    "static char pool[65536]; static size_t used;\n"                                                         \
    "void *malloc(size_t n) { void *p = pool + used; used += (n + 15) & ~15ul; return p; }\n"                \
    "void free(void *p) {}\n"                                                                                \
    "void *calloc(size_t a, size_t b) { return malloc(a * b); }\n"                                           \
    "void *realloc(void *p, size_t n) { return malloc(n); }\n"                                               \
    "int main(void) { return malloc(1) == 0; }\n"

static void test_plain_programs(void **state)
{
    (void)state;
    compile("plain", PLAIN_SOURCE, "");
    assert_int_equal(check("plain"), HT_ELF_OK);
    compile("nopie", PLAIN_SOURCE, "-no-pie");
    assert_int_equal(check("nopie"), HT_ELF_OK);
    compile("stripped", PLAIN_SOURCE, "-s");
    assert_int_equal(check("stripped"), HT_ELF_OK);
    compile("uses",
            "#include <stdlib.h>\nvoid *(*volatile f)(size_t) = malloc; int main(void) { return !f(1); }\n",
            "-no-pie");
    assert_int_equal(check("uses"), HT_ELF_OK); // an address of malloc in the table is no definition
    compile("oldhash", PLAIN_SOURCE, "-Wl,--hash-style=sysv");
    assert_int_equal(check("oldhash"), HT_ELF_OK);
    assert_null(ht_elf_complaint(HT_ELF_OK));
}

static void test_static_programs(void **state)
{
    (void)state;
    compile("static", PLAIN_SOURCE, "-static");
    assert_int_equal(check("static"), HT_ELF_STATIC);
    compile("staticpie", PLAIN_SOURCE, "-static-pie");
    assert_int_equal(check("staticpie"), HT_ELF_STATIC);
    assert_non_null(ht_elf_complaint(HT_ELF_STATIC));
    assert_non_null(ht_elf_remedy(HT_ELF_STATIC));
}

static void test_the_loader_is_no_static_program(void **state)
{
    (void)state;
    const char *loader = "/lib64/ld-linux-x86-64.so.2";
    if (access(loader, R_OK) == 0)
        assert_int_equal(ht_elf_check_file(loader), HT_ELF_OK);
}

static void test_own_malloc(void **state)
{
    (void)state;
    compile("own", OWN_MALLOC_SOURCE, "-fno-builtin");
    assert_int_equal(check("own"), HT_ELF_OWN_MALLOC);
    compile("ownstripped", OWN_MALLOC_SOURCE, "-fno-builtin -s");
    assert_int_equal(check("ownstripped"), HT_ELF_OWN_MALLOC);
    compile("ownold", OWN_MALLOC_SOURCE, "-fno-builtin -Wl,--hash-style=sysv");
    assert_int_equal(check("ownold"), HT_ELF_OWN_MALLOC);
    compile("hidden", OWN_MALLOC_SOURCE, "-fno-builtin -fvisibility=hidden");
    assert_int_equal(check("hidden"), HT_ELF_PRIVATE_MALLOC);
}

static void test_sanitizers(void **state)
{
    (void)state;
    compile("ubsan", PLAIN_SOURCE, "-fsanitize=undefined");
    assert_int_equal(check("ubsan"), HT_ELF_OK); // it has no allocator
    compile("asan", PLAIN_SOURCE, "-fsanitize=address");
    assert_int_equal(check("asan"), HT_ELF_SANITIZER);
    compile("tsan", PLAIN_SOURCE, "-fsanitize=thread");
    assert_int_equal(check("tsan"), HT_ELF_SANITIZER);
}

static void test_other_machines(void **state)
{
    (void)state;
    Elf32_Ehdr small = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
                        .e_machine = EM_386};
    write_bytes("i386", &small, sizeof small, 0755);
    assert_int_equal(check("i386"), HT_ELF_FOREIGN);
    Elf64_Ehdr other = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                        .e_machine = EM_RISCV};
    write_bytes("riscv", &other, sizeof other, 0755);
    assert_int_equal(check("riscv"), HT_ELF_FOREIGN);
    other.e_ident[EI_DATA] = ELFDATA2MSB;
    write_bytes("big", &other, sizeof other, 0755);
    assert_int_equal(check("big"), HT_ELF_FOREIGN);
}

// Every prefix of a program, and every byte of its headers turned over: some verdict, no crash, no endless
// walk.
static void test_damaged_files(void **state)
{
    (void)state;
    static unsigned char bytes[1 << 20];
    compile("victim", OWN_MALLOC_SOURCE, "-fno-builtin -s");
    int fd = open(in_directory("victim"), O_RDONLY);
    ssize_t length = read(fd, bytes, sizeof bytes);
    close(fd);
    assert_true(length > 4096);
    write_bytes("cut", bytes, 6, 0755);
    assert_int_equal(check("cut"), HT_ELF_UNKNOWN); // nothing can be said
    write_bytes("cut", bytes, 40, 0755);
    assert_int_equal(check("cut"), HT_ELF_BROKEN);
    write_bytes("cut", bytes, 200, 0755);
    assert_int_equal(check("cut"), HT_ELF_BROKEN);
    for (ssize_t cut = 0; cut < length; cut += 97) {
        write_bytes("cut", bytes, (size_t)cut, 0755);
        assert_true(check("cut") < HT_ELF_VERDICT_COUNT);
    }
    for (size_t at = 16; at < 4096; at += 3) {
        unsigned char kept = bytes[at];
        bytes[at] = (unsigned char)~kept;
        write_bytes("cut", bytes, (size_t)length, 0755);
        assert_true(check("cut") < HT_ELF_VERDICT_COUNT);
        bytes[at] = kept;
    }
    write_text("empty", "", 0755);
    assert_int_equal(check("empty"), HT_ELF_UNKNOWN);
    assert_int_equal(check("missing"), HT_ELF_UNKNOWN);
    assert_int_equal(ht_elf_check_file(directory), HT_ELF_UNKNOWN);
    assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
    assert_int_equal(check("fifo"), HT_ELF_UNKNOWN); // and no waiting for a writer
}

static void test_musl_programs(void **state)
{
    (void)state;
    compile("musl", PLAIN_SOURCE, "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1");
    assert_int_equal(check("musl"), HT_ELF_MUSL);
}

#define FUNCTIONS_SOURCE                                                                                     \
    "#include <stdlib.h>\n"                                                                                  \
    "#define F(n) int f##n(int a) { volatile int x[4] = {a, n, a, 1}; return x[a & 3] + x[1] * n; }\n"       \
    "#define T(n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7) F(n##8) F(n##9)\n"         \
    "T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9)\n"                                                         \
    "const char *volatile marker = \"a rather unusual text\";\n"                                             \
    "int main(void) { void *p = malloc(10); free(p); return f10(1) + f99(2); }\n"

static void test_questions_to_an_image(void **state)
{
    (void)state;
    static const char *const names[] = {"malloc", "no_such", "free"}, *const functions[] = {"f10", "malloc",
                                                                                            "main"};
    static const char *const texts[] = {"a rather unusual text", "not among them, surely"};
    struct ht_elf_image image;
    char text[64];
    uint8_t id[64];
    compile("asked", FUNCTIONS_SOURCE, "-g -O1 -fno-builtin -Wl,--build-id=0x0123456789abcdef");
    assert_int_equal(ht_elf_image_open(&image, in_directory("asked")), HT_ELF_WHOLE);
    assert_int_equal(ht_elf_image_imports(&image, names, 3), 5);
    assert_int_equal(ht_elf_image_functions(&image, functions, 3), 5);
    assert_int_equal(ht_elf_image_texts(&image, texts, 2), 1);
    assert_false(ht_elf_image_exports(&image, "malloc"));
    assert_int_equal(ht_elf_image_note(&image, "GNU", NT_GNU_BUILD_ID, id, sizeof id), 8);
    assert_int_equal(id[0] * 256 + id[7], 0x01ef);
    assert_int_equal(ht_elf_image_note(&image, "GNU", NT_GNU_BUILD_ID, id, 3), 3);
    assert_int_equal(ht_elf_image_note(&image, "Go", 4, id, sizeof id), 0);
    assert_non_null(ht_elf_image_section(&image, ".debug_info"));
    assert_null(ht_elf_image_section(&image, ".bss")); // no bytes in the file
    ht_elf_image_machine(&image, text, sizeof text);
    assert_string_equal(text, "64-bit " HT_ELF_MACHINE_NAME);
    assert_int_equal(image.needed_count, 1);
    assert_string_equal(image.needed[0], "libc.so.6");
    ht_elf_image_close(&image);
}

static struct ht_elf_unwind unwind_of(const char *name)
{
    struct ht_elf_image image;
    struct ht_elf_unwind unwind;
    assert_int_equal(ht_elf_image_open(&image, in_directory(name)), HT_ELF_WHOLE);
    ht_elf_image_unwind(&image, &unwind);
    ht_elf_image_close(&image);
    return unwind;
}

static void test_how_much_can_be_unwound(void **state)
{
    (void)state;
    compile("rows", FUNCTIONS_SOURCE, "-O1 -fomit-frame-pointer");
    struct ht_elf_unwind unwind = unwind_of("rows");
    assert_true(unwind.has_table);
    assert_in_range(unwind.covered_bytes, unwind.code_bytes * 7 / 10, unwind.code_bytes);
    assert_true(unwind.frame_prologs < 5);
    compile("norows", FUNCTIONS_SOURCE,
            "-O1 -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-unwind-tables");
    unwind = unwind_of("norows");
    assert_true(unwind.covered_bytes < unwind.code_bytes / 10);
    assert_true(unwind.frame_prologs >= 90);
}

static void test_memory_and_file_agree(void **state)
{
    (void)state;
    static unsigned char bytes[1 << 20];
    struct ht_elf_image image;
    compile("own", OWN_MALLOC_SOURCE, "-fno-builtin");
    int fd = open(in_directory("own"), O_RDONLY);
    ssize_t length = read(fd, bytes, sizeof bytes);
    close(fd);
    enum ht_elf_form form = ht_elf_image_memory(&image, bytes, (size_t)length);
    assert_int_equal(ht_elf_check_image(&image, form), HT_ELF_OWN_MALLOC);
    assert_true(ht_elf_image_exports(&image, "calloc"));
    ht_elf_image_close(&image);
}

static void test_scripts_are_followed(void **state)
{
    (void)state;
    struct ht_elf_caller caller = ht_elf_this_caller();
    char about[PATH_MAX], text[PATH_MAX];
    compile("static", PLAIN_SOURCE, "-static");
    snprintf(text, sizeof text, "#!%s -x\nhello\n", in_directory("static"));
    write_text("script", text, 0755);
    assert_int_equal(ht_elf_check_program(in_directory("script"), &caller, about), HT_ELF_STATIC);
    assert_string_equal(about, in_directory("static"));
    snprintf(text, sizeof text, "#! %s\n", in_directory("script"));
    write_text("script2", text, 0755);
    assert_int_equal(ht_elf_check_program(in_directory("script2"), &caller, about), HT_ELF_STATIC);
    snprintf(text, sizeof text, "#!/usr/bin/env %s\n", in_directory("static"));
    write_text("viaenv", text, 0755);
    assert_int_equal(ht_elf_check_program(in_directory("viaenv"), &caller, about), HT_ELF_STATIC);
    snprintf(text, sizeof text, "#!%s\n", in_directory("loop"));
    write_text("loop", text, 0755);
    ht_elf_check_program(in_directory("loop"), &caller, about); // ends
    write_text("sh", "#!/bin/sh\n", 0755);
    assert_int_equal(ht_elf_check_program(in_directory("sh"), &caller, about), HT_ELF_OK);
    write_text("noline", "echo a script without its first line\n", 0755);
    assert_int_equal(ht_elf_check_program(in_directory("noline"), &caller, about), HT_ELF_UNKNOWN);
}

static void test_rights(void **state)
{
    (void)state;
    write_text("file", PLAIN_SOURCE, 0755);
    const char *path = in_directory("file");
    struct stat stat_of;
    assert_int_equal(stat(path, &stat_of), 0);
    struct ht_elf_caller owner = {stat_of.st_uid, stat_of.st_uid, stat_of.st_gid, stat_of.st_gid, false};
    struct ht_elf_caller other = {stat_of.st_uid + 1, stat_of.st_uid + 1, stat_of.st_gid + 1,
                                  stat_of.st_gid + 1, false};
    assert_int_equal(ht_elf_check_rights(path, &other), HT_ELF_OK);
    assert_int_equal(chmod(path, 04755), 0);
    assert_int_equal(ht_elf_check_rights(path, &owner), HT_ELF_OK); // nothing is gained
    assert_int_equal(ht_elf_check_rights(path, &other), HT_ELF_SETUID);
    other.no_new_privs = true;
    assert_int_equal(ht_elf_check_rights(path, &other), HT_ELF_OK);
    other.no_new_privs = false;
    assert_int_equal(chmod(path, 02755), 0);
    assert_int_equal(ht_elf_check_rights(path, &owner), HT_ELF_OK);
    assert_int_equal(ht_elf_check_rights(path, &other), HT_ELF_SETGID);
    assert_int_equal(chmod(path, 02745), 0); // without x for the group the bit means something else
    assert_int_equal(ht_elf_check_rights(path, &other), HT_ELF_OK);
    struct ht_elf_caller changed = {stat_of.st_uid + 1, stat_of.st_uid, stat_of.st_gid, stat_of.st_gid,
                                    false};
    assert_int_equal(ht_elf_check_rights(path, &changed), HT_ELF_SETUID); // heaptap itself is setuid
}

static void test_capabilities(void **state)
{
    (void)state;
    write_text("file", PLAIN_SOURCE, 0755);
    const char *path = in_directory("file");
    char command[256];
    snprintf(command, sizeof command, "setcap cap_net_raw+ep %s 2>/dev/null", path);
    if (system(command) != 0)
        skip();
    struct ht_elf_caller root = {0, 0, 0, 0, false}, user = {1000, 1000, 1000, 1000, false};
    assert_int_equal(ht_elf_check_rights(path, &root), HT_ELF_OK);
    assert_int_equal(ht_elf_check_rights(path, &user), HT_ELF_CAPABILITIES);
}

static void test_finding_programs(void **state)
{
    (void)state;
    char path[PATH_MAX], search[PATH_MAX];
    mkdir(in_directory("a"), 0700);
    mkdir(in_directory("b"), 0700);
    mkdir(in_directory("a/tool"), 0700); // a directory of the same name is passed over
    write_text("b/tool", "#!/bin/sh\n", 0755);
    write_text("a/plain", "x", 0644);
    snprintf(search, sizeof search, "/nonexistent::%s/a:%s/b", directory, directory);
    assert_int_equal(ht_program_find("tool", search, path), 0);
    assert_string_equal(path, in_directory("b/tool"));
    assert_int_equal(ht_program_find("plain", search, path), 126);
    assert_string_equal(path, in_directory("a/plain"));
    assert_int_equal(ht_program_find("nonesuch", search, path), 127);
    assert_int_equal(ht_program_find("", search, path), 127);
    assert_int_equal(ht_program_find("sh", NULL, path), 0);
    assert_int_equal(ht_program_find(in_directory("a/plain"), search, path), 126);
    assert_int_equal(ht_program_find(in_directory("a"), search, path), 126);
    assert_int_equal(ht_program_find("/nonexistent/x", search, path), 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_programs),
        cmocka_unit_test(test_static_programs),
        cmocka_unit_test(test_own_malloc),
        cmocka_unit_test(test_sanitizers),
        cmocka_unit_test(test_other_machines),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_musl_programs),
        cmocka_unit_test(test_questions_to_an_image),
        cmocka_unit_test(test_how_much_can_be_unwound),
        cmocka_unit_test(test_memory_and_file_agree),
        cmocka_unit_test(test_scripts_are_followed),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_finding_programs),
        cmocka_unit_test(test_the_loader_is_no_static_program),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
