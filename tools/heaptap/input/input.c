// Opens what a person names as a profile.
#include "input/input.h"

#include "base/clock.h"
#include "base/error.h"
#include "input/region.h"
#include "input/server_names.h"
#include "input/unpack.h"
#include "net/http.h"
#include "net/url.h"
#include "profile/legacy/legacy.h"
#include "region/target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TIMEOUT_SECONDS 60
#define GRACE_SECONDS   5 // on top of those, as in pprof

struct ht_inputs {
    char *const *arguments;
    size_t count;
    struct ht_input_options options;
    char **names;                     // for messages
    char **urls;                      // NULL: not a URL
    struct ht_http_request *requests; // of the URLs, at their position
};

// A message that pprof accepts as well, but nothing that a report could be about: any short text may pass for
// one.
static int read_profile(int fd, struct ht_profile **ret_profile)
{
    struct ht_unpack unpack;
    int packed = ht_unpack_start(&unpack, fd);
    if (packed < 0)
        return -1;
    int result = ht_legacy_read(packed > 0 ? unpack.fd : fd, packed > 0 ? &unpack.limits : NULL, ret_profile);
    if (packed > 0 && ht_unpack_end(&unpack, result) < 0 && result == 0) {
        ht_profile_free(*ret_profile);
        *ret_profile = NULL;
        result = -1;
    }
    if (result < 0)
        return -1;
    if ((*ret_profile)->sample_type_count > 0)
        return 0;
    ht_profile_free(*ret_profile);
    *ret_profile = NULL;
    return ht_fail("the profile has no sample types");
}

static int read_file(const char *path, struct ht_profile **ret_profile)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT ? ht_fail("no such file, and no profiled process of this name")
                               : ht_fail_errno("cannot open");
    struct stat status = {0};
    int result;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        result = ht_fail("is a directory; name a profile in it");
    else
        result = read_profile(fd, ret_profile);
    if (result == 0)
        (*ret_profile)->owner = (struct ht_owner){status.st_uid, status.st_gid};
    close(fd);
    return result;
}

static uint64_t timeout_of(const struct ht_input_options *options, const char *url)
{
    uint64_t seconds = (uint64_t)ht_url_seconds(url);
    uint64_t limit_ns =
        seconds > 0 ? seconds * (HT_NS_PER_SECOND * 3 / 2) : TIMEOUT_SECONDS * HT_NS_PER_SECOND;
    return options->timeout_ns != 0 ? options->timeout_ns : limit_ns + GRACE_SECONDS * HT_NS_PER_SECOND;
}

static void fetch_all(struct ht_inputs *inputs)
{
    struct ht_http_request *requests = ht_alloc_zero(inputs->count, sizeof *requests);
    size_t count = 0;
    for (size_t i = 0; i < inputs->count; i++)
        if (inputs->urls[i] != NULL)
            requests[count++] = inputs->requests[i];
    if (count > 0)
        ht_http_fetch(requests, count);
    count = 0;
    for (size_t i = 0; i < inputs->count; i++)
        if (inputs->urls[i] != NULL)
            inputs->requests[i] = requests[count++];
    free(requests);
}

struct ht_inputs *ht_inputs_new(char *const *arguments, size_t count, const struct ht_input_options *options)
{
    struct ht_inputs *inputs = ht_alloc_zero(1, sizeof *inputs);
    inputs->arguments = arguments;
    inputs->count = count;
    if (options != NULL)
        inputs->options = *options;
    inputs->names = ht_alloc_zero(count, sizeof *inputs->names);
    inputs->urls = ht_alloc_zero(count, sizeof *inputs->urls);
    inputs->requests = ht_alloc_zero(count, sizeof *inputs->requests);
    for (size_t i = 0; i < count; i++) {
        struct ht_http_request *request = &inputs->requests[i];
        inputs->names[i] = ht_url_shown(arguments[i]);
        request->body = -1;
        if (!ht_url_matches(arguments[i]) || access(arguments[i], F_OK) == 0)
            continue;
        request->insecure = inputs->options.insecure;
        request->certificate = inputs->options.certificate;
        request->key = inputs->options.key;
        request->authorities = inputs->options.authorities;
        inputs->urls[i] = ht_url_of_profile(arguments[i], inputs->options.seconds, &request->insecure);
        request->url = inputs->urls[i];
        request->timeout_ns = timeout_of(&inputs->options, request->url);
        free(inputs->names[i]);
        inputs->names[i] = ht_url_shown(request->url);
    }
    fetch_all(inputs);
    return inputs;
}

