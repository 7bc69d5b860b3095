// Fetching over HTTP against a server in a child process: body, POST, limits, several at once; and what URLs
// become.
#include "net/answer.h"
#include "net/http.h"
#include "net/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int port;
static pid_t server;

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0)
        _exit(1);
}

// One request: /echo gives the POST's body back, /long never stops, /hang never answers.
static void answer(int fd)
{
    char request[4096], zeros[4096] = {0};
    size_t length = 0;
    while (length + 1 < sizeof request) {
        ssize_t more = read(fd, request + length, sizeof request - 1 - length);
        if (more <= 0)
            _exit(0);
        length += (size_t)more;
        request[length] = '\0';
        char *body = strstr(request, "\r\n\r\n");
        if (body != NULL && (strncmp(request, "POST", 4) != 0 || strlen(body + 4) >= 5))
            break;
    }
    if (strncmp(request, "POST /echo ", 11) == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\nConnection: close\r\n\r\n");
        say(fd, strstr(request, "\r\n\r\n") + 4);
    } else if (strncmp(request, "GET /long ", 10) == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while (write(fd, zeros, sizeof zeros) > 0)
            continue;
    } else if (strncmp(request, "GET /hang ", 10) == 0) {
        while (read(fd, request, sizeof request) > 0) // until the client has had enough
            continue;
    } else {
        say(fd,
            "HTTP/1.1 404 Not\tFound\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nno\033such\r\nx\n");
    }
    _exit(0);
}

static int start_server(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    port = ntohs(address.sin_port);
    server = fork();
    if (server == 0) {
        signal(SIGPIPE, SIG_IGN);
        signal(SIGCHLD, SIG_IGN);
        for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd))
            if (fork() == 0)
                answer(fd);
        _exit(0);
    }
    close(listener);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    return 0;
}

static void test_fetch(void **state)
{
    (void)state;
    char urls[4][64], text[64];
    static const char *const paths[4] = {"echo", "long", "hang", "nothing"};
    struct ht_http_request requests[4] = {
        {.post = "hello", .post_length = 5}, {.limit_bytes = 1 << 20}, {.timeout_ns = 300000000}, {0}};
    for (int i = 0; i < 4; i++) {
        snprintf(urls[i], sizeof urls[i], "http://127.0.0.1:%d/%s", port, paths[i]);
        requests[i].url = urls[i];
        memset(requests[i].content_type, 'x', sizeof requests[i].content_type); // of an earlier use
    }
    ht_http_fetch(requests, 4);
    if (strstr(requests[0].error, "libcurl") != NULL)
        skip();
    assert_string_equal(requests[0].error, "");
    assert_int_equal(read(requests[0].body, text, sizeof text), 5);
    assert_memory_equal(text, "hello", 5);
    assert_string_equal(requests[0].content_type, "text/plain");
    close(requests[0].body);
    assert_string_equal(requests[1].error, "the answer is larger than 1MB");
    assert_non_null(strstr(requests[2].error, "no whole answer in time"));
    assert_string_equal(requests[3].error, "the server answers 404 Not\\tFound: no\\x1bsuch");
    for (int i = 1; i < 4; i++)
        assert_int_equal(requests[i].body, -1);
}

static void check_profile_url(const char *argument, int64_t seconds, const char *wanted, bool insecure)
{
    bool is_insecure = false;
    char *url = ht_url_of_profile(argument, seconds, &is_insecure);
    assert_true(ht_url_matches(argument));
    assert_string_equal(url, wanted);
    assert_int_equal(is_insecure, insecure);
    free(url);
}

static void test_profile_urls(void **state)
{
    (void)state;
    check_profile_url("host:80", 0, "http://host:80/debug/pprof/heap", false);
    check_profile_url("[::1]:80/", 0, "http://[::1]:80/debug/pprof/heap", false);
    check_profile_url("HTTP://a.b/debug/pprof/?x=1#top", 0, "http://a.b/debug/pprof/heap?x=1", false);
    check_profile_url("https+insecure://h/p", 3, "https://h/p?seconds=3", true);
    check_profile_url("https://u:p@h/p?seconds=1&a=b", 3, "https://u:p@h/p?a=b&seconds=3", false);
    check_profile_url("h-1_x.y:6060/p?seconds=1", 0, "http://h-1_x.y:6060/p?seconds=1", false);
    check_profile_url("h:1?seconds=4", 0, "http://h:1/debug/pprof/heap?seconds=4", false);
    static const char *const files[] = {"heap.pb.gz",   "host",  "host:", "host:123456", "a/b:80",
                                        ":80",          "-",     "4242",  "C:heap.pb",   "host:80x",
                                        "ftp://host/x", "[x]:80"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_false(ht_url_matches(files[i]));
    assert_int_equal(ht_url_seconds("http://h/p?a=1&seconds=30"), 30);
    assert_int_equal(ht_url_seconds("http://h/p?seconds=-5"), 0);
    assert_int_equal(ht_url_seconds("http://h/seconds=5"), 0);
}

static void check_text(char *text, const char *wanted)
{
    assert_string_equal(text, wanted);
    free(text);
}

static void test_answers(void **state)
{
    (void)state;
    char status[12] = "", type[8], said[8];
    ht_answer_status("HTTP/1.1 404 Not Found\r\n", 24, status, sizeof status);
    assert_string_equal(status, "404 Not Fou");
    ht_answer_status("Server: x 1\r\n", 13, status, sizeof status);
    assert_string_equal(status, "404 Not Fou");
    ht_answer_status("HTTP/2", 6, status, sizeof status);
    assert_string_equal(status, "");
    ht_answer_status("HTTP/2 200 \r\n", 13, status, sizeof status);
    assert_string_equal(status, "200");
    ht_answer_type("Text/Plain; charset=utf-8", type, sizeof type);
    assert_string_equal(type, "text/pl");
    ht_answer_type(NULL, type, sizeof type);
    assert_string_equal(type, "");
    ht_answer_said("no such thing\r\nx", 4, said, sizeof said);
    assert_string_equal(said, "no s");
    ht_answer_said("ab\ncd", 5, said, sizeof said);
    assert_string_equal(said, "ab");
}

static void test_other_urls(void **state)
{
    (void)state;
    check_text(ht_url_of_symbols("http://h:1/x/debug/pprof/heap?seconds=1"),
               "http://h:1/x/debug/pprof/symbol");
    check_text(ht_url_of_symbols("http://h:1/pprof/heap"), "http://h:1/pprof/symbol");
    check_text(ht_url_of_symbols("http://h:1/myheap"), "http://h:1/symbolz");
    check_text(ht_url_of_symbols("http://h:1/myheap?x=/debug/pprof/"), "http://h:1/symbolz");
    check_text(ht_url_shown("https://u:p@h/p@x"), "https://h/p@x");
    check_text(ht_url_shown("http://h/p@x"), "http://h/p@x");
    check_text(ht_url_shown("mail@host.pb.gz"), "mail@host.pb.gz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fetch, start_server, stop_server),
        cmocka_unit_test(test_profile_urls),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_other_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
