// Functions that pprof leaves out of profiles that name none themselves: those of the profiler, as regular
// expressions on whole names.
#include "profile/legacy/reader.h"

#define BLOCKS "malloc|calloc|realloc|valloc|pvalloc|memalign|posix_memalign|free|cfree"

static const char allocators[] =
    BLOCKS "|do_memalign|__posix_memalign|__libc_malloc"
           "|tcmalloc::.*|tc_(" BLOCKS "|new|newarray|new_nothrow|newarray_nothrow|delete|deletearray)"
           "|malloc_zone_(malloc|calloc|valloc|realloc|memalign|free)"
           "|(::)?do_malloc(_no_errno|_pages)?|DoSampledAllocation|MallocedMemBlock::MallocedMemBlock"
           "|operator new(\\[\\])?|__builtin_(vec_)?(new|delete)|_M_allocate|allocate|cpp_alloc"
           "|(__gnu_cxx::new_allocator|__malloc_alloc_template|simple_alloc)::allocate|BaseArena::.*"
           "|runtime\\..*";

// As it is linked into programs, with and without a prefix.
static const char jemalloc[] =
    "|(je_|_rjem_|_rjem_je_)(" BLOCKS "|aligned_alloc|[mrxsn]allocx|malloc_default|(prof|arena|tcache)_.*)"
    "|aligned_alloc|[mrx]allocx|malloc_default|[ip]alloc.*|imalloc.*|prof_(backtrace|alloc_prep|tctx_create).*"
    "|newImpl.*|fallbackNewImpl.*|handleOOM";

static const char locks[] =
    "(base::)?RecordLockProfileData.*|(base::)?Submit(Mutex|SpinLock)ProfileData.*"
    "|((base::)?Mutex::)?(AwaitCommon|Unlock|ReaderUnlock).*|((base::)?MutexLock::)?~MutexLock.*"
    "|(SpinLock::)?(Unlock|SlowUnlock).*|(SpinLockHolder::)?~SpinLockHolder.*";

static const char profiler[] = "(ProfileData|CpuProfiler)::prof_handler|ProfileData::Add"
                               "|__pthread_sighandler|__restore";

void ht_legacy_drop_allocators(struct ht_profile *profile, bool of_jemalloc)
{
    char expression[2048];
    snprintf(expression, sizeof expression, "%s%s", allocators, of_jemalloc ? jemalloc : "");
    profile->drop_frames = ht_profile_intern_text(profile, expression);
    profile->keep_frames = ht_profile_intern_text(profile, "runtime\\.(panic|reflectcall|call[0-9]*)");
}

void ht_legacy_drop_locks(struct ht_profile *profile)
{
    profile->drop_frames = ht_profile_intern_text(profile, locks);
}

void ht_legacy_drop_profiler(struct ht_profile *profile)
{
    profile->drop_frames = ht_profile_intern_text(profile, profiler);
}
