// Load, fork and exit: settles everything once, and takes the last snapshot.
#include "trigger/start.h"
#include "core/callbacks.h"
#include "core/guard.h"
#include "core/owner.h"
#include "core/process.h"
#include "heap/real.h"
#include "heap/sample.h"
#include "heaptap/heaptap.h"
#include "record/modules.h"
#include "sys/atomic.h"
#include "sys/clock.h"
#include "sys/fmt.h"
#include "sys/log.h"
#include "sys/raw.h"
#include "trigger/allocator.h"
#include "trigger/config.h"
#include "trigger/fault.h"
#include "trigger/leftovers.h"
#include "trigger/request.h"
#include "trigger/signal.h"
#include "unwind/objects.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

// Where this library begins and ends (from the linker), for walks that come before its constructor.
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

static uint32_t ht_started; // 1: under way, 2: done
static struct ht_config ht_config;
static uint64_t ht_next_interval_ns;
static int64_t ht_growth_base_bytes;

// HEAPTAP_INTERVAL and HEAPTAP_GROWTH, looked at with each sample and each free of a sampled block.
static void ht_on_event(struct ht_region *region, bool is_calm)
{
    ht_signal_tell(region);
    ht_allocator_look(region, is_calm);
    if (ht_config.interval_ns != 0) {
        uint64_t now = ht_clock_monotonic_ns();
        uint64_t next = ht_load_relaxed(&ht_next_interval_ns);
        if (now >= next && ht_cas_acqrel(&ht_next_interval_ns, &next, now + ht_config.interval_ns)) {
            ht_request(HT_TRIGGER_INTERVAL);
        }
    }
    if (ht_config.growth_bytes != 0) {
        int64_t live = ht_load_relaxed(&region->header->held_bytes);
        int64_t base = ht_load_relaxed(&ht_growth_base_bytes);
        if (live - base >= (int64_t)ht_config.growth_bytes &&
            ht_cas_acqrel(&ht_growth_base_bytes, &base, live)) {
            ht_request(HT_TRIGGER_GROWTH);
        }
    }
    ht_request_again();
}

static void ht_on_create(struct ht_region *region)
{
    ht_allocator_describe(region->header);
    ht_request_region_made(region);
    uint32_t program = ht_objects_resolve(getauxval(AT_PHDR));
    if (program != HT_OBJECT_NONE) {
        ht_objects_report(program, 0); // profiles name it, also when no stack leads through it
    }
    ht_leftovers_clean(region);
}

static void ht_on_fork_child(void)
{
    ht_fork_child();
    ht_objects_forget_modules();
    ht_request_fork_child();
    ht_allocator_fork_child();
    if (ht_config.interval_ns != 0) {
        ht_next_interval_ns = ht_clock_monotonic_ns() + ht_config.interval_ns;
    }
}

static void ht_on_exit(void)
{
    struct ht_guard guard = ht_guard_enter(HT_SETUP);
    if (!ht_load_relaxed(&ht_raw_sealed) && ht_owner_pid() == ht_raw_pid()) { // not in a vfork child
        struct ht_region *region = ht_process_region_if_made();
        bool last =
            region != NULL && ht_config.exit && ht_load_relaxed(&region->header->first_active_ns) != 0;
        if (region != NULL) { // nobody writes an interval snapshot behind the last one
            ht_store_release(&region->header->exiting, 1);
            ht_allocator_look_at_exit(region);
        }
        bool written = ht_request_exit(last);
        // A last snapshot that could not be written leaves the region behind for `heaptap top FILE.live`.
        region = ht_process_region_if_made(); // a request may have made one, of what was inherited
        if (region != NULL && written) {
            ht_region_unlink(region);
        }
    }
    ht_guard_leave(guard);
}

// The unwinder has met an executable segment for the first time.
static bool ht_on_module(const struct ht_module_desc *desc, int64_t *ret_delta)
{
    struct ht_region *region = ht_process_region_if_made();
    return region != NULL && ht_modules_add(region, desc, ret_delta);
}

