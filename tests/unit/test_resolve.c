// Tests symbolization: this very test program with its inlined calls against itself, the C library's symbols,
// files that changed or are gone, and readable names.
#include "base/error.h"
#include "resolve/cache.h"
#include "resolve/inflate.h"
#include "resolve/jit.h"
#include "resolve/resolve.h"
#include "resolve/serve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static volatile int sink;

enum { INNER_LINE = __LINE__ + 5 };
static inline __attribute__((always_inline)) const void *inner(void)
{
    sink++;
    const void *here;
    __asm__ volatile("lea 0(%%rip), %0" : "=r"(here));
    sink++;
    return here;
}

enum { MIDDLE_LINE = __LINE__ + 3 };
static inline __attribute__((always_inline)) const void *middle(void)
{
    return inner();
}

enum { OUTER_LINE = __LINE__ + 3 };
static __attribute__((noinline)) const void *outer(void)
{
    const void *here = middle();
    sink++;
    return here;
}

// Adds a mapping of this process that holds the address; its file and place as /proc/self/maps tells.
static uint32_t add_mapping_of(struct ht_profile *p, uint64_t address)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    char line[4096], file[4096];
    unsigned long start, limit, offset;
    while (fgets(line, sizeof line, maps) != NULL) {
        file[0] = '\0';
        if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %4000[^\n]", &start, &limit, &offset, file) < 3 ||
            address < start || address >= limit)
            continue;
        fclose(maps);
        struct ht_profile_mapping mapping = {
            .start = start, .limit = limit, .offset = offset, .file = ht_profile_intern_text(p, file)};
        return ht_profile_add_mapping(p, &mapping);
    }
    fail_msg("no mapping at %lx", (unsigned long)address);
    return 0;
}

static const char *name_at(const struct ht_profile *p, uint32_t location, uint32_t line)
{
    const struct ht_location *l = &p->locations[location];
    assert_true(line < l->line_count);
    return ht_profile_text(p, p->functions[p->lines[l->lines + line].function].name);
}

static const struct ht_line *line_at(const struct ht_profile *p, uint32_t location, uint32_t line)
{
    return &p->lines[p->locations[location].lines + line];
}

static void test_inlined_chain(void **state)
{
    (void)state;
    struct ht_profile *p = ht_profile_new();
    uint64_t address = (uint64_t)(uintptr_t)outer() - 1; // inside the instruction before
    uint32_t mapping = add_mapping_of(p, address);
    uint32_t location = ht_profile_add_location(p, mapping, address, NULL, 0);
    ht_resolve_profile(p, NULL);
    assert_int_equal(p->locations[location].line_count, 3);
    assert_string_equal(name_at(p, location, 0), "inner");
    assert_string_equal(name_at(p, location, 1), "middle");
    assert_string_equal(name_at(p, location, 2), "outer");
    assert_int_equal(line_at(p, location, 0)->line, INNER_LINE);
    assert_int_equal(line_at(p, location, 1)->line, MIDDLE_LINE);
    assert_int_equal(line_at(p, location, 2)->line, OUTER_LINE);
    const char *file = ht_profile_text(p, p->functions[line_at(p, location, 0)->function].file);
    assert_non_null(strstr(file, "test_resolve.c"));
    assert_int_equal(p->functions[line_at(p, location, 2)->function].start_line, OUTER_LINE - 2);
    assert_true(p->mappings[mapping].has_functions);
    assert_true(p->mappings[mapping].has_inline_frames);
    assert_int_equal(ht_profile_check(p), 0);
    ht_profile_free(p);
}

static void test_library_symbols(void **state)
{
    (void)state;
    struct ht_profile *p = ht_profile_new();
    uint64_t address = (uint64_t)(uintptr_t)&qsort + 4;
    uint32_t location = ht_profile_add_location(p, add_mapping_of(p, address), address, NULL, 0);
    ht_resolve_profile(p, NULL);
    assert_true(p->locations[location].line_count >= 1);
    assert_non_null(strstr(name_at(p, location, p->locations[location].line_count - 1), "qsort"));
    ht_profile_free(p);
}

