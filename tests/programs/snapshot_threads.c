// Many threads ask for a snapshot of their own at once, and wait for it: nobody is turned away, and nobody is
// left waiting when it is written. Then the same where no thread can be had, so that they write it
// themselves, one after the other.
//@ root: the limit counts the processes of a user that has no other
//@ profiles some
#include "children.h"

#include "../../include/heaptap/heaptap.h"

#include <grp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define THREADS 8
#define CALLS   12

static pthread_barrier_t together;

static void *ask(void *forgo_threads)
{
    pthread_barrier_wait(&together);
    if (forgo_threads) {
        struct rlimit none = {0, 0};
        CHECK(!setrlimit(RLIMIT_NPROC, &none)); // of all of us, who are there by now
    }
    for (int i = 0; i < CALLS; i++) {
        pthread_barrier_wait(&together);
        use_heap();
        int result = heaptap_take_snapshot();
        if (result != 0 && result != HEAPTAP_ABSENT) {
            fprintf(stderr, "no snapshot: %d\n", result);
            _Exit(1);
        }
    }
    return NULL;
}

static void all_ask(void *forgo_threads)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&threads[i], NULL, ask, forgo_threads));
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_join(threads[i], NULL));
}

static int without_threads(void *unused)
{
    (void)unused;
    const char *out = getenv("HEAPTAP_OUT");
    CHECK(!out || !chown(out, 65534, 65534));
    CHECK(!setgroups(0, NULL) && !setgid(65534) && !setuid(65534));
    all_ask(&together);
    return 2;
}

int main(void)
{
    CHECK(!pthread_barrier_init(&together, NULL, THREADS));
    all_ask(NULL);
    expect_exit(fork_into(without_threads, NULL), 2);
    puts("ok");
    return 0;
}
