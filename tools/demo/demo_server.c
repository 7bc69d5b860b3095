// The bundled demo: a small chat-like server with one leak, one cache that fills up and stays, and one path
// that churns.
//
// Usage: demo_server [SECONDS]     (until SIGTERM or SIGINT without SECONDS)
//
// One thread polls the connections on a loopback port, two workers answer requests, two visitors inside the
// same process make them, so that it needs nothing else to be busy. Requests are lines:
//     LOGIN name      opens a session ............ the leak: nothing ever closes it
//     GET page        answers from the page cache .. grows to CACHE_PAGES pages and stays
//     REPORT n        renders a report .............. allocates a lot and keeps nothing
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WORKERS             2
#define VISITORS            2
#define REQUESTS_PER_SECOND 500 // of each visitor
#define CACHE_PAGES         2000
#define PAGE_BYTES          (12 * 1024)
#define HISTORY_BYTES       (8 * 1024)
#define LINE_BYTES          128

struct session {
    char *user;
    char *history; // what the user said, for the day when somebody asks for it
    struct session *next;
};

struct page {
    int number;
    char *html;
};

struct request {
    char line[LINE_BYTES];
    int reply_to; // the visitor's connection
    struct request *next;
};

static volatile sig_atomic_t stopping;
static atomic_ulong answered;

// --- sessions: open_session is called for every login, and there is no logout

static struct session *sessions;
static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;

static struct session *open_session(const char *user)
{
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->user = strdup(user);
    session->history = malloc(HISTORY_BYTES);
    if (session->history)
        snprintf(session->history, HISTORY_BYTES, "%s came in\n", user);
    pthread_mutex_lock(&sessions_lock);
    session->next = sessions;
    sessions = session;
    pthread_mutex_unlock(&sessions_lock);
    return session;
}

// --- the page cache: filled on demand, bounded, never emptied

static struct page cache[CACHE_PAGES];
static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;

static char *render_page(int number)
{
    char *html = malloc(PAGE_BYTES);
    if (html) {
        memset(html, ' ', PAGE_BYTES);
        snprintf(html, PAGE_BYTES, "<h1>Page %d</h1>", number);
    }
    return html;
}

static const char *cached_page(int number)
{
    struct page *page = &cache[number % CACHE_PAGES];
    pthread_mutex_lock(&cache_lock);
    if (!page->html) {
        page->number = number;
        page->html = render_page(number);
    }
    pthread_mutex_unlock(&cache_lock);
    return page->html ? page->html : "";
}

// --- reports: many short-lived blocks

static size_t build_report(int rows)
{
    size_t length = 0, room = 64;
    char *text = malloc(room);
    for (int row = 0; row < rows && text; row++) {
        char *cell = malloc(64);
        if (!cell)
            break;
        int wrote = snprintf(cell, 64, "row %d: %d\n", row, row * row);
        if (length + (size_t)wrote > room) {
            char *bigger = realloc(text, room * 2);
            if (!bigger) {
                free(cell);
                break;
            }
            text = bigger;
            room *= 2;
        }
        memcpy(text + length, cell, (size_t)wrote);
        length += (size_t)wrote;
        free(cell);
    }
    free(text);
    return length;
}

// --- the queue between the poll loop and the workers

static struct request *queue_head, **queue_tail = &queue_head;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;

static void push_request(const char *line, size_t length, int reply_to)
{
    struct request *request = malloc(sizeof(*request));
    if (!request)
        return;
    memcpy(request->line, line, length);
    request->line[length] = '\0';
    request->reply_to = reply_to;
    request->next = NULL;
    pthread_mutex_lock(&queue_lock);
    *queue_tail = request;
    queue_tail = &request->next;
    pthread_cond_signal(&queue_filled);
    pthread_mutex_unlock(&queue_lock);
}

static struct request *pop_request(void)
{
    pthread_mutex_lock(&queue_lock);
    while (!queue_head && !stopping)
        pthread_cond_wait(&queue_filled, &queue_lock);
    struct request *request = queue_head;
    if (request) {
        queue_head = request->next;
        if (!queue_head)
            queue_tail = &queue_head;
    }
    pthread_mutex_unlock(&queue_lock);
    return request;
}

