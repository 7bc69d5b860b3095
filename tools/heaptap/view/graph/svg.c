// The report `svg`: the call graph as a picture, drawn by Graphviz's program `dot`.
#include "view/graph/dot.h"
#include "view/graph/json.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

// The text as an open file, at its beginning; -1 and the reason if that fails.
static int file_of(const struct ht_buffer *text)
{
    int fd = memfd_create("heaptap.dot", MFD_CLOEXEC);
    if (fd < 0)
        return ht_fail_errno("no room for the graph");
    for (size_t written = 0; written < text->length;) {
        ssize_t step = write(fd, text->data + written, text->length - written);
        if (step < 0 && errno != EINTR) {
            ht_fail_errno("no room for the graph");
            close(fd);
            return -1;
        }
        written += step > 0 ? (size_t)step : 0;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

// Starts `dot -Tsvg` between two files; returns 0 or an error number.
static int start_dot(int input, int output, pid_t *ret_pid)
{
    char name[] = "dot", format[] = "-Tsvg";
    char *words[] = {name, format, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawnp(ret_pid, name, &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static void read_all(int fd, struct ht_buffer *out)
{
    char chunk[1 << 16];
    ssize_t got;
    while ((got = read(fd, chunk, sizeof chunk)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0)
            ht_buffer_add(out, chunk, (size_t)got);
}

static int draw(const struct ht_buffer *graph, struct ht_buffer *out)
{
    int input = file_of(graph), ends[2], status = 0;
    pid_t pid;
    if (input < 0)
        return -1;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        close(input);
        return ht_fail_errno("no pipe to Graphviz");
    }
    int error = start_dot(input, ends[1], &pid);
    close(input);
    close(ends[1]);
    if (error == 0)
        read_all(ends[0], out);
    close(ends[0]);
    if (error == ENOENT)
        return ht_fail(
            "Graphviz's program 'dot' is not installed (Debian: apt install graphviz); `heaptap dot` writes "
            "the graph without it");
    if (error != 0)
        return ht_fail("Graphviz's program 'dot' cannot be started: %s", strerror(error));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return ht_fail("Graphviz's program 'dot' failed (status %d)",
                       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}

int ht_write_svg(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_graph graph;
    struct ht_buffer text = {0};
    int result = 0;
    ht_dot_build(&graph, report);
    if (form->json) {
        ht_graph_json(&graph, form->name, out);
    } else {
        result = ht_dot_graph(&graph, &text);
        if (result == 0)
            result = draw(&text, out);
    }
    ht_buffer_free(&text);
    ht_graph_free(&graph);
    return result;
}
