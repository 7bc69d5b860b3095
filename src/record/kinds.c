// The table of kinds: adding rows, and reading rows that may be damaged.
//
// Invariants (run by ht_check_kinds):
//  K1 ids are dense: the chain from kinds_ref holds the ids count-1, ..., 1, 0 in this order.
//  K2 a row never changes but for its overflow references; its strings end, and two rows have different
//  names. K3 overflow references are entries of the kind and the size class, without a stack.
#include "record/kinds.h"

#include "record/stacks.h"
#include "sys/atomic.h"

#include <string.h>

// Functions that only pass an allocation on. pprof matches the whole name, cut at its parameters; it removes
// the first match seen from the root and all below. Names are those of libc, libstdc++, libc++ and Rust's
// liballoc.
#define DROP_FRAMES                                                                                          \
    "(__libc_|__)?(malloc|calloc|realloc|reallocarray|memalign|aligned_alloc|posix_memalign|valloc|pvalloc)" \
    "|operator new(\\[\\])?"                                                                                 \
    "|_Znwm|_Znam|_ZnwmSt11align_val_t|_ZnamSt11align_val_t|_ZnwmRKSt9nothrow_t|_ZnamRKSt9nothrow_t"         \
    "|(.*::)?_M_allocate(_[a-z]+)?"                                                                          \
    "|(__gnu_cxx::|std::__1::|std::)(__)?(new_|malloc_)?allocator(<.*>)?::allocate(_at_least)?"              \
    "|std::(__1::)?allocator_traits(<.*>)?::allocate(_at_least)?|__gnu_cxx::__alloc_traits(<.*>)?::allocate" \
    "|std::__1::(__allocate_at_least|__libcpp_allocate|__libcpp_operator_new)(<.*>)?"                        \
    "|std::__allocate_guarded(<.*>)?"                                                                        \
    "|__rust_alloc|__rust_alloc_zeroed|__rust_realloc|alloc::alloc::(exchange_malloc|alloc|alloc_zeroed|"    \
    "realloc)"                                                                                               \
    "|__rdl_alloc|__rdl_alloc_zeroed|__rdl_realloc|__rg_alloc|__rg_alloc_zeroed|__rg_realloc"                \
    "|alloc::alloc::Global::alloc_impl|alloc::alloc::Global::grow_impl"                                      \
    "|<alloc::alloc::Global as core::alloc::Allocator>::(allocate|allocate_zeroed|grow|grow_zeroed)"

const struct ht_kind ht_kind_heap = {
    .form =
        {
            .name = "heap",
            .flags = HT_KIND_HAS_LIVE | HT_KIND_HAS_SIZES,
            .count_shift = 16,
            .amount_shift = 8,
            .column_count = 4,
            .default_column = 3,
            .columns = {{"alloc_objects", "count", HT_COLUMN_COUNT},
                        {"alloc_space", "bytes", HT_COLUMN_AMOUNT},
                        {"inuse_objects", "count", HT_COLUMN_LIVE_COUNT},
                        {"inuse_space", "bytes", HT_COLUMN_LIVE_AMOUNT}},
            .period_type = "space",
            .period_unit = "bytes",
            .label_key = "thread",
        },
    .drop_frames = DROP_FRAMES,
    .drop_frames_bytes = sizeof DROP_FRAMES - 1,
};

static uint64_t ht_row_bytes(const struct ht_kind_form *form)
{
    uint32_t classes = (form->flags & HT_KIND_HAS_SIZES) != 0 ? HT_SIZE_CLASSES : 1;
    return sizeof(struct ht_kind_row) + classes * sizeof(uint32_t);
}

// They go into profiles as they are, which must be UTF-8.
static bool ht_is_plain(const char *text)
{
    while (*text > ' ' && *text < 0x7f) {
        text++;
    }
    return *text == '\0';
}

static bool ht_form_is_sound(const struct ht_kind_form *form)
{
    bool sound = form->name[0] != '\0' && form->column_count >= 1 && form->column_count <= HT_KIND_COLUMNS &&
                 form->default_column < form->column_count && form->count_shift < 32 &&
                 form->amount_shift < 32 && ht_is_plain(form->name) && ht_is_plain(form->period_type) &&
                 ht_is_plain(form->period_unit) && ht_is_plain(form->label_key);
    for (uint32_t i = 0; sound && i < form->column_count; i++) {
        const struct ht_kind_column *column = &form->columns[i];
        sound = column->source < HT_COLUMN_SOURCES && column->type[0] != '\0' && ht_is_plain(column->type) &&
                ht_is_plain(column->unit);
    }
    return sound;
}

// The hooks go by their own copy of what matters, not by the row that others can write to.
static void ht_remember(struct ht_region *region, uint32_t id, uint32_t ref, const struct ht_kind_form *form)
{
    struct ht_kind_use *use = &region->kinds[id];
    // Several threads may find the same row at once; what they write is the same.
    ht_store_relaxed(&use->count_shift, form->count_shift);
    ht_store_relaxed(&use->amount_shift, form->amount_shift);
    ht_store_relaxed(&use->flags, form->flags);
    ht_store_release(&use->row_ref, ref); // pairs with the acquire in ht_kind_use_of
}

