// The files of `heaptap doctor`: the program and its libraries, as the loader finds them, and what stacks and
// names need.
#include "base/package.h"
#include "base/path.h"
#include "base/text.h"
#include "doctor/doctor.h"
#include "launch/launch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES        2000u
#define MAX_CACHE_BYTES  (64u << 20)
#define SMALL_CODE_BYTES 2048u // what has no rows in every program: a few hundred bytes of start files
#define NAMES_SHOWN      3

// Where a loader looks in the end: those of Debian's loaders, then everybody's.
#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#endif
#define SYSTEM_FOLDERS "/lib/" MULTIARCH ":/usr/lib/" MULTIARCH ":/lib:/usr/lib:/lib64:/usr/lib64"

// Is this the separate debug info of a file with such a build id ("": any)?
static bool is_debug_file(const char *path, const char *build_id)
{
    struct ht_elf_image image;
    char other[HT_BUILD_ID_TEXT_BYTES];
    ht_elf_image_open(&image, path); // never whole: it has no code
    bool good =
        ht_elf_image_section(&image, ".debug_info") != NULL &&
        (!ht_elf_image_build_id(&image, other) || build_id[0] == '\0' || strcmp(build_id, other) == 0);
    ht_elf_image_close(&image);
    return good;
}

// The folders where libdwfl looks, too: by build id, then by the name in .gnu_debuglink.
static bool has_separate_debug(const char *path, const char *build_id, const char *link)
{
    static const char usual[] = "/usr/lib/debug";
    static const char *const folders[][2] = {{"", ""}, {"", ".debug/"}, {usual, ""}};
    char *by_id = ht_elf_debug_name(usual, sizeof usual - 1, build_id);
    bool found = by_id != NULL && is_debug_file(by_id, build_id);
    free(by_id);
    for (size_t i = 0; i < 3 && link[0] != '\0' && !found; i++) {
        char *name = ht_format("%s%.*s%s%s", folders[i][0], (int)(ht_path_name(path) - path), path,
                               folders[i][1], link);
        found = strcmp(name, path) != 0 && is_debug_file(name, build_id);
        free(name);
    }
    return found;
}

static enum ht_doctor_debug debug_of(const char *path, const struct ht_elf_image *image, const char *build_id)
{
    char link[NAME_MAX + 1] = "";
    const Elf64_Shdr *section = ht_elf_image_section(image, ".gnu_debuglink");
    if (section != NULL)
        link[ht_elf_image_content(image, section, link, sizeof link - 1)] = '\0';
    if (ht_elf_image_section(image, ".debug_info") != NULL ||
        ht_elf_image_section(image, ".zdebug_info") != NULL)
        return HT_DEBUG_FULL;
    if (has_separate_debug(path, build_id, strchr(link, '/') == NULL ? link : ""))
        return HT_DEBUG_SEPARATE;
    if (ht_elf_image_section(image, ".symtab") != NULL)
        return HT_DEBUG_SYMBOLS;
    return ht_elf_image_section(image, ".gnu_debugdata") != NULL ? HT_DEBUG_MINI : HT_DEBUG_NONE;
}

static void digest(struct ht_doctor_file *file, const struct ht_elf_image *image)
{
    static const char *const operator_new[] = {"_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t",
                                               "_ZnamRKSt9nothrow_t"};
    char build_id[HT_BUILD_ID_TEXT_BYTES];
    file->has_build_id = ht_elf_image_build_id(image, build_id);
    file->defines_malloc = ht_elf_image_exports(image, "malloc");
    file->defines_new = ht_elf_image_exports(image, operator_new[0]);
    file->wants_new = ht_elf_image_imports(image, operator_new, 4) != 0;
    file->is_symbolic = image->is_symbolic;
    file->is_system = ht_text_starts_with(file->name, "libc.so") || ht_text_starts_with(file->name, "ld-") ||
                      ht_text_starts_with(file->name, "libheaptap");
    if (!file->is_system) { // the recorder asks for such functions itself, to see what they give out
        ht_doctor_find_own_call(file, image);
        file->companion = ht_run_companion_of(image);
    }
    file->debug = debug_of(file->path, image, build_id);
    ht_elf_image_unwind(image, &file->unwind);
}

