// Starts the reader, asks, and believes nothing of what it says.
#include "resolve/reader.h"

#include "base/clock.h"
#include "base/error.h"
#include "resolve/pipe.h"
#include "resolve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_DEATHS = 3, MAX_SEGMENTS = 1024, QUIET_SECONDS = 20, SOCKET_BYTES = 1 << 20 };

// What its libraries and sanitizers may need; nothing that sends it anywhere (DEBUGINFOD_URLS).
static char **environment_of(void)
{
    static const char *const kept[] = {
        "LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS="};
    enum { KEPT = sizeof kept / sizeof kept[0] };
    char **environment = ht_alloc_zero(KEPT + 1, sizeof *environment);
    size_t count = 0;
    for (char **at = environ; at != NULL && *at != NULL; at++)
        for (size_t i = 0; i < KEPT && count < KEPT; i++)
            if (strncmp(*at, kept[i], strlen(kept[i])) == 0)
                environment[count++] = *at;
    return environment;
}

static int spawn(struct ht_reader *reader, int end)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    char name[] = HT_READER_NAME;
    char *uid = ht_format("%u", (unsigned)reader->owner.uid),
         *gid = ht_format("%u", (unsigned)reader->owner.gid);
    char *words[] = {name, uid, gid, NULL}, **environment = environment_of();
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
#if !defined(__SANITIZE_ADDRESS__) // its report is to be seen
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
#endif
    posix_spawn_file_actions_adddup2(&actions, end, 3);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawn(&reader->pid, "/proc/self/exe", &actions, &attributes, words, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    free(uid);
    free(gid);
    return error;
}

