// Takes a snapshot: number, file, encoding, rotation, counters.
#include "snapshot/snapshot.h"

#include "record/held.h"
#include "record/kinds.h"
#include "snapshot/encode.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/memory.h"
#include "sys/raw.h"

#include <errno.h>
#include <string.h>

static struct ht_encode_options ht_snapshot_options(const struct ht_view *view, uint32_t kind,
                                                    enum ht_trigger trigger, uint32_t seq,
                                                    const struct ht_snapshot_target *target)
{
    uint64_t own_bytes = ht_load_relaxed(&view->header->backed_bytes) + target->private_bytes;
    int64_t held_bytes =
        trigger == HT_TRIGGER_EXIT ? ht_held_lately(view->header, ht_clock_raw_monotonic_ns()) : 0;
    return (struct ht_encode_options){
        .kind = kind,
        .trigger = ht_trigger_name(trigger),
        .seq = seq,
        .time_unix_ns = ht_clock_raw_realtime_ns(),
        .monotonic_ns = target->monotonic_ns != 0 ? target->monotonic_ns : ht_clock_raw_monotonic_ns(),
        .rss_bytes = target->rss_bytes > own_bytes ? target->rss_bytes - own_bytes : 0,
        .held_lately_bytes = (uint64_t)held_bytes,
        .deadline_ns = target->deadline_ns,
        .comments = target->comments,
        .comment_count = target->comment_count,
    };
}

int ht_snapshot_encode(const struct ht_view *view, uint32_t kind, enum ht_trigger trigger, uint32_t seq,
                       const struct ht_snapshot_target *target, struct ht_sink *sink)
{
    struct ht_encode_options options = ht_snapshot_options(view, kind, trigger, seq, target);
    uint64_t used_bytes = ht_load_relaxed(&view->header->used_bytes);
    if (used_bytes > view->size_bytes) {
        used_bytes = view->size_bytes;
    }
    struct ht_bump memory;
    ht_bump_init(&memory,
                 target->memory_bytes != 0 ? target->memory_bytes : ht_encode_memory_bytes(used_bytes));
    int result = ht_encode(view, &options, sink, &memory);
    ht_bump_release(&memory);
    return result;
}

// Takes a number that no file has; others (the command) may take numbers from the same word.
static uint32_t ht_take_seq(uint32_t *word, const struct ht_file *file, const struct ht_file_name *name)
{
    uint32_t seen = ht_load_relaxed(word);
    for (;;) {
        uint32_t seq = ht_file_free_seq(file, name, seen);
        if (ht_cas_acqrel(word, &seen, seq + 1)) {
            return seq;
        }
    }
}

static void ht_keep_seq_above(uint32_t *word, uint32_t seq)
{
    uint32_t seen = ht_load_relaxed(word);
    while (seen <= seq && !ht_cas_acqrel(word, &seen, seq + 1)) {
    }
}

// The region's HEAPTAP_OUT may be any bytes.
static const char *ht_snapshot_directory(const struct ht_view *view, const struct ht_snapshot_target *target,
                                         char *buffer, size_t size_bytes)
{
    if (target->directory != NULL) {
        return target->directory;
    }
    struct ht_text text = ht_text_init(buffer, size_bytes);
    ht_text_add_max(&text, view->header->out_dir, sizeof view->header->out_dir);
    return buffer;
}

static void ht_snapshot_path(const char *directory, const struct ht_file_name *name, uint32_t seq,
                             char *ret_path, size_t path_bytes)
{
    char last[HT_NAME_BYTES];
    ht_file_format_name(name, seq, last, sizeof last);
    struct ht_text text = ht_text_init(ret_path, path_bytes);
    ht_text_add(&text, directory);
    if (text.length > 0 && ret_path[text.length - 1] != '/') {
        ht_text_add_char(&text, '/');
    }
    ht_text_add(&text, last);
}

// What the files of one snapshot have in common.
struct ht_snapshot_files {
    const struct ht_view *view;
    const struct ht_snapshot_target *target;
    enum ht_trigger trigger;
    const char *directory;
    uint32_t *seq_word;
    uint32_t seq; // of the heap's file, which is the first
    bool removes; // rotation has removed the heap's file of this number and trigger
    uint32_t removed_seq;
    enum ht_trigger removed_trigger;
};

static void ht_rotate(struct ht_snapshot_files *files, const struct ht_file *file, struct ht_file_name *name)
{
    const struct ht_snapshot_target *target = files->target;
    if (target->rotation == NULL) {
        return;
    }
    if (name->profile == NULL) {
        files->removes = ht_file_rotate(file, target->rotation, target->keep, name, files->seq,
                                        &files->removed_trigger, &files->removed_seq);
    } else if (files->removes) {
        struct ht_file_name gone = *name;
        gone.trigger = files->removed_trigger;
        ht_file_remove(file, &gone, files->removed_seq);
    }
}

static int ht_snapshot_write_kind(struct ht_snapshot_files *files, uint32_t kind, const char *profile)
{
    const struct ht_region_header *header = files->view->header;
    struct ht_file_name name = {header->program, header->pid, files->trigger,
                                profile != NULL ? profile : files->target->heap_name};
    struct ht_file file;
    int result = ht_file_begin(&file, files->directory, &name);
    if (result != 0) {
        return result;
    }
    uint32_t seq = profile == NULL ? ht_take_seq(files->seq_word, &file, &name) : files->seq;
    struct ht_sink sink = {ht_file_write, &file};
    result = ht_snapshot_encode(files->view, kind, files->trigger, seq, files->target, &sink);
    if (result == 0 && ht_load_relaxed(&header->magic) != HT_REGION_MAGIC) {
        result = -EIO; // written over or cut off meanwhile, so figures may be missing
    }
    if (result == 0 && files->target->is_too_late != NULL && files->target->is_too_late(files->target->arg)) {
        result = -ECANCELED;
    }
    if (result == 0) {
        result = ht_file_commit(&file, &name, seq, &seq);
    }
    if (result == 0) {
        if (profile == NULL) {
            files->seq = seq;
            ht_keep_seq_above(files->seq_word, seq);
        }
        ht_rotate(files, &file, &name);
    }
    ht_file_end(&file);
    return result;
}

