// Runs a fuzz target once over each file of a corpus folder and over short prefixes and flipped bytes of it.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_variants(uint8_t *data, size_t size)
{
    LLVMFuzzerTestOneInput(data, size);
    for (size_t cut = 0; cut < size; cut += 1 + size / 97) {
        LLVMFuzzerTestOneInput(data, cut);
    }
    for (size_t at = 0; at < size; at += 1 + size / 211) {
        uint8_t old = data[at];
        data[at] = (uint8_t)(old ^ (1u << at % 8));
        LLVMFuzzerTestOneInput(data, size);
        data[at] = 0xff;
        LLVMFuzzerTestOneInput(data, size);
        data[at] = old;
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[INPUT_BYTES];
    int inputs = 0;
    DIR *folder = argc > 1 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: fuzz_NAME CORPUS_FOLDER\n");
        return 2;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "rb") : NULL;
        if (file != NULL) {
            run_variants(data, fread(data, 1, sizeof(data), file));
            fclose(file);
            inputs++;
        }
    }
    closedir(folder);
    printf("%d inputs\n", inputs);
    return inputs > 0 ? 0 : 1;
}
