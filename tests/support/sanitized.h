// Which sanitizer a test is built with: UNDER_TSAN, UNDER_ASAN, and UNDER_SANITIZER for either.
#ifndef HT_TEST_SANITIZED_H
#define HT_TEST_SANITIZED_H

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#elif __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#if defined(UNDER_TSAN) || defined(UNDER_ASAN)
#define UNDER_SANITIZER 1
#endif

#endif
