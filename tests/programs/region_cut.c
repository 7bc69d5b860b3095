// Somebody cuts the profiler's file off, punches holes into it or removes it while it is in use (a cleaner of
// /dev/shm): recording may end, the host goes on. And whoever dies of SIGBUS by himself still does.
//@ set log=none
//@ garbled
#include "self.h"

#include "../../include/heaptap/heaptap.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

enum { TO_NOTHING, TO_A_PAGE, TO_THE_MIDDLE, PUNCHED, REMOVED, CUTS };

static volatile int stop;

static void *allocate(void *unused)
{
    (void)unused;
    while (!stop)
        use_heap();
    return NULL;
}

// The file of this very process. False: there is none (HEAPTAP_LIVE=off, no profiler).
static int find_region(char path[4096], uintptr_t *ret_size)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];
    int found = 0;
    while (maps && !found && fgets(line, sizeof line, maps)) {
        unsigned long start, limit;
        if (sscanf(line, "%lx-%lx", &start, &limit) == 2 && strstr(line, ".live\n") && strchr(line, '/')) {
            strcpy(path, strchr(line, '/'));
            path[strcspn(path, "\n")] = '\0';
            *ret_size = limit - start;
            found = 1;
        }
    }
    if (maps)
        fclose(maps);
    return found;
}

static void cut(int how)
{
    char path[4096];
    uintptr_t size;
    if (!find_region(path, &size))
        return;
    if (how == REMOVED) {
        unlink(path);
        return;
    }
    int fd = open(path, O_RDWR);
    if (fd < 0)
        return; // removed at exit of whoever it belongs to
    if (how == PUNCHED)
        CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size));
    else
        CHECK(!ftruncate(fd, how == TO_NOTHING ? 0 : how == TO_A_PAGE ? 4096 : (off_t)(size / 8 & ~4095ul)));
    close(fd);
}

static int child_of_it(void *unused)
{
    (void)unused;
    record_some();
    return 3;
}

static int life(void *how)
{
    pthread_t threads[3];
    record_some();
    for (int i = 0; i < 3; i++)
        CHECK(!pthread_create(&threads[i], NULL, allocate, NULL));
    for (int i = 0; i < 10; i++)
        use_heap();
    cut((int)(intptr_t)how);
    expect_exit(fork_into(child_of_it, NULL), 3);
    for (int i = 0; i < 20; i++)
        use_heap();
    heaptap_take_snapshot();
    stop = 1;
    for (int i = 0; i < 3; i++)
        CHECK(!pthread_join(threads[i], NULL));
    return 4;
}

// Nothing touches it between the cut and these.
static int cut_then_exit(void *unused)
{
    (void)unused;
    record_some();
    cut(TO_NOTHING);
    return 4;
}

static int cut_then_snapshot(void *unused)
{
    record_some();
    cut(TO_NOTHING);
    heaptap_take_snapshot();
    return cut_then_exit(unused);
}

static void die(int way)
{
    char path[] = "/tmp/region_cut.XXXXXX";
    int fd;
    switch (way) {
    case 0:
        raise(SIGBUS);
        break;
    case 1: {
        union sigval value = {.sival_int = 1};
        sigqueue(getpid(), SIGBUS, value);
        break;
    }
    default:
        fd = mkstemp(path);
        CHECK(fd >= 0 && !unlink(path) && !ftruncate(fd, 4096));
        volatile char *bytes = (volatile char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(bytes != MAP_FAILED && !ftruncate(fd, 0));
        bytes[0] = 1;
    }
    for (;;)
        pause();
}

static void dies_by_itself(int way)
{
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        no_core();
        record_some();
        die(way);
    }
    int status = wait_status(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

int main(void)
{
    for (int how = 0; how < CUTS; how++)
        expect_exit(fork_into(life, (void *)(intptr_t)how), 4);
    expect_exit(fork_into(cut_then_exit, NULL), 4);
    expect_exit(fork_into(cut_then_snapshot, NULL), 4);
    for (int way = 0; way < 3; way++)
        dies_by_itself(way);
    record_some();
    puts("ok");
    return 0;
}
