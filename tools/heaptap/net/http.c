// HTTP through libcurl, which is loaded when it is needed.
#include "net/http.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/measure.h"
#include "base/memory.h"
#include "base/text.h"
#include "net/answer.h"
#include "net/url.h"

#ifdef HT_HAVE_CURL
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_LIMIT_BYTES (UINT64_C(1) << 30)
#define CONNECT_MS          15000L
#define MAX_REDIRECTS       5L
#define PROGRESS_AFTER_NS   UINT64_C(500000000)

// Everything of libcurl that is used here.
#define CURL_FUNCTIONS(X)                                                                                    \
    X(curl_global_init)                                                                                      \
    X(curl_easy_init)                                                                                        \
    X(curl_easy_setopt)                                                                                      \
    X(curl_easy_getinfo)                                                                                     \
    X(curl_easy_cleanup)                                                                                     \
    X(curl_easy_strerror)                                                                                    \
    X(curl_multi_init)                                                                                       \
    X(curl_multi_add_handle)                                                                                 \
    X(curl_multi_perform)                                                                                    \
    X(curl_multi_poll)                                                                                       \
    X(curl_multi_info_read)                                                                                  \
    X(curl_multi_remove_handle)                                                                              \
    X(curl_multi_cleanup)                                                                                    \
    X(curl_slist_append)                                                                                     \
    X(curl_slist_free_all)

static struct {
#define MEMBER(name) __typeof__(&name) name;
    CURL_FUNCTIONS(MEMBER)
#undef MEMBER
} api;

static int load_curl(void)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    static bool is_loaded;
    void *library = NULL;
    if (is_loaded)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && library == NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return ht_fail("libcurl.so.4 is not installed, and without it nothing can be fetched; install it "
                       "(Debian: libcurl4), or fetch the profile into a file with another tool");
