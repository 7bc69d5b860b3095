// Calls that the kernel restarts behind a handler with SA_RESTART never fail with EINTR, however many
// snapshot signals come meanwhile.
#include "self.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t turn;
static sem_t semaphore;
static int channel[2], full[2], pair[2], listening, locked_file;
static struct sockaddr_storage address;
static socklen_t address_length;

static int main_sleeps(void)
{
    char path[64], state = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)getpid());
    FILE *file = fopen(path, "r");
    CHECK(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1 && !fclose(file));
    return state == 'S';
}

// Ends what the main thread waits for, call by call, a while after it has begun to.
static void *end_each(void *unused)
{
    static char rest[1 << 20];
    char byte;
    (void)unused;
    for (int call = 0; call < 8; call++) {
        if (call == 4)
            pthread_mutex_lock(&mutex);
        pthread_barrier_wait(&turn);
        while (!main_sleeps())
            sched_yield();
        usleep(25000); // so that signals arrive
        free(malloc(5000));
        int other = -1;
        switch (call) {
        case 0:
            CHECK(write(channel[1], "", 1) == 1);
            break;
        case 1:
            CHECK(read(full[0], rest, sizeof(rest)) > 0);
            break;
        case 2:
            CHECK(write(pair[1], "x", 1) == 1);
            break;
        case 3:
            other = socket(AF_UNIX, SOCK_STREAM, 0);
            CHECK(!connect(other, (struct sockaddr *)&address, address_length) && !close(other));
            break;
        case 4:
            pthread_mutex_unlock(&mutex);
            break;
        case 5:
            sem_post(&semaphore);
            break;
        case 6:
            flock(locked_file, LOCK_UN);
            break;
        default:
            byte = 0;
            CHECK(write(channel[1], &byte, 1) == 1);
        }
    }
    return NULL;
}

static int open_again(int fd)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR);
    CHECK(again >= 0);
    return again;
}

static void wait_in(int call)
{
    char byte = 0;
    int fd, status;
    pid_t child;
    switch (call) {
    case 0:
        CHECK(read(channel[0], &byte, 1) == 1);
        break;
    case 1:
        CHECK(write(full[1], &byte, 1) == 1);
        break;
    case 2:
        CHECK(recv(pair[0], &byte, 1, 0) == 1);
        break;
    case 3:
        fd = accept(listening, NULL, NULL);
        CHECK(fd >= 0 && !close(fd));
        break;
    case 4:
        CHECK(!pthread_mutex_lock(&mutex) && !pthread_mutex_unlock(&mutex));
        break;
    case 5:
        CHECK(!sem_wait(&semaphore));
        break;
    case 6:
        fd = open_again(locked_file);
        CHECK(!flock(fd, LOCK_EX) && !close(fd));
        break;
    default:
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            while (read(channel[0], &byte, 1) != 1)
                ;
            _exit(5);
        }
        CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5);
    }
}

int main(void)
{
    record_some();
    pthread_t thread;
    static char page[4096];
    struct sockaddr unnamed = {.sa_family = AF_UNIX};
    CHECK(!pipe(channel) && !pipe(full) && !socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK(!fcntl(full[1], F_SETFL, O_NONBLOCK));
    while (write(full[1], page, sizeof(page)) > 0)
        ;
    CHECK(errno == EAGAIN && !fcntl(full[1], F_SETFL, 0));
    listening = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(listening >= 0 && !bind(listening, &unnamed, sizeof(unnamed.sa_family)) && !listen(listening, 1));
    address_length = sizeof(address);
    CHECK(!getsockname(listening, (struct sockaddr *)&address, &address_length));
    locked_file = memfd_create("locked", 0);
    CHECK(locked_file >= 0 && !flock(locked_file, LOCK_EX));
    CHECK(!sem_init(&semaphore, 0, 0) && !pthread_barrier_init(&turn, NULL, 2));
    CHECK(!pthread_create(&thread, NULL, end_each, NULL));
    for (int call = 0; call < 8; call++) {
        pthread_barrier_wait(&turn);
        wait_in(call);
        record_some();
    }
    CHECK(!pthread_join(thread, NULL));
    puts("ok");
    return 0;
}
