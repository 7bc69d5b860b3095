// Late libraries find what is left of the static TLS block, and the dynamic TLS of others is made inside
// allocating threads.
#include "check.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIBRARIES 200 // more than the loader has room for
#define COPIES    40

static char folder[4000];
static int *(*counters[LIBRARIES])(void);
static char *(*blocks[COPIES])(void);

// The library under a name of its own: another object for the loader.
static void *load(const char *name)
{
    char path[4096 + 32];
    snprintf(path, sizeof(path), "%s/%s.so", folder, name);
    int from = open(path, O_RDONLY | O_CLOEXEC), to = memfd_create(name, 0);
    CHECK(from >= 0 && to >= 0);
    char buffer[65536];
    ssize_t length;
    while ((length = read(from, buffer, sizeof(buffer))) > 0)
        CHECK(write(to, buffer, (size_t)length) == length);
    CHECK(length == 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(handle || strstr(dlerror(), "static TLS"));
    close(from); // `to` stays open: its path is the library's name
    return handle;
}

static void *touch(void *argument)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < LIBRARIES && counters[i]; i++)
            CHECK(*counters[i]() == round + 1);
        for (int i = 0; i < COPIES && blocks[i]; i++)
            CHECK(blocks[i]()[4999] == 1);
        free(malloc(300));
    }
    return argument;
}

int main(void)
{
    pthread_t threads[4];
    CHECK(readlink("/proc/self/exe", folder, sizeof(folder) - 1) > 0);
    dirname(folder);
    int count = 0;
    void *handle;
    for (; count < LIBRARIES && (handle = load("libstatic_tls")); count++) {
        void *symbol = dlsym(handle, "static_tls_counter");
        CHECK(symbol);
        memcpy(&counters[count], &symbol, sizeof(symbol));
    }
    // glibc has 1,664 bytes for such libraries, and a library takes 48: nobody else helps himself.
    CHECK(count >= 30 && count < LIBRARIES);
    for (int i = 0; i < COPIES; i++) {
        void *symbol = dlsym(load("libdynamic_tls"), "dynamic_tls_block");
        CHECK(symbol);
        memcpy(&blocks[i], &symbol, sizeof(symbol));
        if (i % 10 == 9) {
            // Threads that come later touch all of them, for the first time.
            CHECK(!pthread_create(&threads[i / 10], NULL, touch, NULL));
            pthread_join(threads[i / 10], NULL);
        }
    }
    touch(NULL);
    puts("ok");
    return 0;
}
