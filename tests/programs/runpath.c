// A plugin opens another library by name, found through the plugin's own run path: the call of dlopen must
// come from the plugin, and from nobody in between. The program itself has no such path and does not find it.
#include "self.h"

#include <dlfcn.h>

int main(void)
{
    record_some();
    CHECK(!dlopen("libdeep.so", RTLD_NOW) && dlerror());
    void *plugin = dlopen(beside("librunpath.so"), RTLD_NOW);
    CHECK(plugin);
    void *(*open_by_name)(const char *) = (void *(*)(const char *))dlsym(plugin, "runpath_open");
    CHECK(open_by_name);
    for (int i = 0; i < 20; i++) {
        void *handle = open_by_name("libdeep.so");
        CHECK(handle);
        int (*works)(void) = (int (*)(void))dlsym(handle, "deep_works");
        CHECK(works && (i % 10 || works()) && !dlclose(handle));
        CHECK(!open_by_name("libno_such.so") && dlerror());
    }
    CHECK(!dlclose(plugin));
    puts("ok");
    return 0;
}
