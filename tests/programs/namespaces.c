// dlmopen: a library in a namespace of its own has its own libc and its own heap beside the host's; opened
// and closed again and again, also while a snapshot is due.
#include "self.h"

#include <dlfcn.h>

int main(void)
{
    record_some();
    for (int i = 0; i < 6; i++) {
        void *handle = dlmopen(LM_ID_NEWLM, beside("libdeep.so"), RTLD_NOW);
        CHECK(handle);
        int (*works)(void) = (int (*)(void))dlsym(handle, "deep_works");
        void *(*make)(size_t) = (void *(*)(size_t))dlsym(handle, "deep_make");
        void (*release)(void *) = (void (*)(void *))dlsym(handle, "deep_free");
        CHECK(works && make && release && works());
        void *theirs = make(100000), *ours = malloc(100000);
        record_some();
        CHECK(theirs && ours && filled(theirs, 100000, 6));
        release(theirs);
        free(ours);
        CHECK(works() && !dlclose(handle));
        record_some();
    }
    puts("ok");
    return 0;
}