static int start(struct ht_reader *reader)
{
    int ends[2], bytes = SOCKET_BYTES;
    if (reader->socket > 0)
        return 0;
    if (reader->deaths >= MAX_DEATHS)
        return ht_fail("the reader of such files failed %d times before", MAX_DEATHS);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return ht_fail_errno("no socket for the reader of such files");
    // A duplicate of a higher number, so that 3 is none of the two.
    for (int i = 0; i < 2; i++) {
        int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, 4);
        close(ends[i]);
        ends[i] = moved;
        setsockopt(moved, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
    int error = ends[0] < 0 || ends[1] < 0 ? EMFILE : spawn(reader, ends[1]);
    if (ends[1] >= 0)
        close(ends[1]);
    if (error != 0) {
        if (ends[0] >= 0)
            close(ends[0]);
        return ht_fail("the reader of such files cannot be started: %s", strerror(error));
    }
    reader->socket = ends[0];
    return 0;
}

// It has time as long as it works; its processor time has a limit of its own.
static int is_stuck(void *arg)
{
    struct ht_reader *reader = arg;
    clockid_t clock;
    uint64_t now_ns = reader->processor_ns;
    if (clock_getcpuclockid(reader->pid, &clock) == 0)
        now_ns = ht_clock_ns(clock);
    reader->quiet_ns = now_ns > reader->processor_ns ? 0 : reader->quiet_ns + HT_NS_PER_SECOND;
    reader->processor_ns = now_ns;
    return reader->quiet_ns >= QUIET_SECONDS * HT_NS_PER_SECOND;
}

// After it has failed: why, in ht_error().
static int bury(struct ht_reader *reader, int error)
{
    int status = 0;
    close(reader->socket);
    reader->socket = 0;
    reader->deaths++;
    kill(reader->pid, error == EPIPE || error == ECONNRESET ? 0 : SIGKILL);
    while (waitpid(reader->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (error == ETIMEDOUT)
        ht_fail("reading it came to no end");
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        ht_fail("reading it took too long");
    else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        ht_fail("reading it failed (%s): it is damaged, or made to do harm", strsignal(WTERMSIG(status)));
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
        ht_fail("reading it takes more memory than a file of its size may");
    else
        ht_fail("reading it failed");
    return HT_READER_DIED;
}

// Answers a wish of the reader's; false: it is gone.
static bool answer_wish(const struct ht_reader *reader, struct ht_message *message,
                        const struct ht_wishes *wishes)
{
    struct ht_wish wish = {0};
    uint64_t kind = ht_message_number(message);
    wish.ordinal = (unsigned)ht_message_number(message);
    wish.name = ht_message_text(message);
    wish.folder = ht_message_text(message);
    wish.build_id = ht_message_text(message);
    wish.kind = (enum ht_wish_kind)kind;
    bool is_wish = kind < HT_WISH_KINDS && !message->is_bad && wishes != NULL;
    int fd = is_wish ? ht_wish_grant(wishes, &wish) : HT_WISH_END;
    enum ht_message_type type = fd >= 0                 ? HT_MESSAGE_FILE
                                : fd == HT_WISH_NOTHING ? HT_MESSAGE_NO_FILE
                                                        : HT_MESSAGE_NO_MORE;
    int result = ht_message_send(reader->socket, type, NULL, fd);
    if (fd >= 0)
        close(fd);
    return result == 0;
}

// Sends a question and waits for the answer, which is of the given type or a refusal.
static int ask(struct ht_reader *reader, enum ht_message_type question, const struct ht_buffer *content,
               int file, const struct ht_wishes *wishes, enum ht_message_type wanted,
               struct ht_message *ret_answer)
{
    int error = start(reader) < 0 ? -1 : 0;
    if (error == 0 && ht_message_send(reader->socket, question, content, file) < 0)
        error = EPIPE;
    if (file >= 0)
        close(file);
    if (error < 0)
        return HT_READER_DIED;
    reader->quiet_ns = 0;
    while (error == 0) {
        if (ht_message_receive(reader->socket, is_stuck, reader, ret_answer) < 0) {
            error = errno;
            break;
        }
        if (ret_answer->type == wanted)
            return 0;
        if (ret_answer->type == HT_MESSAGE_FAILED) {
            ht_fail("%s", ht_message_text(ret_answer));
            ht_message_free(ret_answer);
            return -1;
        }
        bool is_wish = ret_answer->type == HT_MESSAGE_WANT;
        error = !is_wish ? EPROTO : answer_wish(reader, ret_answer, wishes) ? 0 : EPIPE;
        ht_message_free(ret_answer);
        reader->quiet_ns = 0;
    }
    return bury(reader, error);
}

int ht_reader_open(struct ht_reader *reader, int fd, const char *name, const struct ht_wishes *wishes,
                   struct ht_reader_module *ret_module)
{
    struct ht_buffer content = {0};
    struct ht_message answer;
    ht_message_put_text(&content, name);
    int result = ask(reader, HT_MESSAGE_OPEN, &content, fd, wishes, HT_MESSAGE_OPENED, &answer);
    ht_buffer_free(&content);
    if (result != 0)
        return result;
    *ret_module = (struct ht_reader_module){0};
    ht_elf_build_id_given(ht_message_text(&answer), ret_module->build_id);
    if (ret_module->build_id[strspn(ret_module->build_id, "0123456789abcdef")] != '\0')
        ret_module->build_id[0] = '\0';
    bool is_debug_only = ht_message_number(&answer) != 0;
    uint64_t count = ht_message_number(&answer);
    struct ht_segment *segments = NULL;
    if (count > 0 && count <= MAX_SEGMENTS) {
        const void *bytes = ht_message_bytes(&answer, count * sizeof *segments);
        segments = bytes != NULL ? ht_realloc_array(NULL, count, sizeof *segments) : NULL;
        if (bytes != NULL)
            memcpy(segments, bytes, count * sizeof *segments);
    }
    ret_module->layout = (struct ht_layout){segments, segments != NULL ? count : 0, is_debug_only};
    ht_message_free(&answer);
    return 0;
}

void ht_reader_module_free(struct ht_reader_module *module)
{
    free((void *)(uintptr_t)module->layout.segments);
    *module = (struct ht_reader_module){0};
}

int ht_reader_resolve(struct ht_reader *reader, const uint64_t *addresses, size_t count, bool with_names,
                      const struct ht_reader_module *module, const struct ht_wishes *wishes,
                      struct ht_reader_answers *ret_answers)
{
    struct ht_buffer content = {0};
    struct ht_message answer;
    ht_message_put_number(&content, with_names);
    ht_buffer_add(&content, addresses, count * sizeof *addresses);
    int result = ask(reader, HT_MESSAGE_RESOLVE, &content, -1, wishes, HT_MESSAGE_ANSWER, &answer);
    ht_buffer_free(&content);
    if (result != 0)
        return result;
    *ret_answers = (struct ht_reader_answers){0};
    ret_answers->has_dwarf = ht_message_number(&answer) != 0;
    ret_answers->is_complete = ht_message_number(&answer) != 0;
    const char *lacks = ht_message_text(&answer);
    ret_answers->lacks = lacks[0] != '\0' ? ht_strdup(lacks) : NULL;
    // A copy that is aligned as the cache's reader needs it.
    size_t length = ht_message_rest(&answer);
    char *bytes = ht_alloc(length + 1);
    if (length > 0)
        memcpy(bytes, ht_message_bytes(&answer, length), length);
    ht_message_free(&answer);
    if (ht_cache_parse(&ret_answers->cache, bytes, length, module->build_id) == 0)
        return 0;
    ht_reader_answers_free(ret_answers);
    return ht_fail("its names make no sense");
}

void ht_reader_answers_free(struct ht_reader_answers *answers)
{
    ht_cache_close(&answers->cache);
    free(answers->lacks);
    *answers = (struct ht_reader_answers){0};
}

int ht_reader_demangle(struct ht_reader *reader, const char *const *symbols, size_t count,
                       enum ht_demangle mode, char **ret_names)
{
    struct ht_buffer content = {0};
    struct ht_message answer;
    memset(ret_names, 0, count * sizeof *ret_names);
    ht_message_put_number(&content, mode);
    for (size_t i = 0; i < count; i++)
        ht_message_put_text(&content, symbols[i]);
    int result = ask(reader, HT_MESSAGE_DEMANGLE, &content, -1, NULL, HT_MESSAGE_NAMES, &answer);
    ht_buffer_free(&content);
    for (size_t i = 0; i < count && result == 0; i++) {
        const char *name = ht_message_text(&answer);
        ret_names[i] = name[0] != '\0' ? ht_strdup(name) : NULL;
    }
    if (result == 0)
        ht_message_free(&answer);
    return result;
}

void ht_reader_end(struct ht_reader *reader)
{
    if (reader->socket <= 0)
        return;
    close(reader->socket);
    reader->socket = 0;
    kill(reader->pid, SIGKILL); // it may be closing what it has open, which nobody needs
    while (waitpid(reader->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