static void test_other_file_is_refused(void **state)
{
    (void)state;
    struct ht_profile *p = ht_profile_new();
    uint64_t address = (uint64_t)(uintptr_t)&outer;
    uint32_t mapping = add_mapping_of(p, address);
    p->mappings[mapping].build_id = ht_profile_intern_text(p, "00112233445566778899aabbccddeeff00112233");
    uint32_t location = ht_profile_add_location(p, mapping, address, NULL, 0);
    struct ht_resolve_options quiet = {.quiet = true};
    ht_resolve_profile(p, &quiet);
    assert_int_equal(p->locations[location].line_count, 0);
    assert_false(p->mappings[mapping].has_functions);
    p->mappings[mapping].build_id = 0;
    p->mappings[mapping].file = ht_profile_intern_text(p, "/nowhere/at/all");
    ht_resolve_profile(p, &quiet);
    assert_int_equal(p->locations[location].line_count, 0);
    p->mappings[mapping].file = ht_profile_intern_text(p, "/etc/passwd"); // no ELF file
    ht_resolve_profile(p, &quiet);
    assert_int_equal(p->locations[location].line_count, 0);
    p->mappings[mapping].file = ht_profile_intern_text(p, "/proc/self/exe");
    p->locations[location].address = p->mappings[mapping].limit + 5; // outside its mapping
    ht_resolve_profile(p, &quiet);
    assert_int_equal(p->locations[location].line_count, 0);
    ht_profile_free(p);
}

static void check_demangled(const char *symbol, enum ht_demangle mode, const char *expected)
{
    char *name = ht_demangle(symbol, mode);
    if (expected == NULL)
        assert_null(name);
    else
        assert_string_equal(name, expected);
    free(name);
}

static void test_demangle(void **state)
{
    (void)state;
    enum { STUBS = 1 << 18 };
    char *stubs = ht_alloc(4 * STUBS + 6); // a stub of a stub of a stub ... is none
    memcpy(stubs, "_Z1fv", 5);
    for (size_t i = 0; i <= STUBS; i++) {
        memcpy(stubs + 5 + 4 * i, i < STUBS ? "@plt" : "", i < STUBS ? 4 : 1);
    }
    check_demangled(stubs, HT_DEMANGLE_SIMPLE, NULL);
    free(stubs);
#ifdef HT_HAVE_LIBIBERTY
    const char *vector = "_ZNSt6vectorIiSaIiEE9push_backEOi";
    check_demangled(vector, HT_DEMANGLE_SIMPLE, "std::vector::push_back");
    check_demangled(vector, HT_DEMANGLE_TEMPLATES, "std::vector<int, std::allocator<int> >::push_back");
    check_demangled(vector, HT_DEMANGLE_FULL, "std::vector<int, std::allocator<int> >::push_back(int&&)");
    check_demangled(vector, HT_DEMANGLE_NONE, NULL);
    check_demangled("_ZlsRSoRK3Foo", HT_DEMANGLE_SIMPLE, "operator<<");
    check_demangled("_ZN3BoxIiEltERKS0_", HT_DEMANGLE_SIMPLE, "Box::operator<");
    check_demangled("_ZNK3PtrIiEptEv", HT_DEMANGLE_SIMPLE, "Ptr::operator->");
    check_demangled("_ZN12_GLOBAL__N_13BoxIiE3getEv", HT_DEMANGLE_SIMPLE, "(anonymous namespace)::Box::get");
    check_demangled("_ZN3foo3barEi.cold", HT_DEMANGLE_SIMPLE, "foo::bar");
    check_demangled("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", HT_DEMANGLE_SIMPLE,
                    "core::fmt::Formatter::pad");
    check_demangled("_RNvCs1234_7mycrate3foo", HT_DEMANGLE_SIMPLE, "mycrate::foo");
    check_demangled("_ZN1FlsIiEERS_T_", HT_DEMANGLE_SIMPLE, "F::operator<<");
    check_demangled("_ZNK1FclIiEEiT_", HT_DEMANGLE_SIMPLE, "F::operator()");
    check_demangled("_ZN1GIiEixIdEEiT_", HT_DEMANGLE_SIMPLE, "G::operator[]");
    check_demangled("_ZN14a$u20$test$GT$4foobE", HT_DEMANGLE_SIMPLE, "a test>::foob"); // its hash cut off
    check_demangled("_ZN3foo3bar17h0000000000000000E", HT_DEMANGLE_SIMPLE, "foo::bar");
#else
    check_demangled("_ZN3foo3barEi", HT_DEMANGLE_SIMPLE, NULL);
#endif
    // Rust's names as tools leave them that know C++ alone.
    check_demangled("core::ptr::drop_in_place$LT$alloc..string..String$GT$::h0123456789abcdef",
                    HT_DEMANGLE_SIMPLE, "core::ptr::drop_in_place<alloc::string::String>");
    check_demangled("_$LT$$RF$T$u20$as$u20$core..fmt..Debug$GT$::fmt", HT_DEMANGLE_FULL,
                    "<&T as core::fmt::Debug>::fmt");
    check_demangled("a::b::_$u7b$$u7b$closure$u7d$$u7d$::h0123456789abcdef", HT_DEMANGLE_SIMPLE,
                    "a::b::{{closure}}");
    check_demangled("x$LT$broken$u2$u20$", HT_DEMANGLE_SIMPLE,
                    "x<broken$u2 "); // no letter has the number 2
    check_demangled("_ZN9a$u20$wrong", HT_DEMANGLE_SIMPLE, NULL);
    check_demangled("com.example.A$C$B.run", HT_DEMANGLE_SIMPLE, NULL);
    check_demangled("main", HT_DEMANGLE_FULL, NULL);
    check_demangled("_start", HT_DEMANGLE_FULL, NULL);
    check_demangled("_Z", HT_DEMANGLE_FULL, NULL);
}

