// Runs a fuzz target once over each file of a corpus folder, over short prefixes and flipped bytes of it, and
// over what its own mutator makes of it.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES (1u << 20)
#define MUTATIONS   64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                                                     unsigned seed);
__attribute__((weak)) size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b,
                                                       size_t b_size, uint8_t *out, size_t max_size,
                                                       unsigned seed);

// What libFuzzer gives to custom mutators; here only a flipped bit, or a byte more or less.
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    uint32_t choice = state >> 30, at = state >> 8;
    if (choice == 0 && size < max_size) {
        data[size] = (uint8_t)at;
        return size + 1;
    }
    if (choice == 1 && size > 1) {
        return size - 1;
    }
    if (size > 0) {
        data[at % size] ^= (uint8_t)(1u << choice * 2);
    }
    return size;
}

static void run_variants(uint8_t *data, size_t size)
{
    LLVMFuzzerTestOneInput(data, size);
    for (size_t cut = 0; cut < size; cut += 1 + size / 29) {
        LLVMFuzzerTestOneInput(data, cut);
    }
    for (size_t at = 0; at < size; at += 1 + size / 61) {
        uint8_t old = data[at];
        data[at] = (uint8_t)(old ^ (1u << at % 8));
        LLVMFuzzerTestOneInput(data, size);
        data[at] = 0xff;
        LLVMFuzzerTestOneInput(data, size);
        data[at] = old;
    }
}

// Overwrites data.
static void run_mutations(uint8_t *data, size_t size)
{
    static uint8_t original[4096], crossed[4096];
    size_t original_bytes = size < sizeof original ? size : sizeof original, bytes = original_bytes;
    if (LLVMFuzzerCustomMutator == NULL) {
        return;
    }
    memcpy(original, data, original_bytes);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        if (i % 16 == 0) {
            memcpy(data, original, original_bytes);
            bytes = original_bytes;
        }
        bytes = LLVMFuzzerCustomMutator(data, bytes, sizeof original, i);
        LLVMFuzzerTestOneInput(data, bytes);
        if (i % 16 == 15 && LLVMFuzzerCustomCrossOver != NULL) {
            LLVMFuzzerTestOneInput(crossed, LLVMFuzzerCustomCrossOver(original, original_bytes, data, bytes,
                                                                      crossed, sizeof crossed, i));
        }
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
            size_t size = fread(data, 1, sizeof(data), file);
            fclose(file);
            run_variants(data, size);
            run_mutations(data, size);
            inputs++;
        }
    }
    closedir(folder);
    printf("%d inputs\n", inputs);
    return inputs > 0 ? 0 : 1;
}
