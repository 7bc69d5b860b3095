// Objects: which ELF object a pc belongs to, where its unwind tables are, and telling the recorder about its
// segments.
#ifndef HT_UNWIND_OBJECTS_H
#define HT_UNWIND_OBJECTS_H

#include "sys/atomic.h"
#include "sys/module.h"

#include <stdbool.h>
#include <stdint.h>

#define HT_OBJECT_MAX      1024u
#define HT_OBJECT_SEGMENTS 4u
#define HT_OBJECT_NONE     UINT32_MAX

enum ht_object_state { HT_OBJECT_FREE, HT_OBJECT_FILLING, HT_OBJECT_READY, HT_OBJECT_DEAD };

// An ELF object at a place. Never changes between FILLING and a reuse of the slot, but for the words at the
// end.
struct ht_object {
    uintptr_t start, limit;       // of the whole mapping
    uintptr_t table;              // .eh_frame_hdr; 0: none
    uintptr_t table_lo, table_hi; // the readable segment that holds it
    uintptr_t build_id;           // its bytes in memory; 0: none
    uint32_t build_id_bytes;
    uint32_t segment_count; // executable ones
    uintptr_t bias;         // address in memory - address in the file
    bool is_unaligned;      // its first executable segment does not begin on a page (lld, mold)
    uint64_t identity; // of the contents: ELF header, build id (without one: headers and name), range, table
    const char *path;  // permanent objects only
    bool permanent;    // there when the shim was loaded: can never be unloaded
    bool is_program;
    struct {
        uintptr_t start, limit; // page aligned
        uint64_t file_offset;
        int64_t delta; // what the recorder said
    } segments[HT_OBJECT_SEGMENTS];
    uint32_t state;      // enum ht_object_state
    uint32_t generation; // of the slot: counts its reuses
};

extern struct ht_object ht_objects[HT_OBJECT_MAX];

// For each object: twice the reporting generation in which it was reported, plus one if a delta is not zero.
extern uint32_t ht_objects_seen[HT_OBJECT_MAX];
extern uint32_t ht_objects_seen_now; // what a reported object without a delta has there

// Records the objects that can never be unloaded as permanent: the program, preloaded libraries, and what
// they need. `dl_find_object_fn` is the address of _dl_find_object or NULL: other objects are then looked up
// in /proc/self/maps. `seen` is called on sampled paths, once for each executable segment of an object when
// one of its frames is first met; false: ask again at the next frame. Context: the shim's constructor
// (dl_iterate_phdr takes the loader's lock, which the caller of a constructor has). Walks before it know the
// objects of /proc/self/maps.
void ht_objects_init(void *dl_find_object_fn,
                     bool (*seen)(const struct ht_module_desc *desc, int64_t *ret_delta));

// Adds an object that was described, or finds the same one. HT_OBJECT_NONE: the table is full. Hook context.
uint32_t ht_objects_add(const struct ht_object *object);

// The address of _dl_find_object, or NULL. Context: the shim's constructor.
void ht_objects_set_finder(void *dl_find_object_fn);

// Sets the reporter alone, for walks before ht_objects_init. Context: any, before the first walk.
void ht_objects_set_reporter(bool (*seen)(const struct ht_module_desc *desc, int64_t *ret_delta));

// Every object is reported again when next seen. Context: a forked child, with no other thread inside a walk.
void ht_objects_forget_modules(void);

// The program's file, also where the loader has no name for it; "" before ht_objects_init.
#define HT_OBJECT_PATH_BYTES 4096u
extern char ht_objects_program_path[HT_OBJECT_PATH_BYTES];

// The range of our own library's code; 0 and 0 when it is part of the program (tests).
extern uintptr_t ht_objects_own_start, ht_objects_own_limit;

// The object of a pc that has not been looked at in this walk: checked against the loader's view unless
// permanent. HT_OBJECT_NONE: no ELF object. Context: hook; lock-free, no allocation; a new object costs some
// microseconds.
uint32_t ht_objects_resolve(uintptr_t pc);

// Whether the object is still what is loaded at its place. Hook context; some 50 ns.
bool ht_objects_check(uint32_t index, uintptr_t pc);

// Whether pc is in one of its executable segments.
bool ht_objects_is_code(uint32_t index, uintptr_t pc);

// Reports the object if it has not been; what to add to the pc. Hook context.
int64_t ht_objects_report(uint32_t index, uintptr_t pc);

#endif
