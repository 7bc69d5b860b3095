// Threads rename themselves all the time, to nothing, to bytes that are no text and to names of full length,
// under thread labels.
//@ set labels=thread
#include "check.h"

#include <pthread.h>
#include <sys/prctl.h>

static const char *const names[] = {
    "", "a", "fifteen_bytes__", "\xff\xfe\x80", "sp ace\ttab\n", "\xc3\xa4\xc3", "%s%n"};
#define NAMES (sizeof(names) / sizeof(*names))

static void *work(void *argument)
{
    size_t index = (size_t)(uintptr_t)argument;
    for (size_t i = 0; i < 200; i++) {
        char name[16], now[17] = "";
        CHECK(!prctl(PR_SET_NAME, names[(index + i) % NAMES]));
        void *p = malloc(i + 1);
        snprintf(name, sizeof(name), "t%zu.%zu", index, i % 20);
        CHECK(!pthread_setname_np(pthread_self(), name));
        CHECK((p = realloc(p, i * 5 + 1)));
        free(p);
        CHECK(!prctl(PR_GET_NAME, now) && !strcmp(now, name));
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[6];
    for (uintptr_t i = 0; i < 6; i++)
        CHECK(!pthread_create(&threads[i], NULL, work, (void *)i));
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    work(NULL);
    puts("ok");
    return 0;
}