void ht_inputs_free(struct ht_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) {
        if (inputs->requests[i].body >= 0)
            close(inputs->requests[i].body);
        free(inputs->names[i]);
        free(inputs->urls[i]);
    }
    free(inputs->names);
    free(inputs->urls);
    free(inputs->requests);
    free(inputs);
}

bool ht_inputs_is_url(const struct ht_inputs *inputs, size_t position)
{
    return inputs->urls[position] != NULL;
}

const char *ht_inputs_name(const struct ht_inputs *inputs, size_t position)
{
    return inputs->names[position];
}

// What a server sends instead of a profile when the address is not one of a profile.
static int explain_answer(const struct ht_http_request *request)
{
    const char *type = request->content_type;
    struct stat status;
    if (fstat(request->body, &status) == 0 && status.st_size == 0)
        return ht_fail("the server's answer is empty");
    if (strcmp(type, "text/html") == 0)
        return ht_fail("the server answers with a web page, not with a profile; write for example "
                       "host:port/debug/pprof/heap");
    if (strcmp(type, "text/plain") == 0)
        return ht_fail(
            "the server answers with text, not with a profile; leave out debug=, and name one of its "
            "profiles (heap, allocs, goroutine, profile ...)");
    if (type[0] != '\0' && strcmp(type, "application/octet-stream") != 0)
        return ht_fail("the server answers with %s, and that is no profile: %s", type, ht_error());
    return -1;
}

static int read_body(struct ht_http_request *request, struct ht_profile **ret_profile)
{
    if (request->error[0] != '\0')
        return ht_fail("%s", request->error);
    int result = read_profile(request->body, ret_profile);
    if (result < 0)
        result = explain_answer(request);
    close(request->body);
    request->body = -1;
    return result;
}

int ht_inputs_open(struct ht_inputs *inputs, size_t position, struct ht_profile **ret_profile)
{
    const char *argument = inputs->arguments[position];
    if (inputs->urls[position] != NULL)
        return read_body(&inputs->requests[position], ret_profile);
    if (strcmp(argument, "-") == 0)
        return read_profile(STDIN_FILENO, ret_profile);
    if (ht_target_matches(argument))
        return ht_region_input_load(argument, ret_profile);
    return read_file(argument, ret_profile);
}

int ht_input_open(const char *argument, struct ht_profile **ret_profile)
{
    char *arguments[] = {(char *)(uintptr_t)argument};
    struct ht_inputs *inputs = ht_inputs_new(arguments, 1, NULL);
    int result = ht_inputs_open(inputs, 0, ret_profile);
    ht_inputs_free(inputs);
    return result;
}

static int read_answer(int fd, struct ht_buffer *ret_text)
{
    char piece[1 << 16];
    for (;;) {
        ssize_t length = read(fd, piece, sizeof piece);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return ht_fail_errno("cannot read the answer");
        if (length == 0)
            return 0;
        ht_buffer_add(ret_text, piece, (size_t)length);
    }
}

int ht_inputs_ask_names(struct ht_inputs *inputs, size_t position, struct ht_profile *profile)
{
    enum { ANSWER_LIMIT_BYTES = 1 << 28 };
    struct ht_buffer body = {0}, answer = {0};
    for (size_t i = 0; i < profile->location_count; i++)
        if (profile->locations[i].line_count == 0 && profile->locations[i].address != 0)
            ht_buffer_printf(&body, "%s0x%" PRIx64, body.length > 0 ? "+" : "",
                             profile->locations[i].address);
    if (body.length == 0)
        return 0;
    char *url = ht_url_of_symbols(inputs->urls[position]);
    struct ht_http_request request = inputs->requests[position];
    request.url = url;
    request.post = body.data;
    request.post_length = body.length;
    request.limit_bytes = ANSWER_LIMIT_BYTES;
    request.timeout_ns =
        inputs->options.timeout_ns != 0 ? inputs->options.timeout_ns : TIMEOUT_SECONDS * HT_NS_PER_SECOND;
    ht_http_fetch(&request, 1);
    int result = request.error[0] != '\0' ? ht_fail("%s", request.error) : read_answer(request.body, &answer);
    if (result == 0 && answer.length > 0)
        ht_server_names_use(profile, answer.data);
    if (request.body >= 0)
        close(request.body);
    free(url);
    ht_buffer_free(&body);
    ht_buffer_free(&answer);
    return result;
}
