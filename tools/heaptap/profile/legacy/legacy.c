// Recognises what form of a profile foreign bytes are, and reads it.
#include "profile/legacy/legacy.h"

#include "base/error.h"
#include "base/text.h"
#include "profile/birth.h"
#include "profile/decode.h"
#include "profile/legacy/reader.h"

#include <ctype.h>
#include <stdlib.h>

enum { PEEK_BYTES = 4096 };

static int read_symbolized(struct ht_legacy *legacy);

// The form of the text that begins here; NULL: none of these.
static int (*recognise_text(char *text))(struct ht_legacy *legacy)
{
    const char *line = ht_text_take_line(&text);
    if (line == NULL)
        return NULL;
    if (ht_text_starts_with(line, "--- symbol"))
        return read_symbolized;
    if (ht_legacy_is_heap_head(line))
        return ht_legacy_heap;
    if (ht_text_starts_with(line, "heap_v2/") && isdigit((unsigned char)line[8]))
        return ht_legacy_jemalloc;
    if (ht_text_starts_with(line, "--- contentionz ") || ht_text_starts_with(line, "--- contention:") ||
        ht_text_starts_with(line, "--- mutex:"))
        return ht_legacy_contention;
    if (ht_text_starts_with(line, "--- heapz 1 ---"))
        return ht_legacy_java_heap;
    // Comments may stand in front of these.
    for (; line != NULL; line = ht_text_take_line(&text)) {
        char *end = (char *)(uintptr_t)line + strlen(line);
        while (end > line && isspace((unsigned char)end[-1]))
            *--end = '\0';
        line += strspn(line, " \t\r");
        if (*line != '\0' && *line != '#')
            return ht_legacy_is_counts_head(line)    ? ht_legacy_counts
                   : ht_legacy_is_threads_head(line) ? ht_legacy_threads
                                                     : NULL;
    }
    return NULL;
}

const char *ht_legacy_packer(const uint8_t *start, size_t length)
{
    static const struct {
        const char *magic, *program;
    } packers[] = {
        {"\050\265\057\375", "zstd"},
        {"\3757zXZ", "xz"},
        {"BZh", "bzip2"},
        {"\004\042\115\030", "lz4"},
    };
    for (size_t i = 0; i < sizeof packers / sizeof packers[0]; i++) {
        size_t magic_length = strlen(packers[i].magic);
        if (length > magic_length && memcmp(start, packers[i].magic, magic_length) == 0)
            return packers[i].program;
    }
    return NULL;
}

static int recognise(struct ht_bytes *bytes, int (**ret_reader)(struct ht_legacy *legacy))
{
    if (ht_bytes_want(bytes, PEEK_BYTES) < 0)
        return -1;
    size_t length = ht_bytes_unread(bytes) < PEEK_BYTES ? ht_bytes_unread(bytes) : PEEK_BYTES;
    const uint8_t *start = bytes->window + bytes->start;
    const char *packer = ht_legacy_packer(start, length);
    if (packer != NULL)
        return ht_fail("is compressed with %s; write '%s -dc FILE | heaptap top -'", packer, packer);
    char text[PEEK_BYTES + 1];
    memcpy(text, start, length);
    text[length] = '\0';
    *ret_reader = ht_legacy_is_cpu(start, length) ? ht_legacy_cpu : recognise_text(text);
    return 0;
}

// Without the address in the file that pprof puts behind some: "main<00000000000011a3>".
static size_t length_of_name(const char *name)
{
    enum { DIGITS = 16 };
    size_t length = strlen(name), start = length - DIGITS - 2;
    bool has_address = length > DIGITS + 2 && name[start] == '<' && name[length - 1] == '>' &&
                       strspn(name + start + 1, "0123456789abcdef") == DIGITS;
    return has_address ? start : length;
}

