// Reads the headers of an ELF object where it is loaded.
#include "unwind/describe.h"

#include "sys/compiler.h"
#include "unwind/memory.h"

#include <elf.h>
#include <string.h>
#include <sys/auxv.h>

uintptr_t ht_object_page_down(uintptr_t address)
{
    static uintptr_t page_bytes;
    if (ht_unlikely(page_bytes == 0)) {
        page_bytes = getauxval(AT_PAGESZ);
        page_bytes = page_bytes != 0 ? page_bytes : HT_PAGE_BYTES;
    }
    return address & ~(page_bytes - 1);
}

uintptr_t ht_object_page_up(uintptr_t address)
{
    uintptr_t down = ht_object_page_down(address);
    return down == address ? address : down + (ht_object_page_down(UINTPTR_MAX) ^ UINTPTR_MAX) + 1;
}

uint64_t ht_object_hash(uint64_t hash, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size_bytes; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3); // FNV-1a
    }
    return hash;
}

// Looks for NT_GNU_BUILD_ID in one PT_NOTE segment.
static void ht_find_build_id(struct ht_object *object, uintptr_t note, size_t size_bytes, size_t align_bytes)
{
    size_t align = align_bytes == 8 ? 7 : 3;
    size_t at = 0;
    while (size_bytes - at >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) head;
        memcpy(&head, (const void *)(note + at), sizeof head);
        size_t name = at + sizeof head;
        size_t desc = (name + head.n_namesz + align) & ~align;
        if (head.n_namesz > 4096 || head.n_descsz > 65536 || desc + head.n_descsz > size_bytes) {
            return;
        }
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && head.n_descsz > 0 &&
            head.n_descsz <= 64 && memcmp((const void *)(note + name), "GNU", 4) == 0) {
            object->build_id = note + desc;
            object->build_id_bytes = head.n_descsz;
            return;
        }
        at = (desc + head.n_descsz + align) & ~align;
        if (at > size_bytes) {
            return;
        }
    }
}

static void ht_add_segment(struct ht_object *object, uintptr_t bias, const ElfW(Phdr) * load)
{
    if (object->segment_count == HT_OBJECT_SEGMENTS) {
        return;
    }
    uint32_t i = object->segment_count++;
    uintptr_t start = ht_object_page_down(load->p_vaddr);
    object->is_unaligned |= i == 0 && load->p_vaddr != start;
    object->segments[i].start = bias + start;
    object->segments[i].limit = bias + ht_object_page_up(load->p_vaddr + load->p_memsz);
    object->segments[i].file_offset = load->p_offset - (load->p_vaddr - start);
    object->segments[i].delta = 0;
}

void ht_object_fill(struct ht_object *object, uintptr_t bias, const ElfW(Phdr) * headers, size_t count)
{
    memset(object, 0, sizeof *object);
    object->bias = bias;
    object->start = UINTPTR_MAX;
    for (size_t i = 0; i < count; i++) {
        const ElfW(Phdr) *h = &headers[i];
        if (h->p_type == PT_LOAD) {
            uintptr_t start = bias + ht_object_page_down(h->p_vaddr),
                      limit = bias + ht_object_page_up(h->p_vaddr + h->p_memsz);
            object->start = start < object->start ? start : object->start;
            object->limit = limit > object->limit ? limit : object->limit;
            if (h->p_flags & PF_X) {
                ht_add_segment(object, bias, h);
            }
        } else if (h->p_type == PT_GNU_EH_FRAME) {
            object->table = bias + h->p_vaddr;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const ElfW(Phdr) *h = &headers[i];
        uintptr_t start = bias + h->p_vaddr, limit = start + h->p_filesz;
        if (h->p_type == PT_LOAD && (h->p_flags & PF_R) && object->table >= start && object->table < limit) {
            object->table_lo = start;
            object->table_hi = limit;
        }
        bool mapped = start >= object->start && limit <= object->limit;
        if (h->p_type == PT_NOTE && object->build_id == 0 && mapped) {
            ht_find_build_id(object, start, h->p_filesz, h->p_align);
        }
    }
    if (object->table_hi == 0) {
        object->table = 0;
    }
    uintptr_t program = getauxval(AT_PHDR);
    object->is_program = program >= object->start && program < object->limit;
}

bool ht_object_describe(uintptr_t image, const char *name, struct ht_object *ret_object)
{
    ElfW(Ehdr) head;
    memcpy(&head, (const void *)image, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
        head.e_phentsize != sizeof(ElfW(Phdr)) || head.e_phoff > HT_PAGE_BYTES || head.e_phoff % 8 != 0 ||
        head.e_phnum > (HT_PAGE_BYTES - head.e_phoff) / sizeof(ElfW(Phdr))) {
        return false;
    }
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(image + head.e_phoff);
    size_t first = 0;
    while (first < head.e_phnum && headers[first].p_type != PT_LOAD) {
        first++;
    }
    if (first == head.e_phnum) {
        return false;
    }
    ht_object_fill(ret_object, image - ht_object_page_down(headers[first].p_vaddr), headers, head.e_phnum);
    uint64_t hash = ht_object_hash(HT_OBJECT_HASH_SEED, &head, sizeof head);
    hash = ht_object_hash(hash, &ret_object->start, 3 * sizeof(uintptr_t)); // start, limit, table
    if (ret_object->build_id != 0) {
        hash = ht_object_hash(hash, (const void *)ret_object->build_id, ret_object->build_id_bytes);
    } else {
        hash = ht_object_hash(hash, headers, head.e_phnum * sizeof *headers);
        size_t room = ret_object->table_hi - ret_object->table;
        if (ret_object->table != 0) {
            hash = ht_object_hash(hash, (const void *)ret_object->table, room < 256 ? room : 256);
        }
        hash = ht_object_hash(hash, name, strlen(name));
    }
    ret_object->identity = hash;
    return true;
}
