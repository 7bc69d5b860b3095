// The program's file given by hand: `heaptap REPORT PROGRAM PROFILE...`, as `go tool pprof` takes it.
#include "input/program.h"

#include "base/error.h"
#include "elf/image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_elf(const char *path)
{
    char magic[SELFMAG] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    bool result =
        read(fd, magic, sizeof magic) == (ssize_t)sizeof magic && memcmp(magic, ELFMAG, SELFMAG) == 0;
    close(fd);
    return result;
}

int ht_load_take_program(struct ht_load *load, char ***operands, int *count)
{
    if (*count < 1 || !is_elf((*operands)[0]))
        return 0;
    if (*count == 1)
        return ht_fail("%s is a program; name its profile, or a PID, behind it", (*operands)[0]);
    load->program = (*operands)[0];
    ++*operands;
    --*count;
    return 0;
}

enum { ID_BYTES = 64 };

// As lower-case hex; "" if the file has none.
static void read_build_id(const char *path, char text[2 * ID_BYTES + 1])
{
    struct ht_elf_image image;
    uint8_t id[ID_BYTES];
    size_t bytes = 0;
    if (ht_elf_image_open(&image, path) == HT_ELF_WHOLE)
        bytes = ht_elf_image_note(&image, "GNU", NT_GNU_BUILD_ID, id, sizeof id);
    ht_elf_image_close(&image);
    text[0] = '\0';
    for (size_t i = 0; i < bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
}

void ht_load_use_program(const struct ht_load *load, const char *name, struct ht_profile *profile)
{
    char build_id[2 * ID_BYTES + 1];
    if (load->program == NULL || profile->mapping_count == 0)
        return;
    const uint32_t file = profile->mappings[0].file, id = profile->mappings[0].build_id;
    const char *wanted = ht_profile_text(profile, id);
    read_build_id(load->program, build_id);
    if (wanted[0] != '\0' && strcmp(wanted, build_id) != 0) {
        ht_warn("%s is not the program of %s and is not used: its build id is %s, the profile has %s",
                load->program, name, build_id[0] != '\0' ? build_id : "missing", wanted);
        return;
    }
    char *whole = realpath(load->program, NULL);
    uint32_t program = ht_profile_intern_text(profile, whole != NULL ? whole : load->program);
    free(whole);
    for (size_t i = 0; i < profile->mapping_count; i++)
        if (profile->mappings[i].file == file && profile->mappings[i].build_id == id)
            profile->mappings[i].file = program;
}
