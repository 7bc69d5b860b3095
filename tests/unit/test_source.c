// Tests how source files are found and split into lines, and what a graph in Graphviz's language and folded
// stacks do with names that are no plain words. (tests/golden holds whole reports against pprof's.)
#include "cmd/reports.h"
#include "view/graph/dot.h"
#include "view/text/source.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void write_text(const char *path, const char *text, size_t length)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void test_sources(void **state)
{
    (void)state;
    char folder[] = "/tmp/heaptap-source.XXXXXX";
    static const char text[] = "one\r\n\ntw\0o\nlast";
    struct ht_sources sources;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("a", 0700) | mkdir("a/b", 0700) | mkdir("pipe", 0700) | mkfifo("pipe/f.c", 0600),
                     0);
    write_text("x.c", text, sizeof text - 1);
    write_text("a/b/y.c", "", 0);
    ht_sources_init(&sources, (struct ht_owner){0, 0}, "a/b", NULL); // and all folders above
    const struct ht_source_file *file = ht_sources_find(&sources, "x.c");
    assert_null(file->error);
    assert_int_equal(file->line_count, 4);
    assert_string_equal(ht_source_line(file, 1), "one");
    assert_string_equal(ht_source_line(file, 2), "");
    assert_string_equal(ht_source_line(file, 3), "tw o");
    assert_string_equal(ht_source_line(file, 4), "last");
    assert_null(ht_source_line(file, 0));
    assert_null(ht_source_line(file, 5));
    assert_null(ht_source_line(file, INT64_MIN));
    assert_ptr_equal(ht_sources_find(&sources, "x.c"), file);
    assert_int_equal(ht_sources_find(&sources, "y.c")->line_count, 0);
    assert_null(ht_sources_known(&sources, "z.c"));
    assert_string_equal(ht_sources_find(&sources, "z.c")->error, "could not find file z.c on path a/b");
    assert_non_null(ht_sources_known(&sources, "z.c"));
    assert_string_equal(ht_sources_find(&sources, "/nowhere/z.c")->error,
                        "open /nowhere/z.c: no such file or directory");
    assert_string_equal(ht_sources_find(&sources, "/dev/zero")->error, "open /dev/zero: not a plain file");
    // A socket cannot even be opened: what is no plain file is seen before.
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listening = socket(AF_UNIX, SOCK_STREAM, 0);
    char *wanted = ht_format("open %s/s.c: not a plain file", folder);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s.c", folder);
    assert_int_equal(bind(listening, (const struct sockaddr *)&address, sizeof address), 0);
    assert_string_equal(ht_sources_find(&sources, address.sun_path)->error, wanted);
    assert_int_equal(unlink(address.sun_path), 0);
    close(listening);
    free(wanted);
    write_text("large.c", "x", 1);
    assert_int_equal(truncate("large.c", (32 << 20) + 1), 0);
    wanted = ht_format("open %s/large.c: too large", folder);
    char *large = ht_format("%s/large.c", folder);
    assert_string_equal(ht_sources_find(&sources, large)->error, wanted);
    unlink(large);
    free(large);
    free(wanted);
    sources.read_bytes = 256 << 20; // no more of them
    assert_non_null(strstr(ht_sources_find(&sources, "a/b/y.c")->error, "256 MB already"));
    ht_sources_free(&sources);
    ht_sources_init(&sources, (struct ht_owner){0, 0}, "nowhere::pipe",
                    "/built/here"); // the pipe is not waited for
    assert_non_null(ht_sources_find(&sources, "f.c")->error);
    assert_null(ht_sources_find(&sources, "/built/here/x.c")->error);
    ht_sources_free(&sources);
    ht_sources_init(&sources, (struct ht_owner){0, 0}, "", NULL);
    assert_null(ht_sources_find(&sources, "a/../x.c")->error);
    ht_sources_free(&sources);
    assert_int_equal(unlink("x.c") | unlink("a/b/y.c") | unlink("pipe/f.c") | rmdir("a/b") | rmdir("a") |
                         rmdir("pipe"),
                     0);
    assert_int_equal(chdir("/") | rmdir(folder), 0);
}

static void expect_source(const char *search_path, const char *path, const char *first_line)
{
    struct ht_sources sources;
    ht_sources_init(&sources, (struct ht_owner){0, 0}, search_path, NULL);
    const struct ht_source_file *file = ht_sources_find(&sources, path);
    if (first_line == NULL)
        assert_non_null(file->error);
    else if (file->error != NULL)
        fail_msg("%s in %s: %s", path, search_path, file->error);
    else
        assert_string_equal(ht_source_line(file, 1), first_line);
    ht_sources_free(&sources);
}