static bool ht_note_kind(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    uint32_t *kinds = arg;
    (void)ref;
    if (entry->kind < HT_KIND_LIMIT && ht_load_relaxed(&entry->values[HT_ENTRY_SAMPLES]) != 0) {
        *kinds |= UINT32_C(1) << entry->kind;
    }
    return true;
}
_Static_assert(HT_KIND_LIMIT <= 32, "a bit for each kind");

static int ht_snapshot_write_files(const struct ht_view *view, enum ht_trigger trigger,
                                   const struct ht_snapshot_target *target, char *ret_path, size_t path_bytes)
{
    char buffer[sizeof view->header->out_dir + 1];
    uint32_t none = 0;
    struct ht_snapshot_files files = {
        .view = view,
        .target = target,
        .trigger = trigger,
        .directory = ht_snapshot_directory(view, target, buffer, sizeof buffer),
        .seq_word = target->header != NULL ? &target->header->seq
                    : target->seq != NULL  ? target->seq
                                           : &none,
    };
    int result = ht_snapshot_write_kind(&files, HT_KIND_HEAP, NULL);
    if (result != 0) {
        return result;
    }
    if (ret_path != NULL) {
        struct ht_file_name name = {view->header->program, view->header->pid, trigger, target->heap_name};
        ht_snapshot_path(files.directory, &name, files.seq, ret_path, path_bytes);
    }
    uint32_t count = ht_view_kind_count(view), recorded = 0;
    if (count > 1) {
        ht_view_each_entry(view, ht_note_kind, &recorded);
    }
    for (uint32_t id = HT_KIND_HEAP + 1; id < count; id++) {
        struct ht_kind kind;
        if ((recorded >> id & 1) != 0 && ht_view_kind(view, id, &kind)) {
            int other = ht_snapshot_write_kind(&files, id, kind.form.name);
            result = result != 0 ? result : other;
        }
    }
    return result;
}

int ht_snapshot_write(const struct ht_view *view, enum ht_trigger trigger,
                      const struct ht_snapshot_target *target, char *ret_path, size_t path_bytes)
{
    uint64_t begun_ns = ht_clock_raw_thread_cpu_ns();
    struct ht_io_guard guard;
    ht_io_guard_begin(&guard);
    int result = ht_snapshot_write_files(view, trigger, target, ret_path, path_bytes);
    ht_io_guard_end(&guard);
    if (target->header != NULL) {
        ht_health_add(target->header, result == 0 ? HT_HEALTH_SNAPSHOTS : HT_HEALTH_SNAPSHOT_FAILURES, 1);
        ht_health_add(target->header, HT_HEALTH_SNAPSHOT_NS, ht_clock_raw_thread_cpu_ns() - begun_ns);
    }
    return result;
}

static void ht_empty_header(struct ht_region_header *header, const struct ht_identity *identity)
{
    ht_region_describe(header, identity);
    header->magic = HT_REGION_MAGIC;
    header->size_bytes = header->used_bytes = HT_REGION_HEADER_BYTES;
    header->head_count = 1; // of a table that is not there
}

int ht_snapshot_empty(const struct ht_identity *identity, enum ht_trigger trigger,
                      const struct ht_snapshot_target *target, char *ret_path, size_t path_bytes)
{
    struct ht_region_header *header = ht_memory_map(HT_REGION_HEADER_BYTES);
    if (header == NULL) {
        return -ENOMEM;
    }
    ht_empty_header(header, identity);
    struct ht_view view;
    int result = -EINVAL;
    if (ht_view_init(&view, header, HT_REGION_HEADER_BYTES) == HT_VIEW_OK) {
        struct ht_snapshot_target without_region = *target;
        without_region.header = NULL;
        result = ht_snapshot_write(&view, trigger, &without_region, ret_path, path_bytes);
    }
    ht_memory_unmap(header, HT_REGION_HEADER_BYTES);
    return result;
}

uint64_t ht_snapshot_rss(uint32_t pid)
{
    char path[48];
    struct ht_text text = ht_text_init(path, sizeof path);
    ht_text_add(&text, "/proc/");
    if (pid == 0) {
        ht_text_add(&text, "self");
    } else {
        ht_text_add_u64(&text, pid);
    }
    ht_text_add(&text, "/status");
    char status[4096];
    if (ht_io_read_file(path, status, sizeof status) <= 0) {
        return 0;
    }
    static const char key[] = "\nVmRSS:";
    for (const char *at = status; *at != '\0'; at++) {
        if (*at == '\n' && ht_text_length(at, sizeof key - 1) == sizeof key - 1 &&
            memcmp(at, key, sizeof key - 1) == 0) {
            at += sizeof key - 1;
            while (*at == ' ' || *at == '\t') {
                at++;
            }
            uint64_t kilobytes = 0;
            return ht_text_parse_u64(at, &kilobytes) ? kilobytes * 1024 : 0;
        }
    }
    return 0;
}
