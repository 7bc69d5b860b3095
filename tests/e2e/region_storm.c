// Writes to a region's file in all ways until it is ended: region_storm FILE.live SEED; "ready" when it
// begins.
#include "../support/storm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[1], O_RDWR) : -1;
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0)
        return 2;
    void *region = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (region == MAP_FAILED)
        return 2;
    puts("ready");
    fflush(stdout);
    storm(region, strtoull(argv[2], NULL, 10));
}
