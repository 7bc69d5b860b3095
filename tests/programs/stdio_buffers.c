// stdio on buffers that the program allocated, grew and freed, on streams that libc allocates, and at exit.
#include "check.h"

#include <pthread.h>
#include <stdio_ext.h>
#include <unistd.h>

static char *late_buffer;

static void streams(void)
{
    for (size_t size = 1; size < 100000; size = size * 7 + 1) {
        FILE *file = tmpfile();
        char *buffer = malloc(size), line[200];
        CHECK(file && buffer && !setvbuf(file, buffer, _IOFBF, size));
        for (int i = 0; i < 500; i++)
            CHECK(fprintf(file, "%0*d\n", i % 150 + 1, i) > 1);
        rewind(file);
        for (int i = 0; i < 500; i++)
            CHECK(fgets(line, sizeof(line), file) && atoi(line) == i);
        fclose(file);
        free(buffer);
    }
}

// A stream with cookies: libc calls back while it holds the stream's lock.
static ssize_t cookie_write(void *cookie, const char *bytes, size_t size)
{
    char *copy = malloc(size + 1);
    CHECK(copy);
    memcpy(copy, bytes, size);
    *(size_t *)cookie += size;
    free(copy);
    return (ssize_t)size;
}

static void cookies(void)
{
    size_t written = 0;
    cookie_io_functions_t functions = {.write = cookie_write};
    FILE *file = fopencookie(&written, "w", functions);
    CHECK(file);
    for (int i = 0; i < 1000; i++)
        fprintf(file, "%d,", i);
    CHECK(!fclose(file) && written == 3890);
}

static void *hold(void *argument)
{
    // Another thread allocates while this one holds the locks of all three streams.
    pthread_barrier_t *barrier = argument;
    flockfile(stdin);
    flockfile(stdout);
    flockfile(stderr);
    pthread_barrier_wait(barrier);
    pthread_barrier_wait(barrier);
    funlockfile(stderr);
    funlockfile(stdout);
    funlockfile(stdin);
    return NULL;
}

static void locked(void)
{
    pthread_t thread;
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 2);
    CHECK(!pthread_create(&thread, NULL, hold, &barrier));
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < 3000; i++)
        free(realloc(malloc(i), i * 2 + 1));
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
}

static void at_exit(void)
{
    fputs("late ", stdout);
    free(malloc(1000));
}

int main(void)
{
    CHECK((late_buffer = malloc(4096)) && !setvbuf(stdout, late_buffer, _IOFBF, 4096));
    atexit(at_exit);
    streams();
    cookies();
    locked();
    fputs("ok ", stdout);
    return 0; // libc writes out the allocated buffer after the last handler
}
