// What the compiler is told: likelihood, cold paths, visibility.
#ifndef HT_SYS_COMPILER_H
#define HT_SYS_COMPILER_H

#define ht_likely(x)   __builtin_expect(!!(x), 1)
#define ht_unlikely(x) __builtin_expect(!!(x), 0)
#define HT_COLD        __attribute__((cold, noinline))
#define HT_NOINLINE    __attribute__((noinline))
#define HT_EXPORT      __attribute__((visibility("default")))
// On declarations of data: without it, code that is position-independent asks the global offset table first.
#define HT_HIDDEN     __attribute__((visibility("hidden")))
#define HT_ALIGNED(n) __attribute__((aligned(n)))
#define HT_CACHE_LINE 64
// On a function that may be called with a stack that is not aligned: it aligns its own frame.
#if defined(__x86_64__)
#define HT_REALIGN __attribute__((force_align_arg_pointer))
#else
#define HT_REALIGN
#endif

// Built with ThreadSanitizer (tests only).
#if defined(__SANITIZE_THREAD__)
#define HT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HT_TSAN 1
#endif
#endif

#endif
