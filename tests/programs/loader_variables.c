// The loader in other moods: everything bound at start (LD_BIND_NOW), every call through an auditor
// (LD_AUDIT), static TLS made large, and a changed library path.
#include "self.h"

#include <dlfcn.h>

static int live(void)
{
    record_some();
    void *handle = dlopen(beside("libloaded.so"), RTLD_LAZY);
    CHECK(handle);
    void *(*make)(size_t) = (void *(*)(size_t))dlsym(handle, "loaded_make");
    void *p = make(12345);
    CHECK(p && filled(p, 12345, 4) && !dlclose(handle));
    free(p);
    return 40;
}

int main(int count, char **arguments)
{
    if (count > 1)
        return live();
    const struct {
        const char *name, *value;
    } variables[] = {{"LD_BIND_NOW", "1"},
                     {"LD_AUDIT", "libaudit.so"},
                     {"GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=8192"},
                     {"GLIBC_TUNABLES", "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"},
                     {"LD_LIBRARY_PATH", "/nonexistent"}};
    for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            const char *value = variables[i].value;
            setenv(variables[i].name, i == 1 ? beside(value) : value, 1);
            execl(arguments[0], arguments[0], "again", (char *)NULL);
            _exit(1);
        }
        int status = wait_status(child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 40);
    }
    puts("ok");
    return 0;
}
