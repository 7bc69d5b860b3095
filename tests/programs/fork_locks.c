// fork while another thread holds the loader's lock or stdio's, or the lock that the host's own atfork
// handlers take around its allocations: the child allocates and ends, the parent goes on.
#include "self.h"

#include <link.h>
#include <pthread.h>
#include <semaphore.h>

static pthread_mutex_t around = PTHREAD_MUTEX_INITIALIZER;
static sem_t held, release;
static volatile int stop;

static void prepare(void)
{
    pthread_mutex_lock(&around);
    free(malloc(2 << 20));
}

static void after(void)
{
    free(malloc(2 << 20));
    pthread_mutex_unlock(&around);
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore))
        CHECK(errno == EINTR);
}

static int visit(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)info;
    (void)size;
    (void)data;
    sem_post(&held);
    wait_for(&release);
    return 1;
}

static void *hold(void *which)
{
    if (which == NULL) {
        dl_iterate_phdr(visit, NULL);
    } else {
        flockfile(stdout);
        flockfile(stderr);
        sem_post(&held);
        wait_for(&release);
        funlockfile(stderr);
        funlockfile(stdout);
    }
    return NULL;
}

static void *allocate_locked(void *unused)
{
    (void)unused;
    while (!stop) {
        pthread_mutex_lock(&around);
        void *p = malloc(1 << 20);
        KEEP(p);
        free(p);
        pthread_mutex_unlock(&around);
    }
    return NULL;
}

static void fork_one(int status)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        record_some();
        _exit(status);
    }
    record_some();
    CHECK(WEXITSTATUS(wait_status(child)) == status);
}

int main(void)
{
    pthread_t threads[2];
    static int stdio;
    CHECK(!sem_init(&held, 0, 0) && !sem_init(&release, 0, 0));
    record_some();
    for (int i = 0; i < 10; i++) {
        CHECK(!pthread_create(&threads[0], NULL, hold, i % 2 ? &stdio : NULL));
        wait_for(&held);
        fork_one(20 + i);
        sem_post(&release);
        pthread_join(threads[0], NULL);
    }
    CHECK(!pthread_atfork(prepare, after, after));
    for (int i = 0; i < 2; i++)
        CHECK(!pthread_create(&threads[i], NULL, allocate_locked, NULL));
    for (int i = 0; i < 10; i++)
        fork_one(40 + i);
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    puts("ok");
    return 0;
}