static bool ht_is_foreign(uintptr_t function)
{
    return function != 0 && (function < (uintptr_t)__ehdr_start || function >= (uintptr_t)_end);
}

// Another copy of this library (from another path) is in front of us in the loader's order: it records, and
// is the one that sees the host's prctl. Two names are asked, for a host may have a function of its own by
// one of them.
static bool ht_is_second(void)
{
    return ht_is_foreign((uintptr_t)heaptap_snapshot) && ht_is_foreign((uintptr_t)heaptap_stop) &&
           ht_is_foreign((uintptr_t)malloc);
}

// HEAPTAP_ONLY is matched with both names a program may have.
static bool ht_wanted_here(const struct ht_config *config)
{
    if (config->rate_bytes == 0 || ht_is_second()) {
        return false;
    }
    char path[1024];
    ht_process_names(path, sizeof path, ht_settings.program, sizeof ht_settings.program);
    const char *slash = strrchr(path, '/');
    return config->only[0] == '\0' || ht_glob_matches(config->only, ht_settings.program) ||
           ht_glob_matches(config->only, slash != NULL ? slash + 1 : path);
}

static void ht_settle(void)
{
    struct ht_config *config = &ht_config;
    ht_config_read(config);
    ht_settings.dormant = !config->active;
    ht_settings.rate_bytes = config->rate_bytes;
    ht_settings.memory_bytes = config->memory_bytes;
    ht_settings.seed = config->seed;
    ht_settings.run_id = config->run_id;
    ht_settings.labels = config->labels;
    ht_settings.keep = config->keep;
    ht_settings.unwind = config->unwind;
    memcpy(ht_settings.live_dir, config->live_dir, sizeof ht_settings.live_dir);
    memcpy(ht_settings.out_dir, config->out_dir, sizeof ht_settings.out_dir);
    if (!ht_wanted_here(config)) {
        return;
    }
    if (config->argv) {
        ht_process_arguments(ht_settings.arguments, sizeof ht_settings.arguments);
    }
    ht_request_start();
    // Before anything that can fail: whoever asks for a snapshot must not kill a process that cannot record.
    ht_signal_install(config->signal);
    if (!ht_owner_start()) {
        ht_log_error("nothing is recorded", NULL, ENOMEM);
        return;
    }
    ht_fault_install(config->signal);
    ht_clock_use_vdso();
    ht_objects_own_start = (uintptr_t)__ehdr_start;
    ht_objects_own_limit = (uintptr_t)_end;
    ht_objects_set_reporter(ht_on_module);
    ht_unwind_start(config->unwind);
    if (config->interval_ns != 0) {
        ht_next_interval_ns = ht_clock_monotonic_ns() + config->interval_ns;
    }
    pthread_atfork(ht_fork_prepare, ht_fork_parent, ht_on_fork_child);
    at_quick_exit(ht_on_exit);
    ht_settings.on = true;
}

bool ht_start(void)
{
    if (ht_likely(ht_load_acquire(&ht_started) == 2)) {
        return true;
    }
    uint32_t idle = 0;
    if (environ == NULL || !ht_cas_acqrel(&ht_started, &idle, 1)) {
        return false;
    }
    ht_settle();
    ht_store_release(&ht_started, 2);
    return true;
}

const struct ht_callbacks ht_callbacks = {
    .start = ht_start,
    .after_event = ht_on_event,
    .after_create = ht_on_create,
};

__attribute__((constructor)) static void ht_load(void)
{
    struct ht_guard guard = ht_guard_enter(HT_SETUP);
    ht_real_find();
    if (ht_start() && ht_settings.on) {
        // Only here: the loader's lock is ours, and what is loaded now stays for the life of the process.
        ht_objects_init(ht_real_symbol("_dl_find_object"), ht_on_module);
        ht_unwind_load();
        ht_allocator_find();
    }
    ht_guard_leave(guard);
}

__attribute__((destructor)) static void ht_unload(void)
{
    if (ht_load_acquire(&ht_started) == 2) {
        ht_on_exit();
    }
}
