// After the exit snapshot the process goes on: a library's destructor frees recorded blocks and allocates,
// and the last flush of stdio runs a stream's own function, which allocates as well. A plugin is left open.
//@ preload after liblate
#include "self.h"

#include <dlfcn.h>

static ssize_t write_cookie(void *cookie, const char *text, size_t size)
{
    void *p = malloc(100000 + size);
    CHECK(p && filled(cookie, 3000, 5));
    free(cookie);
    free(p);
    return write(STDOUT_FILENO, text, size);
}

int main(void)
{
    void **kept = dlsym(RTLD_DEFAULT, "late_kept");
    record_some();
    CHECK(kept && dlopen(beside("libloaded.so"), RTLD_NOW));
    for (size_t i = 0; i < 100; i++) {
        kept[i] = malloc(i + 1);
        CHECK(kept[i]);
        ((char *)kept[i])[i] = (char)i;
    }
    void *cookie = malloc(3000);
    fill(cookie, 3000, 5);
    FILE *stream = fopencookie(cookie, "w", (cookie_io_functions_t){.write = write_cookie});
    CHECK(stream && fputs("flushed last\n", stream) >= 0);
    puts("ok");
    fflush(stdout);
    return 3;
}