static struct ht_doctor_file *add_file(struct ht_doctor *doctor, const char *path, const char *open_path)
{
    HT_RESERVE(doctor->files, doctor->file_capacity, doctor->file_count + 1);
    struct ht_doctor_file *file = &doctor->files[doctor->file_count++];
    *file = (struct ht_doctor_file){.path = ht_strdup(path), .open_path = ht_strdup(open_path)};
    file->name = ht_path_name(file->path);
    return file;
}

void ht_doctor_add_file(struct ht_doctor *doctor, const char *path, const char *open_path, bool is_deleted)
{
    struct ht_elf_image image;
    enum ht_elf_form form = ht_elf_image_open(&image, open_path);
    if ((form == HT_ELF_WHOLE || doctor->file_count == 0) && doctor->file_count < MAX_FILES) {
        struct ht_doctor_file *file = add_file(doctor, path, open_path);
        file->is_deleted = is_deleted;
        if (form == HT_ELF_WHOLE)
            digest(file, &image);
    }
    ht_elf_image_close(&image);
}

void ht_doctor_files_free(struct ht_doctor *doctor)
{
    for (size_t i = 0; i < doctor->file_count; i++) {
        free(doctor->files[i].path);
        free(doctor->files[i].open_path);
    }
    for (size_t i = 0; i < doctor->missing_count; i++)
        free(doctor->missing[i]);
    free(doctor->files);
    free(doctor->missing);
}

// What the loader's search needs: ld.so(8), "When resolving shared object dependencies".
struct search {
    struct ht_doctor *doctor;
    char *cache; // /etc/ld.so.cache
    size_t cache_bytes;
};

static void read_cache(struct search *search)
{
    struct stat stat;
    int fd = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &stat) == 0 && stat.st_size > 0 && stat.st_size < (off_t)MAX_CACHE_BYTES) {
        search->cache = ht_alloc((size_t)stat.st_size + 1);
        ssize_t got = pread(fd, search->cache, (size_t)stat.st_size, 0);
        search->cache_bytes = got > 0 ? (size_t)got : 0;
        search->cache[search->cache_bytes] = '\0';
    }
    if (fd >= 0)
        close(fd);
}

static bool is_library(const char *path)
{
    struct ht_elf_image image;
    bool good = ht_elf_image_open(&image, path) == HT_ELF_WHOLE;
    ht_elf_image_close(&image);
    return good;
}

// glibc's cache: "glibc-ld.so.cache1.1", count, bytes of texts, 20 bytes more; then rows of flags, offset of
// the name, offset of the path, OS version, capabilities (8 bytes). Source: glibc's dl-cache.h, the format
// since 2.2.
static bool find_in_cache(const struct search *search, const char *name, char path[PATH_MAX])
{
    static const char magic[] = "glibc-ld.so.cache1.1";
    enum { HEAD_BYTES = 48, ROW_BYTES = 24 };
    if (search->cache_bytes < HEAD_BYTES || memcmp(search->cache, magic, sizeof magic - 1) != 0)
        return false;
    uint32_t count;
    memcpy(&count, search->cache + sizeof magic - 1, sizeof count);
    for (uint64_t i = 0; i < count && HEAD_BYTES + (i + 1) * ROW_BYTES <= search->cache_bytes; i++) {
        uint32_t row[3];
        memcpy(row, search->cache + HEAD_BYTES + i * ROW_BYTES, sizeof row);
        if (row[1] < search->cache_bytes && row[2] < search->cache_bytes &&
            strcmp(search->cache + row[1], name) == 0) {
            snprintf(path, PATH_MAX, "%s", search->cache + row[2]);
            if (is_library(path))
                return true; // the other row of the name is of another architecture
        }
    }
    return false;
}

// A list of folders (':') as in RUNPATH and LD_LIBRARY_PATH, with $ORIGIN.
static bool find_in_list(const char *list, const char *origin_of, const char *name, char path[PATH_MAX])
{
    for (const char *at = list; *at != '\0'; at += *at != '\0') {
        struct ht_buffer folder = {0};
        for (; *at != '\0' && *at != ':'; at++) {
            size_t skipped = ht_text_starts_with(at, "$ORIGIN")     ? 7
                             : ht_text_starts_with(at, "${ORIGIN}") ? 9
                                                                    : 0;
            if (skipped > 0) {
                ht_buffer_printf(&folder, "%.*s", (int)(ht_path_name(origin_of) - origin_of), origin_of);
                at += skipped - 1;
            } else {
                ht_buffer_byte(&folder, *at);
            }
        }
        bool found = folder.length > 0 && snprintf(path, PATH_MAX, "%s/%s", folder.data, name) < PATH_MAX &&
                     is_library(path);
        ht_buffer_free(&folder);
        if (found)
            return true;
    }
    return false;
}

