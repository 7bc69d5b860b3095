// The reports `svg`, `png`, `pdf`, `ps` and `gif`: the call graph as a picture, drawn by Graphviz's program
// `dot`.
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

// Starts `dot -TFORMAT` between two files; returns 0 or an error number.
static int start_dot(int input, int output, const char *format, pid_t *ret_pid)
{
    char name[] = "dot", *option = ht_format("-T%s", format);
    char *words[] = {name, option, NULL};
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
    free(option);
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

static int draw(const struct ht_buffer *graph, const char *format, struct ht_buffer *out)
{
    int input = file_of(graph), ends[2], status = 0;
    pid_t pid;
    if (input < 0)
        return -1;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        close(input);
        return ht_fail_errno("no pipe to Graphviz");
    }
    int error = start_dot(input, ends[1], format, &pid);
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

// The text between two quotation marks, as Graphviz can draw it: it refuses texts of 16 KiB and more, and
// boxes as wide as a line of some thousand letters (names of templates, comments).
static void cut_text(const char *text, size_t length, struct ht_buffer *ret_cut)
{
    enum { LONGEST = 16000, WIDEST = 1000 };
    size_t line = 0, begun = ret_cut->length;
    for (size_t at = 0, step; at < length && ret_cut->length - begun < LONGEST; at += step) {
        bool is_break = text[at] == '\\' && at + 1 < length && strchr("nlr", text[at + 1]) != NULL;
        step = text[at] == '\\' ? 2 : 1;
        while (at + step < length && (text[at + step] & 0xc0) == 0x80)
            step++; // no half of a character
        if (is_break || line <= WIDEST)
            ht_buffer_add(ret_cut, text + at, step);
        line = is_break ? 0 : line + step;
        if (line > WIDEST && line - step <= WIDEST)
            ht_buffer_text(ret_cut, "\u2026");
    }
}

static void cut_long_texts(const struct ht_buffer *graph, struct ht_buffer *ret_cut)
{
    const char *text = graph->data;
    for (size_t at = 0; at < graph->length;) {
        size_t plain = strcspn(text + at, "\""), length = 0;
        ht_buffer_add(ret_cut, text + at, plain);
        at += plain;
        if (text[at] == '\0')
            return;
        for (at++; text[at + length] != '"' && text[at + length] != '\0';)
            length += text[at + length] == '\\' && text[at + length + 1] != '\0' ? 2 : 1;
        ht_buffer_byte(ret_cut, '"');
        cut_text(text + at, length, ret_cut);
        ht_buffer_byte(ret_cut, '"');
        at += length + (text[at + length] == '"');
    }
}

int ht_write_svg(struct ht_report *report, const struct ht_report_form *form, struct ht_buffer *out)
{
    struct ht_graph graph;
    struct ht_buffer text = {0}, cut = {0};
    int result = 0;
    ht_dot_build(&graph, report);
    if (form->json) {
        ht_graph_json(&graph, form->name, out);
    } else {
        result = ht_dot_graph(&graph, &text);
        cut_long_texts(&text, &cut);
        if (result == 0)
            result = draw(&cut, form->name, out);
    }
    ht_buffer_free(&text);
    ht_buffer_free(&cut);
    ht_graph_free(&graph);
    return result;
}
