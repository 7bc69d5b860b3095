// Started with standard input, output or error closed, in every combination: the files that the host opens
// then get these numbers, and nothing but its own bytes ever gets into them, up to its end.
#include "self.h"

#include <fcntl.h>
#include <sys/mman.h>

static const char text[] = "the host's own\n";

// The second life; descriptor 9 leads to the file whose contents are looked at afterwards.
static int live(int closed)
{
    record_some();
    for (int fd = 0; fd < 3; fd++) {
        CHECK((fcntl(fd, F_GETFD) < 0) == (closed >> fd & 1));
        if (closed >> fd & 1) {
            CHECK(dup(9) == fd);
            CHECK(write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
        }
        record_some();
    }
    // What stdio holds is written at exit, into whatever 1 is now; closed again, it is lost.
    if (closed & 2) {
        CHECK(!close(1));
        printf("lost");
    }
    return 30 + closed;
}

int main(int count, char **arguments)
{
    if (count > 1)
        return live(atoi(arguments[1]));
    record_some();
    for (int closed = 1; closed < 8; closed++) {
        int file = memfd_create("host", 0);
        CHECK(file >= 0);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            char word[8];
            snprintf(word, sizeof(word), "%d", closed);
            CHECK(dup2(file, 9) == 9);
            for (int fd = 0; fd < 3; fd++)
                if (closed >> fd & 1)
                    close(fd);
            execl(arguments[0], arguments[0], word, (char *)NULL);
            _exit(1);
        }
        int status = wait_status(child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 30 + closed);
        char content[200];
        ssize_t expected = __builtin_popcount((unsigned)closed) * (ssize_t)(sizeof(text) - 1);
        CHECK(pread(file, content, sizeof(content), 0) == expected);
        for (ssize_t at = 0; at < expected; at += (ssize_t)sizeof(text) - 1)
            CHECK(!memcmp(content + at, text, sizeof(text) - 1));
        CHECK(!close(file));
    }
    puts("ok");
    return 0;
}