// A module cache, a folder with copies of modules, Go's own sources.
static void test_go_sources(void **state)
{
    (void)state;
    static const char *const files[] = {"cache/github.com/!burnt!sushi/toml@v1.2.0/De.go",
                                        "work/vendor/github.com/BurntSushi/toml/De.go",
                                        "go/src/runtime/malloc.go"};
    char folder[] = "/tmp/heaptap-source.XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *command = ht_format("mkdir -p \"$(dirname '%s')\" && echo %zu > '%s'", files[i], i, files[i]);
        assert_int_equal(system(command), 0);
        free(command);
    }
    assert_int_equal(system("mkdir -p home/pkg && mv cache home/pkg/mod && ln -s home/pkg/mod cache"), 0);
    char *cache = ht_format("%s/cache", folder), *home = ht_format("%s/home", folder),
         *work = ht_format("nowhere:%s/work", folder), *go = ht_format("%s/go", folder);
    static const char trimmed[] = "github.com/BurntSushi/toml@v1.2.0/De.go",
                      whole[] = "/ci/go/pkg/mod/github.com/!burnt!sushi/toml@v1.2.0/De.go",
                      vendored[] = "/ci/work2/vendor/github.com/BurntSushi/toml/De.go";
    expect_source(cache, trimmed, "0");
    expect_source(cache, whole, "0");
    expect_source(home, trimmed, "0");
    expect_source(home, whole, "0");
    expect_source(work, trimmed, "1");
    expect_source(work, whole, "1");
    expect_source(work, vendored, "1");
    expect_source(go, "runtime/malloc.go", "2");
    expect_source(cache, "github.com/BurntSushi/toml@v1.3.0/De.go", NULL); // another version is another file
    expect_source(cache, vendored, NULL);
    free(cache);
    free(home);
    free(work);
    free(go);
    assert_int_equal(chdir("/"), 0);
    char *remove_all = ht_format("rm -r '%s'", folder);
    assert_int_equal(system(remove_all), 0);
    free(remove_all);
}

// A profile with one sample whose leaf has this name.
static struct ht_profile *profile_of(const char *name)
{
    struct ht_profile *p = ht_profile_new();
    struct ht_profile_mapping mapping = {
        .start = 1, .limit = 9, .file = ht_profile_intern_text(p, "/x/\"quoted\"")};
    ht_profile_add_sample_type(p, "space", "bytes");
    uint32_t program = ht_profile_add_mapping(p, &mapping);
    struct ht_line leaf = {.function = ht_profile_add_function(p, name, name, "", 0)};
    struct ht_line root = {.function = ht_profile_add_function(p, "main", "main", "", 0)};
    uint32_t stack[] = {ht_profile_add_location(p, program, 2, &leaf, 1),
                        ht_profile_add_location(p, program, 3, &root, 1)};
    struct ht_label label = {.key = ht_profile_intern_text(p, "k"),
                             .text = ht_profile_intern_text(p, "a\"b\\")};
    int64_t value = 2048;
    ht_profile_add_sample(p, stack, 2, &value, &label, 1);
    return p;
}

static void expect_report(const char *name, const char *report, const char *part)
{
    struct ht_profile *p = profile_of(name);
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    struct ht_report_form form = {.name = report};
    struct ht_report r;
    struct ht_buffer out = {0};
    ht_report_settle(ht_report_find(report), &options);
    assert_int_equal(ht_report_init(&r, p, &options), 0);
    assert_int_equal(ht_report_find(report)->write(&r, &form, &out), 0);
    if (strstr(out.data, part) == NULL)
        print_error("%s is not in\n%s", part, out.data);
    assert_non_null(strstr(out.data, part));
    ht_buffer_free(&out);
    ht_report_free(&r);
    ht_profile_free(p);
}

static void test_names(void **state)
{
    (void)state;
    expect_report("ns::Type::f<int>", "dot", "[label=\"Type\\nf<int>\\n2kB");
    expect_report("(anonymous namespace)::g", "dot", "[label=\"g\\n2kB");
    expect_report("example.com/a/b/v2/c.(*T[...]).Run", "dot", "[label=\"c\\n(*T[\u2026])\\nRun\\n2kB");
    expect_report("com.example.Class.method(int)", "dot", "[label=\"Class\\nmethod\\n2kB");
    expect_report("say \"hi\"\\", "dot", "[label=\"say \\\"hi\\\"\\\\\\n2kB");
    expect_report("f", "dot", "digraph \"\\\"quoted\\\"\" {");
    expect_report("f", "dot", "[label = \"k:a\\\"b\\\\\" id=\"N1_0\"");
    expect_report("operator new; x\n", "folded", "main;operator new: x_ 2048\n");
    expect_report("", "folded", "main;[\"quoted\"] 2048\n");
    expect_report("f", "callgrind", "fn=(1) f\n0x2 0 2\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_go_sources),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
