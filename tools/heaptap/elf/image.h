// A foreign ELF file, read within bounds: segments, dynamic section, symbols, sections, notes, unwind tables.
#ifndef HT_ELF_IMAGE_H
#define HT_ELF_IMAGE_H

#include "base/memory.h"

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#define HT_ELF_MACHINE_NAME "x86-64"
#elif defined(__aarch64__)
#define HT_ELF_MACHINE_NAME "aarch64"
#endif

// Context: tool, no state. Nothing in the bytes is trusted: every offset is checked, every walk counted, no
// table of more than 256 MB is taken. Files are read with pread, never mapped: one that is cut meanwhile
// makes no fault.

enum ht_elf_form {
    HT_ELF_NOT,         // not readable, not a regular file, or not ELF
    HT_ELF_BAD,         // damaged or cut off
    HT_ELF_OTHER_CLASS, // 32 bits or another architecture: only header.e_machine and e_ident are known
    HT_ELF_WHOLE,
};

struct ht_elf_image {
    int fd;               // -1: the bytes are in memory
    const uint8_t *bytes; // the caller's
    uint64_t size_bytes;
    Elf64_Ehdr header;
    Elf64_Phdr *segments;
    Elf64_Shdr *sections; // NULL: none
    char *section_names;  // with a NUL behind
    uint64_t section_names_bytes;
    // The dynamic section; addresses are 0 and texts "" where an entry is missing.
    bool is_dynamic, is_symbolic; // -Bsymbolic: its own definitions come first for itself
    uint64_t symbols, hash, gnu_hash, strings_address;
    char *strings;
    uint64_t strings_bytes;
    const char *soname, *rpath, *runpath;
    const char **needed;
    size_t needed_count, needed_capacity;
};

// Opens and reads the tables; ht_elf_image_close() in any case.
enum ht_elf_form ht_elf_image_open(struct ht_elf_image *image, const char *path);
enum ht_elf_form ht_elf_image_memory(struct ht_elf_image *image, const void *bytes, size_t size_bytes);
void ht_elf_image_close(struct ht_elf_image *image);

// "64-bit x86-64", "32-bit ARM": of whatever has a header.
void ht_elf_image_machine(const struct ht_elf_image *image, char *text, size_t text_bytes);

const Elf64_Phdr *ht_elf_image_segment(const struct ht_elf_image *image, uint32_t type);

// A section that has bytes in this file, NULL if there is none of the name.
const Elf64_Shdr *ht_elf_image_section(const struct ht_elf_image *image, const char *name);

// The first `bytes` of a section; returns how many there are.
size_t ht_elf_image_content(const struct ht_elf_image *image, const Elf64_Shdr *section, void *content,
                            size_t bytes);

// The loader that the program asks for; false: none.
bool ht_elf_image_interpreter(const struct ht_elf_image *image, char *text, size_t text_bytes);

// The content of a note, at most `bytes` of it; 0: there is none.
size_t ht_elf_image_note(const struct ht_elf_image *image, const char *owner, uint32_t type, uint8_t *content,
                         size_t bytes);

// Build ids are compared and shown as lower-case hex. False and "": the file has none.
enum { HT_BUILD_ID_TEXT_BYTES = 129 };
bool ht_elf_image_build_id(const struct ht_elf_image *image, char text[HT_BUILD_ID_TEXT_BYTES]);
void ht_elf_build_id_given(const char *given, char text[HT_BUILD_ID_TEXT_BYTES]); // as others write it
void ht_elf_build_id_text(const void *bits, size_t bytes, char text[HT_BUILD_ID_TEXT_BYTES]);

// The name of the debug info of a build id below a folder (/usr/lib/debug): free() it; NULL: that is no build
// id.
char *ht_elf_debug_name(const char *folder, size_t folder_length, const char *build_id);

// Whether a file is ELF, of whatever machine and however damaged.
bool ht_elf_is_file(const char *path);

// What the loader would find here: a symbol of the dynamic table that is defined.
bool ht_elf_image_exports(const struct ht_elf_image *image, const char *name);

// Which of at most 64 names: bit i is set for names[i]. Symbols that the dynamic table wants from others;
// functions of the full symbol table (stripped files have none); bytes anywhere in the loaded part that is
// not code.
uint64_t ht_elf_image_imports(const struct ht_elf_image *image, const char *const *names, size_t count);
uint64_t ht_elf_image_functions(const struct ht_elf_image *image, const char *const *names, size_t count);
uint64_t ht_elf_image_texts(const struct ht_elf_image *image, const char *const *texts, size_t count);

// How much of the code has rows in .eh_frame, by the search table of .eh_frame_hdr, which is what the
// unwinder uses.
struct ht_elf_unwind {
    bool has_table;
    uint64_t code_bytes;    // of instructions
    uint64_t covered_bytes; // of them, with rows
    uint64_t frame_prologs; // instructions that set up a frame pointer
};
void ht_elf_image_unwind(const struct ht_elf_image *image, struct ht_elf_unwind *ret_unwind);

#endif