static void handle_request(const struct request *request)
{
    char reply[LINE_BYTES], argument[64] = "";
    sscanf(request->line, "%*s %63s", argument);
    if (!strncmp(request->line, "LOGIN", 5))
        snprintf(reply, sizeof(reply), "welcome %s\n", open_session(argument) ? argument : "nobody");
    else if (!strncmp(request->line, "GET", 3))
        snprintf(reply, sizeof(reply), "page %zu\n", strlen(cached_page(atoi(argument))));
    else if (!strncmp(request->line, "REPORT", 6))
        snprintf(reply, sizeof(reply), "report %zu\n", build_report(atoi(argument)));
    else
        snprintf(reply, sizeof(reply), "what?\n");
    send(request->reply_to, reply, strlen(reply), MSG_NOSIGNAL);
    atomic_fetch_add(&answered, 1);
}

static void *worker_main(void *unused)
{
    (void)unused;
    struct request *request;
    while ((request = pop_request())) {
        handle_request(request);
        free(request);
    }
    return NULL;
}

// --- the poll loop

static void read_requests(int connection)
{
    char bytes[4096];
    ssize_t n = recv(connection, bytes, sizeof(bytes), MSG_DONTWAIT);
    for (char *line = bytes; n > 0 && line < bytes + n;) {
        char *end = memchr(line, '\n', (size_t)(bytes + n - line));
        if (!end || end - line >= LINE_BYTES)
            return;
        push_request(line, (size_t)(end - line), connection);
        line = end + 1;
    }
}

static void serve(int listener)
{
    struct pollfd watched[1 + VISITORS] = {{.fd = listener, .events = POLLIN}};
    nfds_t count = 1;
    while (!stopping) {
        if (poll(watched, count, 200) <= 0)
            continue;
        for (nfds_t i = 1; i < count; i++)
            if (watched[i].revents & POLLIN)
                read_requests(watched[i].fd);
        if ((watched[0].revents & POLLIN) && count < 1 + VISITORS) {
            watched[count].fd = accept(listener, NULL, NULL);
            watched[count].events = POLLIN;
            if (watched[count].fd >= 0)
                count++;
        }
    }
    for (nfds_t i = 1; i < count; i++)
        shutdown(watched[i].fd, SHUT_RDWR);
}

// --- the visitors

static void *visitor_main(void *argument)
{
    const struct sockaddr_in *address = argument;
    const struct timespec pace = {.tv_nsec = 1000000000 / REQUESTS_PER_SECOND};
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection, (const struct sockaddr *)address, sizeof(*address))) {
        perror("demo_server: connect");
        close(connection);
        return NULL;
    }
    for (int i = 0; !stopping; i++) {
        char line[LINE_BYTES];
        int length = i % 4 == 0   ? snprintf(line, sizeof(line), "LOGIN user%d\n", i)
                     : i % 4 == 1 ? snprintf(line, sizeof(line), "REPORT %d\n", 100 + i % 300)
                                  : snprintf(line, sizeof(line), "GET %d\n", i * 7);
        if (send(connection, line, (size_t)length, MSG_NOSIGNAL) < 0 ||
            recv(connection, line, sizeof(line), 0) <= 0)
            break;
        nanosleep(&pace, NULL);
    }
    close(connection);
    return NULL;
}

static void on_stop(int number)
{
    (void)number;
    stopping = 1;
}

static int listen_on_loopback(struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (const struct sockaddr *)&address, length) ||
        listen(listener, VISITORS) || getsockname(listener, (struct sockaddr *)&address, &length)) {
        perror("demo_server: listen");
        return -1;
    }
    *ret_address = address;
    return listener;
}

int main(int argc, char **argv)
{
    static struct sockaddr_in address;
    pthread_t workers[WORKERS], visitors[VISITORS];
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    if (argc > 1)
        alarm((unsigned)atoi(argv[1]));
    int listener = listen_on_loopback(&address);
    if (listener < 0)
        return 1;
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&workers[i], NULL, worker_main, NULL);
    for (int i = 0; i < VISITORS; i++)
        pthread_create(&visitors[i], NULL, visitor_main, &address);
    printf("demo_server: pid %ld, serving on 127.0.0.1:%d\n", (long)getpid(), ntohs(address.sin_port));
    fflush(stdout);
    serve(listener);
    pthread_mutex_lock(&queue_lock);
    pthread_cond_broadcast(&queue_filled);
    pthread_mutex_unlock(&queue_lock);
    for (int i = 0; i < VISITORS; i++)
        pthread_join(visitors[i], NULL);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    printf("demo_server: answered %lu requests\n", atomic_load(&answered));
    return 0;
}