static bool find_library(const struct search *search, const struct ht_elf_image *image, const char *of,
                         const char *name, char path[PATH_MAX])
{
    const char *variable = getenv("LD_LIBRARY_PATH");
    const struct ht_elf_image *program = &search->doctor->image;
    const char *program_path = search->doctor->path;
    if (strchr(name, '/') != NULL) {
        snprintf(path, PATH_MAX, "%s", name);
        return is_library(path);
    }
    if (image->runpath[0] == '\0' && (find_in_list(image->rpath, of, name, path) ||
                                      find_in_list(program->rpath, program_path, name, path)))
        return true;
    return find_in_list(variable != NULL ? variable : "", of, name, path) ||
           find_in_list(image->runpath, of, name, path) || find_in_cache(search, name, path) ||
           find_in_list(SYSTEM_FOLDERS, of, name, path);
}

static bool is_known(const struct ht_doctor *doctor, const char *name)
{
    for (size_t i = 0; i < doctor->file_count; i++)
        if (strcmp(doctor->files[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < doctor->missing_count; i++)
        if (strcmp(doctor->missing[i], name) == 0)
            return true;
    return false;
}

void ht_doctor_find_libraries(struct ht_doctor *doctor)
{
    struct search search = {.doctor = doctor};
    read_cache(&search);
    // The list grows while it is gone through: breadth first, as the loader does.
    for (size_t i = 0; i < doctor->file_count; i++) {
        struct ht_elf_image image;
        ht_elf_image_open(&image, doctor->files[i].open_path);
        for (size_t j = 0; j < image.needed_count; j++) {
            char path[PATH_MAX];
            if (is_known(doctor, ht_path_name(image.needed[j])))
                continue;
            if (find_library(&search, &image, doctor->files[i].path, image.needed[j], path)) {
                ht_doctor_add_file(doctor, path, path, false);
            } else if (doctor->missing_count < MAX_FILES) {
                HT_RESERVE(doctor->missing, doctor->missing_capacity, doctor->missing_count + 1);
                doctor->missing[doctor->missing_count++] = ht_strdup(image.needed[j]);
            }
        }
        ht_elf_image_close(&image);
    }
    free(search.cache);
}

// "libfoo.so.1, libbar.so and 4 more"; all with -v.
struct names {
    const struct ht_doctor *doctor;
    struct ht_buffer text;
    size_t count;
};

static void add_name(struct names *names, const char *name)
{
    if (names->count < NAMES_SHOWN || names->doctor->verbose)
        ht_buffer_printf(&names->text, "%s%s", names->count > 0 ? ", " : "", name);
    names->count++;
}

static const char *names_text(struct names *names)
{
    if (names->count > NAMES_SHOWN && !names->doctor->verbose)
        ht_buffer_printf(&names->text, " and %zu more", names->count - NAMES_SHOWN);
    ht_buffer_text(&names->text, "");
    return names->text.data;
}

void ht_doctor_check_libraries(struct ht_doctor *doctor)
{
    struct names missing = {.doctor = doctor}, present = {.doctor = doctor};
    if (doctor->form != HT_ELF_WHOLE || !doctor->image.is_dynamic || doctor->verdict == HT_ELF_STATIC ||
        doctor->verdict == HT_ELF_MUSL) // musl's loader searches by rules of its own
        return;
    for (size_t i = 0; i < doctor->missing_count; i++)
        add_name(&missing, doctor->missing[i]);
    for (size_t i = 1; i < doctor->file_count; i++)
        add_name(&present, doctor->files[i].name);
    if (missing.count > 0)
        ht_doctor_say(doctor, HT_DOCTOR_PROBLEM,
                      "install what is missing, or set LD_LIBRARY_PATH as its start script does",
                      "not found: %s", names_text(&missing));
    else if (present.count > 0)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "%zu: %s", present.count, names_text(&present));
    ht_buffer_free(&missing.text);
    ht_buffer_free(&present.text);
}

// Of what cannot be profiled at all, the quality of stacks and names is no matter.
static bool is_judged(const struct ht_doctor *doctor)
{
    return doctor->form == HT_ELF_WHOLE && doctor->verdict != HT_ELF_STATIC;
}

static bool lacks_rows(const struct ht_doctor_file *file)
{
    const struct ht_elf_unwind *unwind = &file->unwind;
    if (unwind->code_bytes < SMALL_CODE_BYTES)
        return false;
    return !unwind->has_table || (unwind->covered_bytes < unwind->code_bytes / 2 &&
                                  unwind->code_bytes - unwind->covered_bytes > SMALL_CODE_BYTES);
}

// A prolog in every 400 bytes of code: functions are seldom longer on average, and few of other code look so.
static bool has_frame_pointers(const struct ht_doctor_file *file)
{
    return file->unwind.frame_prologs * 400 > file->unwind.code_bytes - file->unwind.covered_bytes;
}

void ht_doctor_check_unwind(struct ht_doctor *doctor)
{
    struct names without = {.doctor = doctor}, by_frames = {.doctor = doctor};
    if (!is_judged(doctor))
        return;
    for (size_t i = doctor->is_go; i < doctor->file_count;
         i++) // Go has tables of its own kind, and build ids too
        if (lacks_rows(&doctor->files[i]))
            add_name(has_frame_pointers(&doctor->files[i]) ? &by_frames : &without, doctor->files[i].name);
    if (without.count > 0)
        ht_doctor_say(
            doctor, HT_DOCTOR_WARNING,
            "build with -fasynchronous-unwind-tables (or -fno-omit-frame-pointer), and do not strip .eh_frame",
            "none for most of the code in %s: stacks end there", names_text(&without));
    if (by_frames.count > 0)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL,
                      "none for most of the code in %s, which has frame pointers instead",
                      names_text(&by_frames));
    if (without.count + by_frames.count == 0)
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "program and %zu libraries have them",
                      doctor->file_count - 1);
    ht_buffer_free(&without.text);
    ht_buffer_free(&by_frames.text);
}

