// Writes the comments from the region's header.
#include "snapshot/comments.h"

#include "sys/atomic.h"
#include "sys/fmt.h"

#define PREFIX "# heaptap: "

static void ht_comment_line(struct ht_message *message, const char *line, size_t length)
{
    int64_t index = ht_message_string(message, line, length);
    HT_PB_PROFILE part = PERFTOOLS__PROFILES__PROFILE__INIT;
    part.comment = &index;
    part.n_comment = 1;
    ht_message_add(message, &part);
}

static void ht_comment_text(struct ht_message *message, const char *key, const char *value, size_t max_bytes)
{
    if (max_bytes == 0 || value[0] == '\0') {
        return;
    }
    char line[1200];
    struct ht_text text = ht_text_init(line, sizeof line);
    ht_text_add(&text, PREFIX);
    ht_text_add(&text, key);
    ht_text_add_char(&text, '=');
    size_t start = text.length;
    ht_text_add_max(&text, value, max_bytes);
    for (size_t i = start; i < text.length; i++) {
        if ((unsigned char)line[i] < ' ') {
            line[i] = ' '; // one comment is one line
        }
    }
    ht_comment_line(message, line, text.length);
}

static void ht_comment_always(struct ht_message *message, const char *key, uint64_t value)
{
    char digits[24];
    struct ht_text text = ht_text_init(digits, sizeof digits);
    ht_text_add_u64(&text, value);
    ht_comment_text(message, key, digits, sizeof digits);
}

static void ht_comment_number(struct ht_message *message, const char *key, uint64_t value)
{
    if (value != 0) {
        ht_comment_always(message, key, value);
    }
}

static void ht_comments_identity(struct ht_message *message, const struct ht_region_header *header)
{
    ht_comment_text(message, "version", HEAPTAP_VERSION, sizeof HEAPTAP_VERSION);
    ht_comment_text(message, "program", header->program, sizeof header->program);
    ht_comment_text(message, "program_path", header->program_path, sizeof header->program_path);
    ht_comment_text(message, "argv", header->arguments, sizeof header->arguments);
    ht_comment_number(message, "pid", header->pid);
    ht_comment_number(message, "parent_pid", header->parent_pid);
    ht_comment_always(message, "uid", header->uid);
    ht_comment_number(message, "start", header->start_ticks);
    ht_comment_text(message, "boot_id", header->boot_id, sizeof header->boot_id);
    ht_comment_number(message, "pid_namespace", header->pid_namespace);
    ht_comment_number(message, "created", header->created_unix_ns);
    ht_comment_number(message, "run", header->run_id);
    ht_comment_number(message, "inherited_pid", header->inherited_pid);
    ht_comment_number(message, "inherited_start", header->inherited_start);
}

// What is missing from the figures: time before the first start, time switched off, what thinning made an
// estimate.
static void ht_comments_gaps(struct ht_message *message, const struct ht_region_header *header,
                             uint64_t time_unix_ns, float floor_bytes)
{
    if (ht_load_relaxed(&header->active) == 0) {
        ht_comment_always(message, "active", 0);
    }
    uint64_t first_active_ns = ht_load_relaxed(&header->first_active_ns);
    if (first_active_ns == 0) {
        ht_comment_number(message, "unknown_before", time_unix_ns);
    } else if (first_active_ns > header->created_monotonic_ns) {
        ht_comment_number(message, "unknown_before",
                          header->created_unix_ns + (first_active_ns - header->created_monotonic_ns));
    }
    ht_comment_number(message, "inactive_ns", ht_load_relaxed(&header->inactive_ns));
    ht_comment_number(message, "failed", ht_load_relaxed(&header->failed));
    ht_comment_number(message, "sealed", ht_load_relaxed(&header->sealed));
    if (floor_bytes > 0) {
        ht_comment_number(message, "thinned_since", ht_load_relaxed(&header->thinned_since_ns));
        ht_comment_number(message, "floor_bytes", floor_bytes < 1e18f ? (uint64_t)floor_bytes : 0);
    }
}