// Looks through the chain from `ref` to `end` for the name. True: *ret_id is set.
static bool ht_find_row(struct ht_region *region, uint32_t ref, uint32_t end, const char *name,
                        uint32_t *ret_id)
{
    for (uint32_t step = 0; ref != end && ht_region_link(region, ref, sizeof(struct ht_kind_row), step);
         step++) {
        const struct ht_kind_row *row = ht_region_at(region, ref);
        if (strncmp(row->form.name, name, sizeof row->form.name) == 0 && row->id < HT_KIND_LIMIT) {
            ht_remember(region, row->id, ref, &row->form);
            *ret_id = row->id;
            return true;
        }
        ref = row->next_ref;
    }
    return false;
}

bool ht_kind_add(struct ht_region *region, const struct ht_kind *kind, uint32_t *ret_id)
{
    uint32_t *head = &region->header->kinds_ref;
    uint32_t first = ht_load_acquire(head);
    if (ht_find_row(region, first, 0, kind->form.name, ret_id)) {
        return true;
    }
    if (!ht_form_is_sound(&kind->form)) {
        return false;
    }
    uint32_t drop_ref = 0;
    if (kind->drop_frames != NULL) {
        drop_ref = ht_string_intern(region, kind->drop_frames, kind->drop_frames_bytes);
    }
    uint64_t offset = ht_region_take(region, ht_row_bytes(&kind->form), HT_CACHE_LINE, false);
    if (offset == 0 || (kind->drop_frames != NULL && drop_ref == 0)) {
        return false;
    }
    uint32_t ref = (uint32_t)(offset / HT_REF_UNIT);
    struct ht_kind_row *row = ht_region_at(region, ref);
    row->form = kind->form;
    row->drop_frames_ref = drop_ref;
    for (;;) {
        bool linked = first != 0 && ht_region_link(region, first, sizeof *row, 0);
        row->id = linked ? ((const struct ht_kind_row *)ht_region_at(region, first))->id + 1 : 0;
        row->next_ref = first;
        if (row->id >= HT_KIND_LIMIT) {
            return false;
        }
        if (ht_cas_acqrel(head, &first, ref)) {
            break;
        }
        if (ht_find_row(region, first, row->next_ref, kind->form.name, ret_id)) {
            return true; // another thread was faster; our row stays unused
        }
    }
    ht_remember(region, row->id, ref, &kind->form);
    *ret_id = row->id;
    return true;
}

static const struct ht_kind_row *ht_view_row(const struct ht_view *view, uint32_t ref)
{
    const struct ht_kind_row *row = ht_view_at(view, ref, sizeof *row);
    return row != NULL && row->id < HT_KIND_LIMIT ? row : NULL;
}

uint32_t ht_view_kind_count(const struct ht_view *view)
{
    const struct ht_kind_row *newest = ht_view_row(view, ht_load_acquire(&view->header->kinds_ref));
    return newest != NULL ? newest->id + 1 : 1;
}

static void ht_read_drop_frames(const struct ht_view *view, uint32_t ref, struct ht_kind *kind)
{
    const struct ht_string *text = ht_view_at(view, ref, sizeof *text);
    uint32_t bytes = text != NULL ? ht_load_relaxed(&text->length_bytes) : 0;
    if (bytes != 0 && ht_view_at(view, ref, sizeof *text + (uint64_t)bytes) != NULL) {
        kind->drop_frames = text->bytes;
        kind->drop_frames_bytes = bytes;
    }
}

static void ht_terminate(char *text, size_t size_bytes)
{
    text[size_bytes - 1] = '\0';
}

static bool ht_read_row(const struct ht_view *view, const struct ht_kind_row *row, struct ht_kind *ret_kind)
{
    struct ht_kind kind = {.form = row->form};
    struct ht_kind_form *form = &kind.form;
    ht_terminate(form->name, sizeof form->name);
    ht_terminate(form->period_type, sizeof form->period_type);
    ht_terminate(form->period_unit, sizeof form->period_unit);
    ht_terminate(form->label_key, sizeof form->label_key);
    for (uint32_t i = 0; i < HT_KIND_COLUMNS; i++) {
        ht_terminate(form->columns[i].type, sizeof form->columns[i].type);
        ht_terminate(form->columns[i].unit, sizeof form->columns[i].unit);
    }
    if (!ht_form_is_sound(form)) {
        return false;
    }
    ht_read_drop_frames(view, row->drop_frames_ref, &kind);
    *ret_kind = kind;
    return true;
}

bool ht_view_kind(const struct ht_view *view, uint32_t kind_id, struct ht_kind *ret_kind)
{
    uint32_t ref = ht_load_acquire(&view->header->kinds_ref);
    for (uint32_t step = 0; step < HT_KIND_LIMIT; step++) {
        const struct ht_kind_row *row = ht_view_row(view, ref);
        if (row == NULL) {
            break;
        }
        if (row->id == kind_id && ht_read_row(view, row, ret_kind)) {
            return true;
        }
        ref = row->next_ref;
    }
    if (kind_id == HT_KIND_HEAP) { // written before there were rows, or damaged: what it is is known
        *ret_kind = ht_kind_heap;
        return true;
    }
    return false;
}

bool ht_view_find_kind(const struct ht_view *view, const char *name, uint32_t *ret_id)
{
    struct ht_kind kind;
    uint32_t count = ht_view_kind_count(view);
    for (uint32_t id = 0; id < count; id++) {
        if (ht_view_kind(view, id, &kind) && strcmp(kind.form.name, name) == 0) {
            *ret_id = id;
            return true;
        }
    }
    return false;
}
