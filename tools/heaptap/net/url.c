// Addresses of profiles: what a person types becomes what is fetched.
#include "net/url.h"

#include "base/memory.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const schemes[] = {"http://", "https://", "https+insecure://"};

// Length of the scheme with its "://", 0 if there is none that we know.
static size_t scheme_length(const char *text)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
            return strlen(schemes[i]);
    return 0;
}

bool ht_url_matches(const char *argument)
{
    if (scheme_length(argument) > 0)
        return true;
    size_t host = 0;
    if (argument[0] == '[') {
        size_t inside = strspn(argument + 1, "0123456789abcdefABCDEF:.%");
        host = inside > 0 && argument[1 + inside] == ']' ? inside + 2 : 0;
    } else {
        while (isalnum((unsigned char)argument[host]) || argument[host] == '-' || argument[host] == '.' ||
               argument[host] == '_')
            host++;
    }
    if (host == 0 || argument[host] != ':')
        return false;
    size_t digits = strspn(argument + host + 1, "0123456789");
    char end = argument[host + 1 + digits];
    return digits > 0 && digits <= 5 && (end == '\0' || end == '/' || end == '?');
}

// Adds the query with seconds set to a number (what else it says stays), without a fragment.
static void add_query(struct ht_buffer *out, const char *query, int64_t seconds)
{
    char separator = '?';
    while (*query != '\0' && *query != '#') {
        size_t length = strcspn(query, "&#");
        bool is_seconds = strncmp(query, "seconds=", 8) == 0 && seconds > 0;
        if (length > 0 && !is_seconds) {
            ht_buffer_byte(out, separator);
            ht_buffer_add(out, query, length);
            separator = '&';
        }
        query += length;
        query += *query == '&';
    }
    if (seconds > 0)
        ht_buffer_printf(out, "%cseconds=%" PRId64, separator, seconds);
}

char *ht_url_of_profile(const char *argument, int64_t seconds, bool *ret_insecure)
{
    struct ht_buffer out = {0};
    size_t scheme = scheme_length(argument);
    bool insecure = scheme == strlen(schemes[2]);
    ht_buffer_text(&out, scheme == 0 || scheme == strlen(schemes[0]) ? "http://" : "https://");
    const char *host = argument + scheme, *path = host + strcspn(host, "/?#");
    ht_buffer_add(&out, host, (size_t)(path - host));
    size_t path_length = strcspn(path, "?#");
    const char *query = path + path_length;
    while (path_length > 0 && path[path_length - 1] == '/') // the index is a page for people
        path_length--;
    bool is_index = path_length == 0 || (path_length == 12 && strncmp(path, "/debug/pprof", 12) == 0);
    if (is_index)
        ht_buffer_text(&out, "/debug/pprof/heap");
    else
        ht_buffer_add(&out, path, (size_t)(query - path));
    add_query(&out, *query == '?' ? query + 1 : query, seconds);
    if (insecure)
        *ret_insecure = true;
    return out.data;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t end_length = strlen(end);
    return length >= end_length && memcmp(text + length - end_length, end, end_length) == 0;
}

char *ht_url_of_symbols(const char *url)
{
    static const char *const known[] = {"/pprof/heap", "/pprof/growth", "/pprof/profile", "/pprof/pmuprofile",
                                        "/pprof/contention"};
    const char *path = url + scheme_length(url);
    path += strcspn(path, "/?#");
    size_t length = strcspn(path, "?#"), kept = length;
    const char *below = strstr(path, "/debug/pprof/");
    bool is_known = below != NULL && below < path + length;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        is_known |= ends_with(path, length, known[i]);
    while (kept > 0 && path[kept - 1] != '/')
        kept--;
    struct ht_buffer out = {0};
    ht_buffer_add(&out, url, (size_t)(path - url));
    if (is_known) {
        ht_buffer_add(&out, path, kept);
        ht_buffer_text(&out, "symbol");
    } else {
        ht_buffer_text(&out, "/symbolz");
    }
    return out.data;
}

int64_t ht_url_seconds(const char *url)
{
    const char *query = strchr(url, '?');
    while (query != NULL) {
        query++;
        if (strncmp(query, "seconds=", 8) == 0) {
            long long seconds = strtoll(query + 8, NULL, 10);
            return seconds > 0 && seconds < INT32_MAX ? seconds : 0;
        }
        query = strchr(query, '&');
    }
    return 0;
}

char *ht_url_shown(const char *argument)
{
    const char *host = argument + scheme_length(argument);
    const char *at = host + strcspn(host, "/?#"), *sign = memchr(host, '@', (size_t)(at - host));
    if (host == argument || sign == NULL)
        return ht_strdup(argument);
    return ht_format("%.*s%s", (int)(host - argument), argument, sign + 1);
}

bool ht_url_is_local(const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    const char *at = host + strcspn(host, "/?#@");
    if (*at == '@')
        host = at + 1;
    return strncmp(host, "localhost", 9) == 0 || strncmp(host, "127.", 4) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}
