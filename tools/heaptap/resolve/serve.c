// Answers the command's questions. What is asked is believed; what is read is foreign.
#include "resolve/serve.h"

#include "base/error.h"
#include "resolve/cache.h"
#include "resolve/elf.h"
#include "resolve/pipe.h"
#include "resolve/resolve.h"
#include "resolve/sandbox.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOCKET = 3 };

struct server {
    int socket;
    struct ht_elf module;
    bool is_open;
    bool is_over; // nobody listens any more
};

static void reply(struct server *server, enum ht_message_type type, struct ht_buffer *content)
{
    server->is_over = server->is_over || ht_message_send(server->socket, type, content, -1) < 0;
    ht_buffer_free(content);
}

static void allow_file(int fd)
{
    struct stat stat_of;
    if (fstat(fd, &stat_of) == 0 && stat_of.st_size > 0)
        ht_sandbox_allow((uint64_t)stat_of.st_size);
}

// Asks the command for another file.
static int grant(void *arg, const struct ht_wish *wish)
{
    struct server *server = arg;
    struct ht_buffer content = {0};
    struct ht_message message;
    ht_message_put_number(&content, wish->kind);
    ht_message_put_number(&content, wish->ordinal);
    ht_message_put_text(&content, wish->name);
    ht_message_put_text(&content, wish->folder);
    ht_message_put_text(&content, wish->build_id);
    reply(server, HT_MESSAGE_WANT, &content);
    server->is_over = server->is_over || ht_message_receive(server->socket, NULL, NULL, &message) < 0;
    if (server->is_over)
        return HT_WISH_END;
    int fd = message.file;
    bool is_end = message.type == HT_MESSAGE_NO_MORE;
    message.file = -1;
    ht_message_free(&message);
    if (fd >= 0)
        allow_file(fd);
    return fd >= 0 ? fd : is_end ? HT_WISH_END : HT_WISH_NOTHING;
}

static void fail(struct server *server)
{
    struct ht_buffer content = {0};
    ht_message_put_text(&content, ht_error());
    reply(server, HT_MESSAGE_FAILED, &content);
}

static void close_module(struct server *server)
{
    if (server->is_open)
        ht_elf_close(&server->module);
    server->is_open = false;
}

static void open_module(struct server *server, struct ht_message *message)
{
    const char *name = ht_message_text(message);
    const struct ht_wishes wishes = {grant, server};
    struct ht_buffer content = {0};
    close_module(server);
    int fd = message->file;
    message->file = -1;
    if (fd >= 0)
        allow_file(fd);
    if (fd < 0 || ht_elf_open(&server->module, name, fd, &wishes) < 0) {
        fail(server);
        return;
    }
    server->is_open = true;
    const struct ht_layout *layout = &server->module.layout;
    ht_message_put_text(&content, server->module.build_id);
    ht_message_put_number(&content, layout->is_debug_only);
    ht_message_put_number(&content, layout->segment_count);
    ht_buffer_add(&content, layout->segments, layout->segment_count * sizeof *layout->segments);
    reply(server, HT_MESSAGE_OPENED, &content);
}

// One frame's function, as the cache keeps it. Symbols lose their version (foo@@GLIBC_2.2), not "@plt".
static uint32_t add_function(struct ht_cache_writer *writer, const struct ht_frame *frame, bool with_names)
{
    const char *symbol = frame->symbol != NULL ? frame->symbol : "??";
    size_t length = strcspn(symbol, "@");
    length += strcmp(symbol + length, "@plt") == 0 ? strlen("@plt") : 0;
    char *plain = ht_format("%.*s", (int)(length < INT32_MAX ? length : INT32_MAX), symbol);
    char *name = with_names ? ht_demangle(plain, HT_DEMANGLE_SIMPLE) : NULL;
    uint32_t function = ht_cache_add_function(writer, plain, name, frame->file, frame->start_line);
    free(plain);
    free(name);
    return function;
}

static void add_answers(struct ht_cache_writer *writer, const struct ht_elf *module,
                        const struct ht_query *queries, size_t count, bool with_names)
{
    for (size_t i = 0; i < count; i++) {
        const struct ht_query *query = &queries[i];
        for (uint32_t f = 0; f < query->frame_count; f++) {
            const struct ht_frame *frame = &module->frames[query->first_frame + f];
            ht_cache_add_frame(writer, add_function(writer, frame, with_names), frame->line);
        }
        ht_cache_add_entry(writer, query->address, query->frame_count);
    }
}

static void resolve(struct server *server, struct ht_message *message)
{
    bool with_names = ht_message_number(message) != 0;
    size_t count = ht_message_rest(message) / sizeof(uint64_t);
    struct ht_query *queries = ht_alloc_zero(count, sizeof *queries);
    struct ht_cache_writer writer = {.limit_bytes = HT_MESSAGE_LIMIT_BYTES / 2};
    struct ht_buffer content = {0};
    struct ht_elf *module = &server->module;
    for (size_t i = 0; i < count; i++)
        queries[i].address = ht_message_number(message);
    ht_elf_resolve(module, queries, count);
    add_answers(&writer, module, queries, count, with_names);
    free(queries);
    char *lacks = ht_elf_lacks(module);
    ht_message_put_number(&content, ht_elf_has_dwarf(module));
    ht_message_put_number(&content, module->is_complete);
    ht_message_put_text(&content, lacks);
    free(lacks);
    ht_cache_write(&writer, module->build_id, &module->layout, &content);
    reply(server, HT_MESSAGE_ANSWER, &content);
}

static void demangle(struct server *server, struct ht_message *message)
{
    enum ht_demangle mode = (enum ht_demangle)ht_message_number(message);
    struct ht_buffer content = {0};
    while (ht_message_rest(message) > 0 && !message->is_bad) {
        char *name = ht_demangle(ht_message_text(message), mode);
        ht_message_put_text(&content, name);
        free(name);
    }
    reply(server, HT_MESSAGE_NAMES, &content);
}

void ht_serve(int socket)
{
    struct server server = {.socket = socket};
    struct ht_message message;
    while (!server.is_over && ht_message_receive(socket, NULL, NULL, &message) == 0) {
        if (message.type == HT_MESSAGE_OPEN)
            open_module(&server, &message);
        else if (message.type == HT_MESSAGE_RESOLVE && server.is_open)
            resolve(&server, &message);
        else if (message.type == HT_MESSAGE_DEMANGLE)
            demangle(&server, &message);
        ht_message_free(&message);
    }
    close_module(&server);
}

void ht_serve_if_reader(int argc, char **argv)
{
    struct server server = {.socket = SOCKET};
    if (argc != 3 || strcmp(argv[0], HT_READER_NAME) != 0)
        return;
    struct ht_owner owner = {(uid_t)strtoul(argv[1], NULL, 10), (gid_t)strtoul(argv[2], NULL, 10)};
    if (ht_sandbox_enter(owner) < 0)
        fail(&server);
    else
        ht_serve(SOCKET);
    _exit(0);
}