#define FIND(name)                                                                                           \
    if ((*(void **)&api.name = dlsym(library, #name)) == NULL)                                               \
        return ht_fail("libcurl.so.4 is too old: it has no %s", #name);
    CURL_FUNCTIONS(FIND)
#undef FIND
    if (api.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ht_fail("libcurl does not start");
    is_loaded = true;
    return 0;
}

// One running exchange.
struct exchange {
    struct ht_http_request *request;
    CURL *easy;
    struct curl_slist *headers;
    char reason[CURL_ERROR_SIZE];
    char status[96]; // "404 Not Found", of the last answer
    uint64_t received_bytes;
    bool too_large, done;
    int write_errno;
};

// A file without a name: profiles may be larger than what one wants in memory.
static int open_body(void)
{
    const char *folder = getenv("TMPDIR");
    int fd = open(folder != NULL && folder[0] == '/' ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : memfd_create("heaptap-http", MFD_CLOEXEC);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    size_t length = size * count;
    uint64_t limit = exchange->request->limit_bytes;
    exchange->received_bytes += length;
    if (exchange->received_bytes > (limit != 0 ? limit : DEFAULT_LIMIT_BYTES)) {
        exchange->too_large = true;
        return 0;
    }
    for (size_t done = 0; done < length;) {
        ssize_t written = write(exchange->request->body, bytes + done, length - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            exchange->write_errno = errno;
            return 0;
        }
        done += (size_t)written;
    }
    return length;
}

// Of each answer: redirects come first, the last one counts.
static size_t take_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    ht_answer_status(bytes, size * count, exchange->status, sizeof exchange->status);
    return size * count;
}

static void set_options(struct exchange *exchange)
{
    struct ht_http_request *request = exchange->request;
    CURL *easy = exchange->easy;
#define SET(option, value) api.curl_easy_setopt(easy, (option), (value))
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_USERAGENT, "heaptap/" HEAPTAP_VERSION);
    SET(CURLOPT_ACCEPT_ENCODING, "gzip");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, MAX_REDIRECTS);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    SET(CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    if (request->timeout_ns != 0)
        SET(CURLOPT_TIMEOUT_MS, (long)((request->timeout_ns + 999999) / 1000000));
    if (ht_url_is_local(request->url))
        SET(CURLOPT_PROXY, "");
    if (request->insecure) {
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (request->certificate != NULL)
        SET(CURLOPT_SSLCERT, request->certificate);
    if (request->key != NULL)
        SET(CURLOPT_SSLKEY, request->key);
    if (request->authorities != NULL)
        SET(CURLOPT_CAINFO, request->authorities);
    if (request->post != NULL) {
        exchange->headers = api.curl_slist_append(NULL, "Content-Type: application/octet-stream");
        SET(CURLOPT_HTTPHEADER, exchange->headers);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->post_length);
        SET(CURLOPT_POSTFIELDS, request->post);
    }
    SET(CURLOPT_ERRORBUFFER, exchange->reason);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, exchange);
#undef SET
}

__attribute__((format(printf, 2, 3))) static void fail(struct ht_http_request *request, const char *format,
                                                       ...)
{
    va_list args;
    va_start(args, format);
    ht_text_vprint(request->error, sizeof request->error, format, args);
    va_end(args);
    if (request->body >= 0)
        close(request->body);
    request->body = -1;
}

// An answer other than 200: its status, and the first line of what it says to people.
static void fail_status(struct exchange *exchange)
{
    struct ht_http_request *request = exchange->request;
    char body[256], said[sizeof body];
    ssize_t length = 0;
    if (strcmp(request->content_type, "text/plain") == 0)
        length = pread(request->body, body, sizeof body - 1, 0);
    ht_answer_said(body, length > 0 ? (size_t)length : 0, said, sizeof said);
    fail(request, "the server answers %s%s%s", exchange->status, said[0] != '\0' ? ": " : "", said);
}

static void fail_transfer(struct exchange *exchange, CURLcode code)
{
    struct ht_http_request *request = exchange->request;
    const char *reason = exchange->reason[0] != '\0' ? exchange->reason : api.curl_easy_strerror(code);
    char size[HT_MEASURE_TEXT_BYTES];
    uint64_t limit = request->limit_bytes != 0 ? request->limit_bytes : DEFAULT_LIMIT_BYTES;
    ht_measure_bytes((int64_t)limit, 0, size);
    if (exchange->too_large)
        fail(request, "the answer is larger than %s", size);
    else if (exchange->write_errno != 0)
        fail(request, "the answer cannot be kept in a temporary file: %s", strerror(exchange->write_errno));
    else if (code == CURLE_OPERATION_TIMEDOUT)
        fail(request, "no whole answer in time (%s); --timeout TIME waits longer", reason);
    else if (code == CURLE_TOO_MANY_REDIRECTS)
        fail(request, "more than %ld redirects", MAX_REDIRECTS);
    else if (code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING)
        fail(request, "the answer ends early: %s", reason);
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        fail(request, "%s; --insecure accepts any certificate", reason);
    else
        fail(request, "%s", reason);
}

static void finish(struct exchange *exchange, CURLcode code)
{
    struct ht_http_request *request = exchange->request;
    const char *type = NULL;
    long status = 0;
    exchange->done = true;
    if (code != CURLE_OK) {
        fail_transfer(exchange, code);
        return;
    }
    api.curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    api.curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_TYPE, &type);
    ht_answer_type(type, request->content_type, sizeof request->content_type);
    if (status != 200)
        fail_status(exchange);
    else if (lseek(request->body, 0, SEEK_SET) != 0)
        fail(request, "the temporary file cannot be read: %s", strerror(errno));
}

static void (*tell_waiting)(const struct ht_http_waiting *waiting);

void ht_http_while_waiting(void (*tell)(const struct ht_http_waiting *waiting))
{
    tell_waiting = tell;
}

static bool tell_progress(const struct exchange *exchanges, size_t count, size_t left, uint64_t begun_ns)
{
    struct ht_http_waiting waiting = {
        .left = left, .count = count, .elapsed_ns = ht_clock_ns(CLOCK_MONOTONIC) - begun_ns};
    if (tell_waiting == NULL || waiting.elapsed_ns < PROGRESS_AFTER_NS)
        return false;
    for (size_t i = 0; i < count; i++)
        waiting.received_bytes += exchanges[i].received_bytes;
    tell_waiting(&waiting);
    return true;
}

static void run_all(CURLM *multi, struct exchange *exchanges, size_t count, size_t left)
{
    bool told = false;
    uint64_t begun_ns = ht_clock_ns(CLOCK_MONOTONIC);
    while (left > 0) {
        int running, queued;
        CURLMcode result = api.curl_multi_perform(multi, &running);
        for (CURLMsg *message; (message = api.curl_multi_info_read(multi, &queued)) != NULL;) {
            for (size_t i = 0; i < count; i++)
                if (message->msg == CURLMSG_DONE && exchanges[i].easy == message->easy_handle) {
                    finish(&exchanges[i], message->data.result);
                    left--;
                    break;
                }
        }
        if (result != CURLM_OK || (left > 0 && running == 0))
            break;
        if (left > 0)
            told |= tell_progress(exchanges, count, left, begun_ns);
        if (left > 0)
            api.curl_multi_poll(multi, NULL, 0, 250, NULL);
    }
    if (told)
        tell_progress(exchanges, count, 0, begun_ns);
    for (size_t i = 0; i < count; i++)
        if (exchanges[i].easy != NULL && !exchanges[i].done)
            fail(exchanges[i].request, "libcurl gave up");
}

void ht_http_fetch(struct ht_http_request *requests, size_t count)
{
    bool usable = load_curl() == 0;
    CURLM *multi = usable ? api.curl_multi_init() : NULL;
    struct exchange *exchanges = ht_alloc_zero(count, sizeof *exchanges);
    size_t started = 0;
    for (size_t i = 0; i < count; i++) {
        struct ht_http_request *request = exchanges[i].request = &requests[i];
        request->error[0] = request->content_type[0] = '\0';
        request->body = usable ? open_body() : -1;
        if (!usable)
            fail(request, "%s", ht_error());
        else if (request->body < 0)
            fail(request, "no temporary file for the answer: %s", strerror(errno));
        else if (multi == NULL || (exchanges[i].easy = api.curl_easy_init()) == NULL)
            fail(request, "libcurl does not start");
        if (request->body < 0)
            continue;
        set_options(&exchanges[i]);
        api.curl_multi_add_handle(multi, exchanges[i].easy);
        started++;
    }
    if (started > 0)
        run_all(multi, exchanges, count, started);
    for (size_t i = 0; i < count; i++) {
        if (exchanges[i].easy == NULL)
            continue;
        api.curl_multi_remove_handle(multi, exchanges[i].easy);
        api.curl_easy_cleanup(exchanges[i].easy);
        api.curl_slist_free_all(exchanges[i].headers);
    }
    if (multi != NULL)
        api.curl_multi_cleanup(multi);
    free(exchanges);
}

#else

#include <stdio.h>

void ht_http_while_waiting(void (*tell)(const struct ht_http_waiting *waiting))
{
    (void)tell;
}

void ht_http_fetch(struct ht_http_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        requests[i].body = -1;
        requests[i].content_type[0] = '\0';
        snprintf(requests[i].error, sizeof requests[i].error,
                 "this heaptap was built without libcurl (Debian: libcurl4-openssl-dev) and cannot fetch "
                 "anything; fetch the profile into a file with another tool");
    }
}

#endif