// The allocator, what of it is not seen, and its own figures with their age.
static void ht_comments_allocator(struct ht_message *message, const struct ht_region_header *header,
                                  uint64_t time_unix_ns)
{
    static const char *const names[HT_ALLOCATORS][HT_ALLOCATOR_FIGURES] = {
        [HT_ALLOCATOR_GLIBC] = {"glibc_in_use_bytes", "glibc_free_bytes", "glibc_arena_bytes",
                                "glibc_mapped_bytes"},
        [HT_ALLOCATOR_JEMALLOC] = {"jemalloc_allocated_bytes", "jemalloc_active_bytes",
                                   "jemalloc_resident_bytes", "jemalloc_retained_bytes"},
        [HT_ALLOCATOR_TCMALLOC] = {"tcmalloc_allocated_bytes", "tcmalloc_heap_bytes", "tcmalloc_free_bytes",
                                   "tcmalloc_unmapped_bytes"},
        [HT_ALLOCATOR_MIMALLOC] = {"mimalloc_committed_bytes", "mimalloc_peak_committed_bytes"},
    };
    uint32_t kind = header->allocator, flags = ht_load_relaxed(&header->allocator_flags);
    ht_comment_text(message, "allocator", header->allocator_name, sizeof header->allocator_name);
    if (flags & HT_ALLOCATOR_UNSEEN) {
        ht_comment_text(message, "unseen", "operator new of the allocator, unless it comes through malloc",
                        SIZE_MAX);
    }
    if (flags & HT_ALLOCATOR_UNASKED) {
        ht_comment_text(message, "allocator_unasked", "several threads, and signal handlers", SIZE_MAX);
    }
    uint64_t asked_ns = ht_load_relaxed(&header->allocator_unix_ns);
    if (kind >= HT_ALLOCATORS || names[kind][0] == NULL || asked_ns == 0) {
        return;
    }
    for (unsigned i = 0; i < HT_ALLOCATOR_FIGURES && names[kind][i] != NULL; i++) {
        ht_comment_always(message, names[kind][i], ht_load_relaxed(&header->allocator_figures[i]));
    }
    ht_comment_always(message, "allocator_age_ms",
                      time_unix_ns > asked_ns ? (time_unix_ns - asked_ns) / 1000000 : 0);
}

struct ht_sample_sum {
    uint32_t kind;
    uint64_t samples;
};

static bool ht_sum_samples(void *arg, uint32_t ref, const struct ht_entry *entry)
{
    struct ht_sample_sum *sum = arg;
    (void)ref;
    sum->samples += entry->kind == sum->kind ? ht_load_relaxed(&entry->values[HT_ENTRY_SAMPLES]) : 0;
    return true;
}

void ht_comments_add(struct ht_message *message, const struct ht_view *view,
                     const struct ht_encode_options *options, float floor_bytes, bool locations_full)
{
    static const char *const names[HT_HEALTH_COUNT] = {
#define X(id, name, meaning) name,
        HT_HEALTH_TABLE(X)
#undef X
    };
    const struct ht_region_header *header = view->header;
    ht_comments_identity(message, header);
    ht_comment_always(message, "seq", options->seq);
    ht_comment_always(message, "rate", ht_load_relaxed(&header->rate_bytes));
    if (options->trigger != NULL) {
        ht_comment_text(message, "trigger", options->trigger, SIZE_MAX);
    }
    struct ht_sample_sum sum = {.kind = options->kind};
    ht_view_each_entry(view, ht_sum_samples, &sum);
    ht_comment_always(message, "samples", sum.samples);
    ht_comment_number(message, "rss_bytes", options->rss_bytes);
    ht_comment_number(message, "own_bytes", ht_load_relaxed(&header->backed_bytes));
    ht_comment_number(message, "held_lately", options->held_lately_bytes);
    ht_comments_gaps(message, header, options->time_unix_ns, floor_bytes);
    ht_comments_allocator(message, header, options->time_unix_ns);
    if (locations_full) {
        ht_comment_always(message, "locations_full", 1);
    }
    for (uint32_t i = 0; i < HT_HEALTH_COUNT; i++) {
        ht_comment_number(message, names[i], ht_load_relaxed(&header->health[i]));
    }
    for (uint32_t i = 0; i < options->comment_count; i++) {
        char line[1200];
        struct ht_text text = ht_text_init(line, sizeof line);
        ht_text_add(&text, PREFIX);
        ht_text_add(&text, options->comments[i]);
        ht_comment_line(message, line, text.length);
    }
}
