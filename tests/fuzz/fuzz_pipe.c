// Any messages on the socket between the command and its reader, in both directions: the command gets answers
// that are whole or none, the reader serves or ends, and no descriptor that came with a message stays open.
//
// An input is a byte (bit 0: whom the messages are for), and messages: type, flags (bit 0: a file comes with
// it, 1: its head promises more than comes, 2: it holds a file of the cache that is made right), length (2
// bytes, little endian), content.
#include "base/error.h"
#include "cache_bytes.h"
#include "resolve/pipe.h"
#include "resolve/reader.h"
#include "resolve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WITH_FILE = 1, SHORT = 2, SEALED = 4 };
enum { MOST_QUESTIONS = 8, PROGRAM_BYTES = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// There is no process behind the socket, and the reader's limits would be ours: these are in place of libc's.
int setrlimit(__rlimit_resource_t what, const struct rlimit *limit)
{
    (void)what, (void)limit;
    return 0;
}

int kill(pid_t pid, int signal)
{
    (void)pid, (void)signal;
    return 0;
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    (void)options;
    *status = 0;
    return pid;
}

static int lowest_free(void)
{
    int fd = dup(0);
    must(fd >= 0 && close(fd) == 0);
    return fd;
}

// A program with one loaded part and nothing else.
static int open_program(void)
{
    static union {
        struct {
            Elf64_Ehdr head;
            Elf64_Phdr part;
        } elf;
        char bytes[PROGRAM_BYTES];
    } program = {
        .elf = {{.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                 .e_type = ET_EXEC,
                 .e_machine = EM_X86_64,
                 .e_version = EV_CURRENT,
                 .e_phoff = sizeof(Elf64_Ehdr),
                 .e_ehsize = sizeof(Elf64_Ehdr),
                 .e_phentsize = sizeof(Elf64_Phdr),
                 .e_phnum = 1,
                 .e_shentsize = sizeof(Elf64_Shdr)},
                {.p_type = PT_LOAD,
                 .p_flags = PF_R | PF_X,
                 .p_vaddr = 0x400000,
                 .p_filesz = PROGRAM_BYTES,
                 .p_memsz = PROGRAM_BYTES,
                 .p_align = 0x1000}}};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, &program, sizeof program) == (ssize_t)sizeof program);
    return fd;
}

// What is behind "has_dwarf, is_complete, lacks" of an answer.
static void seal(struct ht_buffer *content)
{
    size_t texts = 2 * sizeof(uint64_t);
    char *end = content->length > texts ? memchr(content->data + texts, '\0', content->length - texts) : NULL;
    if (end != NULL)
        seal_cache(end + 1, content->length - (size_t)(end + 1 - content->data));
}

// As ht_message_send, but what it says of itself can be wrong.
static void send_message(int socket, uint8_t type, uint8_t flags, struct ht_buffer *content)
{
    const struct {
        uint32_t type, has_file;
        uint64_t bytes;
    } head = {type, flags & WITH_FILE, content->length + (flags & SHORT ? 1000 : 0)};
    int fd = flags & WITH_FILE ? open_program() : -1;
    if (flags & SEALED)
        seal(content);
    if (flags & SHORT || type >= HT_MESSAGE_TYPES) {
        must(send(socket, &head, sizeof head, MSG_NOSIGNAL) == (ssize_t)sizeof head);
        must(content->length == 0 ||
             send(socket, content->data, content->length, MSG_NOSIGNAL) == (ssize_t)content->length);
    } else {
        must(ht_message_send(socket, type, content, fd) == 0);
    }
    if (fd >= 0)
        close(fd);
}

static void send_messages(int socket, const uint8_t *data, size_t size)
{
    enum { HEAD = 4 };
    while (size >= HEAD) {
        size_t length = (size_t)data[2] | (size_t)data[3] << 8;
        length = length < size - HEAD ? length : size - HEAD;
        struct ht_buffer content = {0};
        ht_buffer_add(&content, data + HEAD, length);
        send_message(socket, data[0] % (HT_MESSAGE_TYPES + 1), data[1], &content);
        ht_buffer_free(&content);
        data += HEAD + length;
        size -= HEAD + length;
    }
    if (size > 0)
        must(send(socket, data, size, MSG_NOSIGNAL) == (ssize_t)size);
    must(shutdown(socket, SHUT_WR) == 0);
}

static int grant(void *arg, const struct ht_wish *wish)
{
    (void)arg;
    must(wish->kind < HT_WISH_KINDS);
    size_t length = strlen(wish->name) + strlen(wish->folder) + strlen(wish->build_id);
    return wish->ordinal > 1 ? HT_WISH_END : length % 2 == 0 ? HT_WISH_NOTHING : open_program();
}

static void ask_open(struct ht_reader *reader, const struct ht_wishes *wishes)
{
    struct ht_reader_module module;
    uint64_t address;
    if (ht_reader_open(reader, open_program(), "program", wishes, &module) != 0)
        return;
    must(strspn(module.build_id, "0123456789abcdef") == strlen(module.build_id));
    must((module.layout.segments == NULL) == (module.layout.segment_count == 0));
    for (uint64_t at = 0; at < 64; at++)
        ht_layout_address(&module.layout, 0x1000, 0x9000, at % 2 * 0x1000, at * 0x400, &address);
    ht_reader_module_free(&module);
}

static void ask_names(struct ht_reader *reader, const struct ht_wishes *wishes)
{
    static volatile uint64_t sink __attribute__((unused)); // every byte is read
    static const uint64_t addresses[] = {0x400000, 0x400010};
    struct ht_reader_module module = {0};
    struct ht_reader_answers answers;
    memcpy(module.build_id, cache_build_id, sizeof cache_build_id);
    if (ht_reader_resolve(reader, addresses, 2, true, &module, wishes, &answers) != 0)
        return;
    must(answers.lacks == NULL || answers.lacks[0] != '\0');
    sink += read_cache(&answers.cache);
    ht_reader_answers_free(&answers);
}

static void ask_readable(struct ht_reader *reader)
{
    static const char *const symbols[] = {"_Z1fv", "_Z1gv", "main"};
    char *names[3];
    ht_reader_demangle(reader, symbols, 3, HT_DEMANGLE_SIMPLE, names);
    for (size_t i = 0; i < 3; i++) {
        must(names[i] == NULL || names[i][0] != '\0');
        free(names[i]);
    }
}

// `socket` is closed.
static void be_command(int socket)
{
    const struct ht_wishes wishes = {grant, NULL};
    struct ht_reader reader = {.socket = socket, .pid = 1, .deaths = 2};
    for (unsigned i = 0; i < MOST_QUESTIONS && reader.socket > 0; i++) {
        if (i % 4 == 0)
            ask_open(&reader, &wishes);
        else if (i % 4 < 3)
            ask_names(&reader, i % 4 == 1 ? &wishes : NULL);
        else
            ask_readable(&reader);
    }
    ht_reader_end(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2], bytes = 1 << 20, before = lowest_free();
    if (size == 0)
        return 0;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    for (int i = 0; i < 2; i++)
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    send_messages(ends[1], data + 1, size - 1);
    // What finds no room fails: there is one thread.
    must(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    if (data[0] & 1) {
        ht_serve(ends[0]);
        close(ends[0]);
    } else {
        be_command(ends[0]);
    }
    close(ends[1]);
    must(lowest_free() == before);
    return 0;
}
