// setuid and setgid in a program with threads, while snapshots are taken: libc tells each of its threads, and
// in the end every one of them has the new identity.
//@ set interval=5ms
#include "self.h"

#include <dirent.h>
#include <grp.h>
#include <pthread.h>
#include <time.h>

static volatile int stop;

static void *allocate(void *unused)
{
    while (!stop) {
        void *p = malloc(300000);
        KEEP(p);
        free(p);
        usleep(100);
    }
    return unused;
}

// 1: all threads have this real, effective and saved user.
static int all_are(uid_t user)
{
    int all = 1;
    DIR *folder = opendir("/proc/self/task");
    CHECK(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[300], line[300];
        snprintf(path, sizeof(path), "/proc/self/task/%.200s/status", entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
        while (file && fgets(line, sizeof(line), file)) {
            unsigned real, effective, saved;
            if (sscanf(line, "Uid: %u %u %u", &real, &effective, &saved) == 3)
                all &= real == user && effective == user && saved == user;
        }
        if (file)
            fclose(file);
    }
    closedir(folder);
    return all;
}

int main(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(!pthread_create(&threads[i], NULL, allocate, NULL));
    for (int i = 0; i < 50; i++) {
        CHECK(!setuid(getuid()) && !setgid(getgid()) && !setresuid(getuid(), getuid(), getuid()));
        usleep(500);
    }
    if (getuid() == 0) {
        CHECK(!setgroups(0, NULL) && !setresgid(65534, 65534, 65534) && !setresuid(65534, 65534, 65534));
        CHECK(setuid(0) < 0 && errno == EPERM);
    }
    // A snapshot that had begun before still has the old one, for the milliseconds it takes.
    time_t end = time(NULL) + 200;
    while (!all_are(getuid()) && time(NULL) < end)
        usleep(1000);
    CHECK(all_are(getuid()) || time(NULL) < end);
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    puts("ok");
    return 0;
}