static int read_symbols(struct ht_legacy *legacy)
{
    int more;
    while ((more = ht_legacy_next(legacy)) > 0 && !ht_text_starts_with(legacy->line, "---")) {
        const char *key, *value;
        char *end;
        if (ht_text_starts_with(legacy->line, "0x")) {
            uint64_t address = strtoull(legacy->line, &end, 16);
            size_t blanks = strspn(end, " \t");
            if (blanks == 0 || end[blanks] == '\0')
                continue; // without a name
            HT_RESERVE(legacy->symbols, legacy->symbol_capacity, legacy->symbol_count + 1);
            const char *name = end + blanks;
            legacy->symbols[legacy->symbol_count++] = (struct ht_legacy_symbol){
                address, ht_profile_intern(legacy->profile, name, length_of_name(name))};
        } else if (ht_legacy_attribute(legacy, &key, &value) && strcmp(key, "binary") == 0) {
            legacy->program = ht_profile_intern_text(legacy->profile, value);
        }
    }
    return more > 0 ? 0 : more < 0 ? -1 : ht_legacy_malformed(legacy, "no profile behind the names");
}

// `pprof --raw` and `jeprof --raw`: "--- symbol", lines "0xADDRESS NAME", "---", then "--- KIND" and the
// profile.
static int read_symbolized(struct ht_legacy *legacy)
{
    int (*reader)(struct ht_legacy *) = NULL;
    int more = ht_legacy_next(legacy);
    legacy->what = "profile with names";
    if (more < 0 || read_symbols(legacy) < 0)
        return -1;
    if (strcmp(legacy->line, "---") == 0 && ht_legacy_next(legacy) < 0)
        return -1;
    bool contention = ht_text_starts_with(legacy->line, "--- contention");
    if (recognise(legacy->bytes, &reader) < 0)
        return -1;
    if (reader == NULL && contention)
        reader = ht_legacy_contention;
    if (reader == NULL || reader == read_symbolized)
        return ht_legacy_malformed(legacy, "no profile that is known behind the names");
    return reader(legacy);
}

static int read_legacy(struct ht_bytes *bytes, uint64_t memory_limit, int (*reader)(struct ht_legacy *),
                       struct ht_profile **ret_profile)
{
    struct ht_legacy legacy = {
        .bytes = bytes, .profile = ht_profile_new(), .memory_limit = memory_limit, .what = "profile"};
    int result = reader(&legacy);
    if (result == 0)
        result = ht_legacy_check_memory(&legacy);
    if (result == 0)
        ht_births_guess(legacy.profile);
    ht_buffer_free(&legacy.text);
    ht_index_free(&legacy.by_address);
    ht_index_free(&legacy.by_name);
    free(legacy.stack);
    free(legacy.symbols);
    if (result < 0)
        ht_profile_free(legacy.profile);
    else
        *ret_profile = legacy.profile;
    return result;
}

static int open_and_read(int fd, const uint8_t *memory, size_t length, const struct ht_profile_limits *limits,
                         struct ht_profile **ret_profile)
{
    struct ht_profile_limits defaults = ht_profile_default_limits();
    struct ht_bytes bytes;
    int (*reader)(struct ht_legacy *) = NULL;
    if (limits == NULL)
        limits = &defaults;
    if (ht_bytes_open(&bytes, fd, memory, length, limits->raw_bytes) < 0)
        return -1;
    int result = recognise(&bytes, &reader);
    if (result == 0)
        result = reader == NULL ? ht_decode_bytes(&bytes, limits->memory_bytes, ret_profile)
                                : read_legacy(&bytes, limits->memory_bytes, reader, ret_profile);
    ht_bytes_close(&bytes);
    return result;
}

int ht_legacy_decode(const uint8_t *bytes, size_t length, const struct ht_profile_limits *limits,
                     struct ht_profile **ret_profile)
{
    return open_and_read(-1, bytes, length, limits, ret_profile);
}

int ht_legacy_read(int fd, const struct ht_profile_limits *limits, struct ht_profile **ret_profile)
{
    return open_and_read(fd, NULL, 0, limits, ret_profile);
}