static const char *readable(const char *name, const char *system_name, enum ht_demangle mode, bool given)
{
    static char text[200];
    struct ht_profile *p = ht_profile_new();
    ht_profile_add_function(p, name, system_name, "", 0);
    struct ht_resolve_options options = {.demangle = mode, .names_given = given};
    ht_resolve_profile(p, &options);
    snprintf(text, sizeof text, "%s", ht_profile_text(p, p->functions[0].name));
    ht_profile_free(p);
    return text;
}

static void test_names_of_other_writers(void **state)
{
    (void)state;
#ifdef HT_HAVE_LIBIBERTY
    assert_string_equal(readable("_ZN1a1bEv", "_ZN1a1bEv", HT_DEMANGLE_SIMPLE, false), "a::b");
    assert_string_equal(readable("", "_ZN1a1bEv", HT_DEMANGLE_SIMPLE, false), "a::b");
    assert_string_equal(readable("kept", "_ZN1a1bEv", HT_DEMANGLE_FULL, true), "a::b()");
#else
    assert_string_equal(readable("_ZN1a1bEv", "_ZN1a1bEv", HT_DEMANGLE_SIMPLE, false), "_ZN1a1bEv");
    assert_string_equal(readable("", "_ZN1a1bEv", HT_DEMANGLE_SIMPLE, false), "_ZN1a1bEv");
    assert_string_equal(readable("kept", "_ZN1a1bEv", HT_DEMANGLE_FULL, true), "_ZN1a1bEv");
#endif
    assert_string_equal(readable("kept", "_ZN1a1bEv", HT_DEMANGLE_SIMPLE, false), "kept");
    // Debug info names lambdas and their kin without mangling.
    assert_string_equal(readable("", "operator()<int>", HT_DEMANGLE_SIMPLE, false), "operator()");
    assert_string_equal(readable("", "F<a<b> >::operator()(int) const", HT_DEMANGLE_SIMPLE, false),
                        "F::operator() const");
    assert_string_equal(readable("", "operator<< <int>", HT_DEMANGLE_SIMPLE, false), "operator<<");
    assert_string_equal(readable("", "F<int>::operator->(int)", HT_DEMANGLE_TEMPLATES, false),
                        "F<int>::operator->");
    assert_string_equal(readable("", "my_operator<int>(int)", HT_DEMANGLE_SIMPLE, false), "my_operator");
    assert_string_equal(readable("a::b<int>(char)", "a::b<int>(char)", HT_DEMANGLE_SIMPLE, false), "a::b");
    assert_string_equal(readable("main.(*T[...]).f", "main.(*T[...]).f", HT_DEMANGLE_SIMPLE, false),
                        "main.(*T[...]).f");
    assert_string_equal(readable("a<b", "a<b", HT_DEMANGLE_SIMPLE, false), "a<b");
}

static const char build_id[] = "00112233445566778899aabbccddeeff00112233";
static char folder[] = "/tmp/heaptap-test.XXXXXX";

static char *read_file(const char *path, size_t *ret_length)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *bytes = ht_alloc(1 << 20);
    *ret_length = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

