// Without a snapshot signal no system call of the host ever fails with EINTR, though snapshots are taken all
// the time: no timer and no directed signal is at work.
//@ skip signals: a signal's handler, any handler, interrupts these calls
//@ set interval=10ms
#include "self.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <time.h>

#define MS 1000000

static volatile int stop;
static int semaphores, queue, idle_pipe[2];
static sem_t semaphore;

static struct timespec in_20_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_nsec += 20 * MS;
    if (t.tv_nsec >= 1000 * MS) {
        t.tv_nsec -= 1000 * MS;
        t.tv_sec++;
    }
    return t;
}

static void wait_in(size_t call)
{
    struct timespec span = {.tv_nsec = 20 * MS}, left = {0}, end;
    struct timeval span_us = {.tv_usec = 20000};
    struct pollfd descriptor = {.fd = idle_pipe[0], .events = POLLIN};
    struct epoll_event event;
    struct sembuf take = {.sem_num = 0, .sem_op = -1};
    fd_set readable;
    sigset_t set;
    int epoll;
    switch (call) {
    case 0:
        CHECK(poll(&descriptor, 1, 20) == 0);
        break;
    case 1:
        FD_ZERO(&readable);
        FD_SET(idle_pipe[0], &readable);
        CHECK(select(idle_pipe[0] + 1, &readable, NULL, NULL, &span_us) == 0);
        break;
    case 2:
        CHECK(nanosleep(&span, &left) == 0);
        break;
    case 3:
        CHECK((epoll = epoll_create1(0)) >= 0 && epoll_wait(epoll, &event, 1, 20) == 0 && !close(epoll));
        break;
    case 4:
        end = in_20_ms(CLOCK_REALTIME);
        CHECK(sem_timedwait(&semaphore, &end) < 0 && errno == ETIMEDOUT);
        break;
    case 5:
        CHECK(semtimedop(semaphores, &take, 1, &span) < 0 && errno == EAGAIN);
        break;
    case 6:
        end = in_20_ms(CLOCK_MONOTONIC);
        CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == 0);
        break;
    case 7:
        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        CHECK(sigtimedwait(&set, NULL, &span) < 0 && errno == EAGAIN);
        break;
    default:
        CHECK(usleep(20000) == 0);
    }
}

static void *wait_in_thread(void *call)
{
    while (!stop)
        wait_in((size_t)(uintptr_t)call);
    return NULL;
}

// Calls without a time: they wait for main to end them.
static void *wait_in_read(void *unused)
{
    char byte;
    (void)unused;
    CHECK(read(idle_pipe[0], &byte, 1) == 1);
    return NULL;
}

static void *wait_in_accept(void *listening)
{
    int fd = accept(*(int *)listening, NULL, NULL);
    CHECK(fd >= 0 && !close(fd));
    return NULL;
}

static void *wait_in_msgrcv(void *unused)
{
    struct {
        long type;
        char text[8];
    } message;
    (void)unused;
    CHECK(msgrcv(queue, &message, sizeof(message.text), 0, 0) == 1);
    return NULL;
}

static void allocate_for_120_ms(void)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (size_t i = 0; i < 200; i++)
            free(malloc(20000 + i));
        CHECK(!usleep(500));
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / MS < 120);
}

int main(void)
{
    pthread_t threads[12];
    int listening = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr address = {.sa_family = AF_UNIX};
    socklen_t length = sizeof(address);
    CHECK(listening >= 0 && !bind(listening, &address, sizeof(address.sa_family)) && !listen(listening, 1));
    struct sockaddr_storage bound;
    length = sizeof(bound);
    CHECK(!getsockname(listening, (struct sockaddr *)&bound, &length));
    CHECK(!pipe(idle_pipe) && !sem_init(&semaphore, 0, 0));
    CHECK((semaphores = semget(IPC_PRIVATE, 1, 0600)) >= 0 && (queue = msgget(IPC_PRIVATE, 0600)) >= 0);
    for (size_t i = 0; i < 9; i++)
        CHECK(!pthread_create(&threads[i], NULL, wait_in_thread, (void *)(uintptr_t)i));
    CHECK(!pthread_create(&threads[9], NULL, wait_in_msgrcv, NULL));
    CHECK(!pthread_create(&threads[10], NULL, wait_in_accept, &listening));
    allocate_for_120_ms();
    stop = 1;
    for (size_t i = 0; i < 9; i++)
        pthread_join(threads[i], NULL);
    // Not before the others have stopped polling the pipe.
    CHECK(!pthread_create(&threads[11], NULL, wait_in_read, NULL));
    allocate_for_120_ms();
    struct {
        long type;
        char text[8];
    } message = {1, "x"};
    CHECK(!msgsnd(queue, &message, 1, 0) && write(idle_pipe[1], "", 1) == 1);
    CHECK(!connect(other, (struct sockaddr *)&bound, length));
    for (size_t i = 9; i < 12; i++)
        pthread_join(threads[i], NULL);
    CHECK(!semctl(semaphores, 0, IPC_RMID) && !msgctl(queue, IPC_RMID, NULL));
    puts("ok");
    return 0;
}
