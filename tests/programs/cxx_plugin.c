// A C program opens a C++ library that throws and catches: the unwinding is libgcc's, whatever unwinder is at
// work in the process, and the program finds no unwinder's symbol that it would not find without us.
#include "self.h"

#include <dlfcn.h>
#include <pthread.h>

static int (*unwind_frames)(int);

static void *work(void *unused)
{
    for (int i = 0; i < 15; i++)
        CHECK(unwind_frames(2 * i) == 2 * i + 1);
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    record_some();
    // Under jemalloc, which is linked with libstdc++, libgcc's is there from the start.
    Dl_info info;
    void *raise_exception = dlsym(RTLD_DEFAULT, "_Unwind_RaiseException");
    CHECK(!raise_exception || (dladdr(raise_exception, &info) && strstr(info.dli_fname, "libgcc_s")));
    CHECK(!dlsym(RTLD_DEFAULT, "unw_backtrace"));
    printf("%s\n", raise_exception ? "found" : "not found");
    for (int round = 0; round < 3; round++) {
        void *handle = dlopen(beside("libunwinds.so"), RTLD_NOW);
        CHECK(handle);
        unwind_frames = (int (*)(int))dlsym(handle, "unwind_frames");
        raise_exception = dlsym(handle, "_Unwind_RaiseException");
        CHECK(unwind_frames && raise_exception && dladdr(raise_exception, &info));
        CHECK(strstr(info.dli_fname, "libgcc_s"));
        for (int i = 0; i < 2; i++)
            CHECK(!pthread_create(&threads[i], NULL, work, NULL));
        work(NULL);
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        CHECK(!dlclose(handle));
    }
    puts("ok");
    return 0;
}