static void save_addresses(uint64_t first, uint64_t end)
{
    const struct ht_segment segment = {.address = 0x1000, .offset = 0x1000, .file_bytes = 0x5000, .flags = 1};
    const struct ht_layout layout = {.segments = &segment, .segment_count = 1};
    struct ht_cache_writer writer = {.limit_bytes = UINT64_C(1) << 29};
    for (uint64_t address = first; address < end; address++) {
        uint32_t inner = ht_cache_add_function(&writer, "_Z5innerv", "inner", "a.cc", 3);
        uint32_t outer = ht_cache_add_function(&writer, "outer", "outer", NULL, (int64_t)1 << 40);
        ht_cache_add_frame(&writer, inner, (int64_t)address);
        ht_cache_add_frame(&writer, outer, 7);
        ht_cache_add_entry(&writer, address, address % 3 == 0 ? 0 : 2);
    }
    struct ht_buffer bytes = {0};
    struct ht_cache news;
    ht_cache_write(&writer, build_id, &layout, &bytes);
    assert_int_equal(ht_cache_parse(&news, bytes.data, bytes.length, build_id), 0);
    ht_cache_save(&news, folder, build_id);
    ht_cache_close(&news);
}

static void test_cache(void **state)
{
    (void)state;
    struct ht_cache cache;
    uint32_t count;
    assert_int_equal(ht_cache_open(&cache, folder, build_id, build_id), -1);
    assert_null(ht_cache_find(&cache, 1, &count));
    save_addresses(0x1000, 0x1100);
    save_addresses(0x1080, 0x1200); // what was there stays
    assert_int_equal(ht_cache_open(&cache, folder, build_id, build_id), 0);
    assert_int_equal(ht_cache_layout(&cache).segment_count, 1);
    assert_int_equal(ht_cache_function_count(&cache), 2);
    for (uint64_t address = 0x1000; address < 0x1200; address++) {
        const struct ht_cache_frame *frames = ht_cache_find(&cache, address, &count);
        assert_non_null(frames);
        assert_int_equal(count, address % 3 == 0 ? 0 : 2);
        if (count == 0)
            continue;
        assert_int_equal(frames[0].line, address);
        assert_string_equal(ht_cache_text(&cache, cache.functions[frames[0].function].name), "inner");
        assert_string_equal(ht_cache_text(&cache, cache.functions[frames[1].function].symbol), "outer");
        assert_null(ht_cache_text(&cache, cache.functions[frames[1].function].file));
        assert_int_equal(cache.functions[frames[1].function].start_line, 0); // does not fit
    }
    assert_null(ht_cache_find(&cache, 0x1200, &count));
    ht_cache_close(&cache);
    assert_int_equal(ht_cache_open(&cache, folder, "0011223344556677", "0011223344556677"), -1);
    assert_null(ht_cache_key("../../../../../etc/passwd"));
    assert_null(ht_cache_key_of("../../../../../etc/passwd", 0));
    char *key = ht_cache_key_of(build_id, 1000); // what was read for one user is not another's
    assert_int_equal(ht_cache_open(&cache, folder, key, build_id), -1);
    free(key);
}

// Every cut and many changes of a good file: refused, or answers without leaving the file (sanitizers look).
static void test_broken_cache(void **state)
{
    (void)state;
    char path[200];
    size_t length;
    struct ht_cache cache;
    uint32_t random = 1, count;
    save_addresses(0x1000, 0x1020);
    snprintf(path, sizeof path, "%s/%s", folder, build_id);
    char *good = read_file(path, &length);
    for (size_t cut = 0; cut < length; cut++) {
        char *bytes = ht_alloc(cut);
        memcpy(bytes, good, cut);
        assert_int_equal(ht_cache_parse(&cache, bytes, cut, build_id), -1);
    }
    for (int i = 0; i < 5000; i++) {
        char *bytes = ht_alloc(length);
        memcpy(bytes, good, length);
        random = random * 1664525u + 1013904223u;
        bytes[(random >> 8) % length] ^= (char)(1 << (random >> 29));
        assert_int_equal(ht_cache_parse(&cache, bytes, length, build_id), -1);
        assert_null(ht_cache_find(&cache, 0x1000, &count));
    }
    free(good);
}

