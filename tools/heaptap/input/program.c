// The program's file given by hand: `heaptap REPORT PROGRAM PROFILE...`, as `go tool pprof` takes it.
#include "input/program.h"

#include "base/error.h"
#include "elf/image.h"
#include "region/target.h"

#include <stdlib.h>
#include <string.h>

int ht_load_take_program(struct ht_load *load, char ***operands, int *count)
{
    if (*count < 1 || !ht_elf_is_file((*operands)[0]))
        return 0;
    if (*count == 1) { // or the process of that name
        struct ht_strings names = ht_target_names(*operands, 1);
        bool runs = names.count > 1 || strcmp(names.items[0], (*operands)[0]) != 0;
        ht_target_names_free(&names);
        if (runs)
            return 0;
        return ht_fail("%s is a program; name its profile, or a PID, behind it", (*operands)[0]);
    }
    load->program = (*operands)[0];
    ++*operands;
    --*count;
    return 0;
}

void ht_load_use_program(const struct ht_load *load, const char *name, struct ht_profile *profile)
{
    char build_id[HT_BUILD_ID_TEXT_BYTES], wanted[HT_BUILD_ID_TEXT_BYTES];
    struct ht_elf_image image;
    if (profile->mapping_count == 0 || (load->program == NULL && load->build_id == NULL))
        return;
    const uint32_t file = profile->mappings[0].file, own_id = profile->mappings[0].build_id;
    const uint32_t id = load->build_id != NULL ? ht_profile_intern_text(profile, load->build_id) : own_id;
    for (size_t i = 0; i < profile->mapping_count; i++)
        if (profile->mappings[i].file == file && profile->mappings[i].build_id == own_id)
            profile->mappings[i].build_id = id;
    if (load->program == NULL)
        return;
    ht_elf_build_id_given(ht_profile_text(profile, id), wanted);
    ht_elf_image_open(&image, load->program);
    ht_elf_image_build_id(&image, build_id);
    ht_elf_image_close(&image);
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
