// A library is unloaded, and another one comes to lie at its address: return addresses that mean something
// else now, and blocks that outlive the code which allocated them.
#include "self.h"

#include <dlfcn.h>
#include <link.h>

static void *kept[2][200];
static int reused;

static uintptr_t visit(const char *name, size_t round)
{
    static uintptr_t last;
    void *handle = dlopen(beside(name), RTLD_NOW);
    CHECK(handle);
    void *(*deep)(size_t, int) = (void *(*)(size_t, int))dlsym(handle, "place_deep");
    struct link_map *map = NULL;
    CHECK(deep && !dlinfo(handle, RTLD_DI_LINKMAP, &map));
    reused += map->l_addr == last;
    last = map->l_addr;
    for (size_t i = 0; i < 200; i++) {
        CHECK(round < 2 || filled(kept[round % 2][i], i * 30, (unsigned char)i));
        free(kept[round % 2][i]);
        kept[round % 2][i] = deep(i * 30, (int)i % 20);
        CHECK(kept[round % 2][i]);
        fill(kept[round % 2][i], i * 30, (unsigned char)i);
    }
    void *large = deep(4 << 20, 3);
    CHECK(large && !dlclose(handle) && !dlopen(beside(name), RTLD_NOW | RTLD_NOLOAD));
    free(large);
    return last;
}

int main(void)
{
    record_some();
    for (size_t round = 0; round < 60; round++)
        visit(round % 2 ? "libplace_b.so" : "libplace_a.so", round);
    CHECK(reused > 10);
    puts("ok");
    return 0;
}