// A file ends at its limit: what was found out last stays, of older answers as many as there is room for.
static void test_cache_bound(void **state)
{
    (void)state;
    enum { OLD = 1200000, NEW = 1300000 };
    char path[200];
    struct ht_cache cache;
    struct stat stat_of;
    uint32_t count, kept = 0;
    save_addresses(0x100000000, 0x100000000 + OLD);
    save_addresses(0x200000000, 0x200000000 + NEW);
    snprintf(path, sizeof path, "%s/%s", folder, build_id);
    assert_int_equal(stat(path, &stat_of), 0);
    assert_true((uint64_t)stat_of.st_size <= HT_CACHE_FILE_BYTES);
    assert_int_equal(ht_cache_open(&cache, folder, build_id, build_id), 0);
    for (uint64_t i = 0; i < NEW; i += 1000)
        assert_non_null(ht_cache_find(&cache, 0x200000000 + i, &count));
    for (uint64_t i = 0; i < OLD; i++)
        kept += ht_cache_find(&cache, 0x100000000 + i, &count) != NULL;
    assert_true(kept > OLD / 10 && kept < OLD);
    ht_cache_close(&cache);
    save_addresses(0x300000000, 0x300000000 + 2 * NEW); // too much by itself: as many as there is room for
    assert_int_equal(ht_cache_open(&cache, folder, build_id, build_id), 0);
    assert_non_null(ht_cache_find(&cache, 0x300000000, &count));
    assert_null(ht_cache_find(&cache, 0x300000000 + 2 * NEW - 1, &count));
    ht_cache_close(&cache);
    assert_int_equal(unlink(path), 0);
}

static int file_of(const void *bytes, size_t length)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0 && write(fd, bytes, length) == (ssize_t)length && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static void test_jit_map(void **state)
{
    (void)state;
    static const char map[] =
        "1000 100 first\nnonsense\n 1 \n1080 10 later\nzz 10 x\nffffffffffffffff 10 wraps\n"
        "2000 1 two words\r\n3000 10 \n4000 10 no newline";
    struct ht_jit_query queries[] = {{.address = 0xfff},     {.address = 0x1000}, {.address = 0x1085},
                                     {.address = 0x1090},    {.address = 0x10ff}, {.address = 0x1100},
                                     {.address = 0x2000},    {.address = 0x3000}, {.address = 0x400f},
                                     {.address = UINT64_MAX}};
    static const char *const expected[] = {NULL, "first",     "later", "first",      "first",
                                           NULL, "two words", NULL,    "no newline", NULL};
    assert_int_equal(ht_jit_read(file_of(map, sizeof map - 1), queries, 10), 6);
    for (size_t i = 0; i < 10; i++) {
        if (expected[i] == NULL)
            assert_null(queries[i].name);
        else
            assert_string_equal(queries[i].name, expected[i]);
        free(queries[i].name);
    }
}

// Whatever is no file with compressed debug sections comes back as it is.
static void test_inflate_refuses(void **state)
{
    (void)state;
    size_t length;
    char *bytes = read_file("/proc/self/exe", &length);
    uint32_t random = 7;
    size_t expanded_bytes;
    bool is_too_large = false;
    for (int i = 0; i < 300; i++) {
        char *copy = ht_alloc(length);
        memcpy(copy, bytes, length);
        for (int change = 0; change < i % 8; change++) {
            random = random * 1664525u + 1013904223u;
            copy[(random >> 8) % (i % 2 != 0 ? 64 : length)] = (char)random;
        }
        int fd = file_of(copy, i % 3 == 0 ? length : length / (size_t)(1 + i % 5));
        assert_null(ht_inflate_sections(fd, &expanded_bytes, &is_too_large));
        close(fd);
        free(copy);
    }
    free(bytes);
    assert_null(ht_inflate_sections(-1, &expanded_bytes, &is_too_large));
    assert_false(is_too_large);
}

static int remove_folder(void **state)
{
    (void)state;
    char *command = ht_format("rm -rf %s", folder);
    int result = system(command);
    free(command);
    return result;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || setenv("XDG_CACHE_HOME", folder, 1) != 0;
}

int main(int argc, char **argv)
{
    ht_serve_if_reader(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inlined_chain),          cmocka_unit_test(test_library_symbols),
        cmocka_unit_test(test_other_file_is_refused),  cmocka_unit_test(test_demangle),
        cmocka_unit_test(test_names_of_other_writers), cmocka_unit_test(test_cache),
        cmocka_unit_test(test_broken_cache),           cmocka_unit_test(test_jit_map),
        cmocka_unit_test(test_inflate_refuses),        cmocka_unit_test(test_cache_bound),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
