// Any bytes as what a person types for an address, and as what a server answers: the URL that is fetched is
// one of HTTP, what is kept of answers is cut to fit, and names from a server leave the profile whole.
//
// An input is an address up to the first end of a line, header lines up to an empty one, and a body.
#include "base/error.h"
#include "input/server_names.h"
#include "net/answer.h"
#include "net/url.h"

#include <stdlib.h>

enum { MOST_HEADERS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void read_address(const char *address)
{
    static const int64_t seconds[] = {0, 1, INT32_MAX};
    char *shown = ht_url_shown(address);
    must(strlen(shown) <= strlen(address));
    free(shown);
    if (!ht_url_matches(address)) {
        return;
    }
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        bool insecure = false;
        char *url = ht_url_of_profile(address, seconds[i], &insecure);
        must(starts_with(url, "http://") || starts_with(url, "https://"));
        must(!insecure || starts_with(url, "https://"));
        must(strchr(url, '#') == NULL && ht_url_matches(url));
        must(seconds[i] != 1 || ht_url_seconds(url) == 1);
        must(ht_url_seconds(url) >= 0 && ht_url_seconds(url) <= INT32_MAX);
        char *symbols = ht_url_of_symbols(url);
        must(starts_with(symbols, "http") && strchr(symbols, '?') == NULL);
        must(ht_url_is_local(symbols) == ht_url_is_local(url));
        free(symbols);
        shown = ht_url_shown(url);
        free(shown);
        free(url);
    }
}

// A text that ends where its memory does.
static char *copy_of(const char *text, size_t length)
{
    char *copy = ht_alloc(length + (length == 0));
    memcpy(copy, text, length);
    return copy;
}

static void read_headers(char *headers)
{
    char status[24] = "", type[16];
    for (unsigned i = 0; headers != NULL && i < MOST_HEADERS; i++) {
        char *line = headers;
        headers = strchr(line, '\n');
        size_t length = headers != NULL ? (size_t)(headers + 1 - line) : strlen(line);
        headers = headers != NULL ? headers + 1 : NULL;
        char *bytes = copy_of(line, length);
        ht_answer_status(bytes, length, status, sizeof status);
        must(strlen(status) < sizeof status);
        free(bytes);
        char *text = ht_format("%.*s", (int)length, line);
        ht_answer_type(text, type, sizeof type);
        must(strpbrk(type, "; \tABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL);
        free(text);
    }
    ht_answer_type(NULL, type, sizeof type);
    must(type[0] == '\0');
}

static void read_body(const char *body, size_t length)
{
    char said[32], *bytes = copy_of(body, length);
    ht_answer_said(bytes, length, said, sizeof said);
    must(strpbrk(said, "\r\n") == NULL);
    free(bytes);
    struct ht_profile *profile = ht_profile_new();
    ht_profile_add_sample_type(profile, "space", "bytes");
    uint32_t stack[24];
    const int64_t value = 1;
    for (uint32_t i = 0; i < sizeof stack / sizeof *stack; i++) {
        uint64_t address = i < 16 ? i : i < 20 ? 0x1000u * i : UINT64_MAX - i + 20;
        stack[i] = ht_profile_add_location(profile, HT_NONE, address, NULL, 0);
    }
    ht_profile_add_sample(profile, stack, sizeof stack / sizeof *stack, &value, NULL, 0);
    char *text = ht_format("%.*s", (int)length, body);
    ht_server_names_use(profile, text);
    free(text);
    must(ht_profile_check(profile) == 0 && profile->sample_count == 1);
    for (size_t i = 0; i < profile->function_count; i++) {
        const char *name = ht_profile_text(profile, profile->functions[i].name);
        must(name[0] != '\0' && strpbrk(name, "\r\n") == NULL);
    }
    ht_profile_free(profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = ht_alloc(size + 1), *headers, *body;
    memcpy(text, data, size);
    text[size] = '\0';
    headers = strchr(text, '\n');
    if (headers != NULL) {
        *headers++ = '\0';
    }
    read_address(text);
    body = headers != NULL ? strstr(headers, "\n\n") : NULL;
    if (body != NULL) {
        read_body(body + 2, size - (size_t)(body + 2 - text));
        body[1] = '\0';
    }
    read_headers(headers);
    free(text);
    return 0;
}