void ht_doctor_check_debug(struct ht_doctor *doctor)
{
    if (!is_judged(doctor))
        return;
    char *package =
        doctor->files[0].debug < HT_DEBUG_SEPARATE ? ht_package_with_debug(doctor->files[0].path) : NULL;
    char *advice = package != NULL
                       ? ht_format("install %s (Debian's archive of debug symbols)", package)
                       : ht_strdup("build with -g and do not strip, or install its debug package");
    char libraries[96] = "";
    size_t full = 0, count = doctor->file_count - 1;
    for (size_t i = 1; i < doctor->file_count; i++)
        full += doctor->files[i].debug >= HT_DEBUG_SEPARATE;
    if (count > 0)
        snprintf(libraries, sizeof libraries, " (and for %zu of %zu libraries)", full, count);
    switch (doctor->files[0].debug) {
    case HT_DEBUG_FULL:
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "in the program%s", libraries);
        break;
    case HT_DEBUG_SEPARATE:
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "in a separate file%s", libraries);
        break;
    case HT_DEBUG_SYMBOLS:
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice,
                      "none: function names are known, files, lines and inlined functions are not");
        break;
    case HT_DEBUG_MINI:
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice,
                      "mini debug info alone: names of functions, no lines");
        break;
    default:
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, advice, "stripped: only exported functions have names");
    }
    free(advice);
    free(package);
}

void ht_doctor_check_build_id(struct ht_doctor *doctor)
{
    struct names without = {.doctor = doctor};
    if (!is_judged(doctor))
        return;
    for (size_t i = doctor->is_go; i < doctor->file_count; i++)
        if (!doctor->files[i].has_build_id)
            add_name(&without, doctor->files[i].name);
    if (without.count > 0)
        ht_doctor_say(doctor, HT_DOCTOR_WARNING, "link with -Wl,--build-id",
                      "none in %s: nobody can tell later whether a file is the one that was profiled",
                      names_text(&without));
    else
        ht_doctor_say(doctor, HT_DOCTOR_OK, NULL, "in the program and %zu libraries", doctor->file_count - 1);
    ht_buffer_free(&without.text);
}
