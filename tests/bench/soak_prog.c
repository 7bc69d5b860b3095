// The soak's host: threads that allocate in every way, forks, plugins loaded and unloaded, until SIGTERM.
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define SLOTS   3000

static volatile sig_atomic_t stopping;
static void *shared[SLOTS];
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// One step of random work on a thread's own slots and on those that all threads share.
static void step(void **own, uint64_t *state)
{
    uint64_t random = draw(state);
    size_t size = (size_t)1 << (random % 18), slot = (size_t)(random >> 20) % SLOTS;
    size += (size_t)(random >> 40) % size;
    switch ((random >> 8) % 6) {
    case 0:
        free(own[slot]);
        own[slot] = malloc(size);
        break;
    case 1:
        free(own[slot]);
        own[slot] = calloc(1, size / 8 + 1);
        break;
    case 2:
        own[slot] = realloc(own[slot], size + 1);
        break;
    case 3:
        free(own[slot]);
        if (posix_memalign(&own[slot], 64, size))
            own[slot] = NULL;
        break;
    default:
        // Blocks that one thread allocates and another frees.
        pthread_mutex_lock(&shared_lock);
        free(shared[slot]);
        shared[slot] = malloc(size / 4);
        pthread_mutex_unlock(&shared_lock);
    }
}

static void *work(void *argument)
{
    uint64_t state = (uint64_t)(uintptr_t)argument * 0x9E3779B97F4A7C15u + 1;
    void **own = calloc(SLOTS, sizeof(*own));
    for (int i = 0; !stopping && i < 300000; i++)
        step(own, &state);
    for (size_t i = 0; i < SLOTS; i++)
        free(own[i]);
    free(own);
    return NULL;
}

// Held over a fork, so that a child never inherits it locked by a thread that it does not have.
static void lock_shared(void)
{
    pthread_mutex_lock(&shared_lock);
}

static void unlock_shared(void)
{
    pthread_mutex_unlock(&shared_lock);
}

static int fork_once(uint64_t seed)
{
    pid_t child = fork();
    if (child == 0) {
        work((void *)(uintptr_t)(seed | 1));
        exit(0);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0)
        ;
    return child < 0 || status;
}

static void on_stop(int number)
{
    (void)number;
    stopping = 1;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    pthread_atfork(lock_shared, unlock_shared, unlock_shared);
    for (uint64_t round = 1; !stopping; round++) {
        for (uintptr_t i = 0; i < THREADS; i++)
            if (pthread_create(&threads[i], NULL, work, (void *)(round * THREADS + i)))
                return 2;
        void *plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
        if (plugin)
            ((void (*)(void))dlsym(plugin, "plugin_call"))();
        if (round % 4 == 0 && fork_once(round))
            return 3;
        if (plugin)
            dlclose(plugin);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < SLOTS; i++)
        free(shared[i]);
    puts("soaked");
    return 0;
}
