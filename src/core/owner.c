// The word that says whose memory this is, wiped by the kernel in copies; and the proof where it is not.
//
// Invariants:
//  O1 the word is 0 in a copied process (MADV_WIPEONFORK: fork, raw clone), and as it was in a vfork child,
//  which shares our memory. Some kernels say that they wipe and do not (qemu-user), or cannot: this is found
//  out without forking, by what the kernel refuses and what it says of the page.
//  O2 where nothing is wiped, the word counts in the process whose pid is in it. For another pid it is proved
//  whether the memory is shared or a copy: what is mapped here shows in the owner's /proc/PID/maps, or does
//  not. A different pid alone says nothing.
//  O3 what cannot be proved is not guessed: such a process records nothing and leaves the word alone.
#include "core/owner.h"

#include "core/process.h"
#include "sys/atomic.h"
#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/maps.h"
#include "sys/memory.h"
#include "sys/raw.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define PAGE_BYTES 4096u

// The word: the state, and above it the pid of the process whose memory this is (0: not known yet).
static uint64_t *ht_owner;

// Whether it is wiped. UNPROVED: the kernel says so, and looks at what it is asked; that is enough until
// there is a region.
enum { HT_WIPES_UNPROVED = 0, HT_WIPES = 1, HT_WIPES_NOT = 2 };
static uint32_t ht_wipes;

// Where nothing is wiped: more of who the owner is, and the last answer for a process with another pid.
static uint64_t ht_owner_namespace, ht_owner_start_ticks;
static uint64_t ht_asked; // pid << 32 | relation << 16 | how many times it still holds

#define ASK_AGAIN 1000u // uses of an answer: pids come again some day

static uint64_t ht_word(uint32_t pid, enum ht_owner_state state)
{
    return (uint64_t)pid << 32 | (uint32_t)state;
}

