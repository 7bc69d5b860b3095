// A budget of time around libdebuginfod, which is told its limits by the environment.
#include "net/debuginfod.h"

#include "base/clock.h"
#include "base/error.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    bool is_on;
    uint64_t deadline_ns;
    void *library; // no dependency: most never ask a server
} state;

void ht_debuginfod_begin(bool wanted, uint64_t timeout_ns)
{
    const char *servers = getenv("DEBUGINFOD_URLS");
    state.is_on = wanted && servers != NULL && servers[0] != '\0';
    state.deadline_ns = ht_clock_ns(CLOCK_MONOTONIC) + timeout_ns;
    if (wanted && !state.is_on)
        ht_warn("no debuginfod server is asked: DEBUGINFOD_URLS names none");
    if (state.is_on && state.library == NULL)
        state.library = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
    if (state.is_on && state.library == NULL) {
        ht_warn("no debuginfod server is asked: libdebuginfod is not installed (Debian: libdebuginfod1)");
        state.is_on = false;
    }
}

void ht_debuginfod_end(void)
{
    state.is_on = false;
}

// What is left of the time becomes libdebuginfod's limit. False: nothing is left.
static bool allow_servers(void)
{
    char seconds[24];
    uint64_t now = ht_clock_ns(CLOCK_MONOTONIC);
    if (!state.is_on || now >= state.deadline_ns)
        return false;
    snprintf(seconds, sizeof seconds, "%" PRIu64, (state.deadline_ns - now + 999999999) / 1000000000);
    setenv("DEBUGINFOD_TIMEOUT", seconds, 1);
    setenv("DEBUGINFOD_MAXTIME", seconds, 1);
    setenv("DEBUGINFOD_RETRY_LIMIT", "0", 1);
    unsetenv("DEBUGINFOD_PROGRESS");
    return true;
}

int ht_debuginfod_fetch(const char *build_id)
{
    struct client;
    if (!allow_servers())
        return ht_fail("no debuginfod server is asked");
    struct client *(*begin)(void);
    int (*find)(struct client *, const unsigned char *, int, char **);
    void (*end)(struct client *);
    *(void **)&begin = dlsym(state.library, "debuginfod_begin");
    *(void **)&find = dlsym(state.library, "debuginfod_find_debuginfo");
    *(void **)&end = dlsym(state.library, "debuginfod_end");
    struct client *client = begin != NULL && find != NULL && end != NULL ? begin() : NULL;
    if (client == NULL)
        return ht_fail("libdebuginfod cannot be used");
    char *path = NULL;
    int fd = find(client, (const unsigned char *)build_id, 0, &path); // length 0: hex digits
    free(path);
    end(client);
    if (state.is_on && ht_clock_ns(CLOCK_MONOTONIC) >= state.deadline_ns) {
        state.is_on = false;
        ht_warn(
            "the debuginfod servers took too long; what else they have is left out (--debuginfod-timeout gives them "
            "more)");
    }
    return fd >= 0 ? fd : ht_fail("no debuginfod server has it");
}