static uint32_t ht_word_pid(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static enum ht_owner_state ht_word_state(uint64_t word)
{
    return (enum ht_owner_state)(uint32_t)word;
}

static uint64_t ht_pid_namespace(void)
{
    struct stat status;
    memset(&status, 0, sizeof status);
    return ht_raw4(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/ns/pid", (long)&status, 0) == 0 ? status.st_ino
                                                                                               : 0;
}

// A kernel that knows what it is asked for refuses this: shared memory cannot be wiped (madvise(2)).
static bool ht_refuses_nonsense(void)
{
    long page = ht_raw6(SYS_mmap, 0, PAGE_BYTES, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page < 0 && page >= -4095) {
        return false;
    }
    bool refuses = ht_raw3(SYS_madvise, page, PAGE_BYTES, MADV_WIPEONFORK) != 0;
    ht_raw2(SYS_munmap, page, PAGE_BYTES);
    return refuses;
}

// A file of /proc, line by line through a small window: this runs on the host's stack. False: it could not be
// read to its end, unless `line` wanted no more of it.
static bool ht_each_line(const char *path, bool (*line)(void *arg, const char *text), void *arg)
{
    char buffer[512];
    size_t begin = 0, end = 0;
    bool rest = false; // of a line that did not fit
    int fd = ht_io_open(HT_IO_CWD, path, O_RDONLY, 0);
    if (fd < 0) {
        return false;
    }
    long got = 1;
    bool more = true;
    while (more) {
        char *newline = memchr(buffer + begin, '\n', end - begin);
        if (newline != NULL) {
            *newline = '\0';
            more = rest || line(arg, buffer + begin);
            begin = (size_t)(newline + 1 - buffer);
            rest = false;
            continue;
        }
        rest = rest || end - begin == sizeof buffer;
        end = rest ? 0 : end - begin;
        memmove(buffer, buffer + begin, end);
        begin = 0;
        do {
            got = ht_raw3(SYS_read, fd, (long)(buffer + end), (long)(sizeof buffer - end));
        } while (got == -EINTR);
        if (got <= 0) {
            break;
        }
        end += (size_t)got;
    }
    ht_io_close(fd);
    return got >= 0;
}

struct ht_flags_search {
    uint64_t address;
    bool inside; // of the lines that tell of the mapping
    bool found, wiped;
};

static bool ht_look_for_flag(void *arg, const char *text)
{
    static const char key[] = "VmFlags:";
    struct ht_flags_search *search = arg;
    struct ht_maps_line mapping;
    if (ht_maps_parse(text, &mapping)) {
        search->inside = mapping.start <= search->address && search->address < mapping.limit;
    } else if (search->inside && strncmp(text, key, sizeof key - 1) == 0) {
        search->found = true;
        search->wiped = strstr(text, " wf") != NULL;
        return false;
    }
    return true;
}

// Source: proc(5), VmFlags in smaps, "wf" since the kernel can wipe. False only where the kernel tells of the
// page, and that it is not wiped, or does not tell of a page that is there.
static bool ht_page_is_wiped(void)
{
    struct ht_flags_search search = {.address = (uintptr_t)ht_owner};
    bool read = ht_each_line("/proc/self/smaps", ht_look_for_flag, &search);
    return search.found ? search.wiped : !read;
}

struct ht_map_search {
    struct ht_maps_line mapping; // what is looked for
    uint64_t address;            // 0: by device and inode
    bool found;
};

static bool ht_look_for_mapping(void *arg, const char *text)
{
    struct ht_map_search *search = arg;
    struct ht_maps_line mapping;
    if (!ht_maps_parse(text, &mapping)) {
        return true;
    }
    if (search->address != 0) {
        search->found = mapping.start <= search->address && search->address < mapping.limit;
        if (search->found) {
            search->mapping = mapping;
        }
    } else {
        search->found = mapping.inode == search->mapping.inode &&
                        mapping.device_major == search->mapping.device_major &&
                        mapping.device_minor == search->mapping.device_minor;
    }
    return !search->found;
}

enum ht_relation { HT_UNKNOWN = 0, HT_SHARED = 1, HT_COPIED = 2 };

// Maps shared memory without a name, to which the kernel gives an inode that nothing else has, and looks
// whether the other process has it as well. By the inode: addresses are an emulator's own affair.
static enum ht_relation ht_compare_maps(uint32_t pid)
{
    char path[40];
    enum ht_relation relation = HT_UNKNOWN;
    long token = ht_raw6(SYS_mmap, 0, PAGE_BYTES, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (token < 0 && token >= -4095) {
        return HT_UNKNOWN;
    }
    struct ht_map_search search = {.address = (uint64_t)token};
    if (ht_each_line("/proc/self/maps", ht_look_for_mapping, &search) && search.found &&
        search.mapping.inode != 0) {
        search.address = 0;
        search.found = false;
        struct ht_text text = ht_text_init(path, sizeof path);
        ht_text_add(&text, "/proc/");
        ht_text_add_u64(&text, pid);
        ht_text_add(&text, "/maps");
        if (ht_each_line(path, ht_look_for_mapping, &search)) {
            relation = search.found ? HT_SHARED : HT_COPIED;
        }
    }
    ht_raw2(SYS_munmap, token, PAGE_BYTES);
    return relation;
}

// Of this process, whose pid is another than the owner's, or which is in another pid namespace.
static enum ht_relation ht_ask(uint32_t owner_pid)
{
    char self[24];
    uint64_t own_name = 0;
    long length = ht_raw4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self", (long)self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    if (owner_pid == 0 || ht_owner_start_ticks == 0 || !ht_text_parse_u64(self, &own_name) ||
        own_name == owner_pid) { // there that pid is ours
        return HT_UNKNOWN;
    }
    if (ht_process_start_ticks(owner_pid) == ht_owner_start_ticks) {
        return ht_compare_maps(owner_pid);
    }
    // The owner is gone, and its memory is whoever's has it, if this is the place to look for it.
    bool here = ht_process_is_gone(owner_pid, ht_owner_start_ticks) && own_name == ht_raw_pid() &&
                ht_owner_namespace != 0 && ht_pid_namespace() == ht_owner_namespace;
    return here ? HT_COPIED : HT_UNKNOWN;
}

static enum ht_relation ht_relation(uint32_t owner_pid, uint32_t own_pid)
{
    uint64_t asked = ht_load_relaxed(&ht_asked);
    if (asked >> 32 == own_pid && own_pid != owner_pid && (asked & 0xffff) != 0) {
        ht_store_relaxed(&ht_asked, asked - 1);
        return (enum ht_relation)(asked >> 16 & 0xffff);
    }
    enum ht_relation relation = ht_ask(owner_pid);
    ht_store_relaxed(&ht_asked, (uint64_t)own_pid << 32 | (uint64_t)relation << 16 | ASK_AGAIN);
    return relation;
}

// What O2 goes by, before the word is this process's.
static void ht_note_owner(void)
{
    ht_store_relaxed(&ht_owner_namespace, ht_pid_namespace());
    ht_store_relaxed(&ht_owner_start_ticks, ht_process_start_ticks(ht_raw_pid()));
}

// The first process of a pid namespace often has the pid of its parent, the first process of another.
static bool ht_is_owner(uint64_t word, uint32_t own_pid)
{
    return ht_word_pid(word) == own_pid &&
           (own_pid != 1 || ht_pid_namespace() == ht_load_relaxed(&ht_owner_namespace));
}

// The word where nothing is wiped, begun anew in a copy. For whoever is neither owner, nor shares, nor is
// known to be a copy, there is no region.
static uint64_t ht_unwiped_word(void)
{
    uint32_t pid = ht_raw_pid();
    uint64_t word = ht_load_acquire(ht_owner);
    while (pid != 0 && !ht_is_owner(word, pid)) { // 0: no system call may be made, and nothing can be asked
        enum ht_relation relation = ht_relation(ht_word_pid(word), pid);
        if (relation == HT_SHARED) {
            return word;
        }
        if (relation == HT_UNKNOWN) {
            return ht_word(ht_word_pid(word), HT_OWNER_FAILED);
        }
        ht_note_owner();
        uint64_t fresh = ht_word(pid, HT_OWNER_NONE);
        if (ht_cas_acqrel(ht_owner, &word, fresh)) {
            return fresh;
        }
    }
    return word;
}

static bool ht_is_unwiped(void)
{
    return ht_unlikely(ht_load_relaxed(&ht_wipes) == HT_WIPES_NOT);
}

bool ht_owner_start(void)
{
    uint64_t *word = ht_memory_map(PAGE_BYTES);
    if (word == NULL) {
        return false;
    }
    *word = ht_word(ht_raw_pid(), HT_OWNER_NONE);
    if (ht_raw3(SYS_madvise, (long)word, PAGE_BYTES, MADV_WIPEONFORK) != 0 || !ht_refuses_nonsense()) {
        ht_note_owner();
        ht_wipes = HT_WIPES_NOT;
    }
    ht_owner = word;
    return true;
}

enum ht_owner_state ht_owner_state(void)
{
    if (ht_unlikely(ht_owner == NULL)) {
        return HT_OWNER_FAILED;
    }
    // Pairs with the release in ht_owner_finish.
    return ht_word_state(ht_is_unwiped() ? ht_unwiped_word() : ht_load_acquire(ht_owner));
}

uint32_t ht_owner_pid(void)
{
    if (ht_owner == NULL) {
        return ht_raw_pid();
    }
    if (ht_is_unwiped()) {
        return ht_word_pid(ht_unwiped_word());
    }
    uint64_t word = ht_load_acquire(ht_owner);
    while (ht_word_pid(word) == 0) {
        uint64_t known = ht_word(ht_raw_pid(), ht_word_state(word));
        if (ht_cas_acqrel(ht_owner, &word, known)) {
            return ht_word_pid(known);
        }
    }
    return ht_word_pid(word);
}

bool ht_owner_begin(void)
{
    if (ht_load_relaxed(&ht_wipes) == HT_WIPES_UNPROVED) {
        bool wiped = ht_page_is_wiped();
        if (!wiped && ht_word_pid(ht_load_relaxed(ht_owner)) == ht_raw_pid()) {
            ht_note_owner();
        }
        ht_store_release(&ht_wipes, wiped ? HT_WIPES : HT_WIPES_NOT);
    }
    uint64_t word = ht_word(ht_owner_pid(), HT_OWNER_NONE);
    return ht_owner_state() == HT_OWNER_NONE &&
           ht_cas_acqrel(ht_owner, &word, ht_word(ht_word_pid(word), HT_OWNER_MAKING));
}

void ht_owner_finish(enum ht_owner_state state)
{
    ht_store_release(ht_owner, ht_word(ht_word_pid(ht_load_relaxed(ht_owner)), state));
}

void ht_owner_fork_child(void)
{
    uint32_t pid = ht_raw_pid();
    uint64_t word = ht_owner != NULL ? ht_load_acquire(ht_owner) : 0;
    if (!ht_is_unwiped()) {
        ht_owner_pid(); // known before a vfork child can ask
        return;
    }
    // It is this child's already where a handler before ours has allocated.
    while (ht_owner != NULL && !ht_is_owner(word, pid)) {
        ht_note_owner();
        if (ht_cas_acqrel(ht_owner, &word, ht_word(pid, HT_OWNER_NONE))) {
            return;
        }
    }
}
