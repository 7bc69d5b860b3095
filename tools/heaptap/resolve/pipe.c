// Sends and receives whole messages; whatever comes is foreign.
#include "resolve/pipe.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEP_MS = 1000 };

struct head {
    uint32_t type;
    uint32_t has_file;
    uint64_t bytes;
};

// One descriptor, aligned as the kernel wants it.
union control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_all(int socket, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(socket, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return -1;
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
    }
    return 0;
}

int ht_message_send(int socket, enum ht_message_type type, const struct ht_buffer *content, int file)
{
    struct head head = {.type = type, .has_file = file >= 0, .bytes = content != NULL ? content->length : 0};
    struct iovec part = {&head, sizeof head};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union control control = {0};
    ssize_t sent;
    if (file >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *first = CMSG_FIRSTHDR(&message);
        first->cmsg_level = SOL_SOCKET;
        first->cmsg_type = SCM_RIGHTS;
        first->cmsg_len = CMSG_LEN(sizeof file);
        memcpy(CMSG_DATA(first), &file, sizeof file);
    }
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)sizeof head)
        return -1;
    return head.bytes > 0 ? send_all(socket, content->data, content->length) : 0;
}

static int wait_for(int socket, ht_message_patience patience, void *arg)
{
    struct pollfd wanted = {.fd = socket, .events = POLLIN};
    for (;;) {
        int ready = poll(&wanted, 1, STEP_MS);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return -1;
        if (ready == 0 && patience != NULL && patience(arg) != 0) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

// Some bytes, with the file that comes with them.
static ssize_t receive_some(int socket, char *bytes, size_t length, int *ret_file)
{
    union control control = {0};
    struct iovec part = {bytes, length};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *first = got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (first != NULL && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS &&
        first->cmsg_len >= CMSG_LEN(sizeof(int))) {
        if (*ret_file >= 0)
            close(*ret_file);
        memcpy(ret_file, CMSG_DATA(first), sizeof *ret_file);
    }
    return got;
}

static int receive_all(int socket, char *bytes, size_t length, int *ret_file, ht_message_patience patience,
                       void *arg)
{
    for (size_t done = 0; done < length;) {
        if (patience != NULL && wait_for(socket, patience, arg) < 0)
            return -1;
        ssize_t got = receive_some(socket, bytes + done, length - done, ret_file);
        if (got == 0)
            errno = EPIPE;
        if (got == 0 || (got < 0 && errno != EINTR))
            return -1;
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

int ht_message_receive(int socket, ht_message_patience patience, void *arg, struct ht_message *ret_message)
{
    struct head head;
    struct ht_message message = {.file = -1};
    int result = receive_all(socket, (char *)&head, sizeof head, &message.file, patience, arg);
    if (result == 0 && (head.type >= HT_MESSAGE_TYPES || head.bytes > HT_MESSAGE_LIMIT_BYTES)) {
        errno = EPROTO;
        result = -1;
    }
    // Memory is taken as bytes come, not as they are promised.
    for (uint64_t done = 0; result == 0 && done < head.bytes;) {
        enum { PIECE = 1 << 20 };
        size_t piece = head.bytes - done < PIECE ? (size_t)(head.bytes - done) : PIECE;
        HT_RESERVE(message.content.data, message.content.capacity, done + piece + 1);
        result = receive_all(socket, message.content.data + done, piece, &message.file, patience, arg);
        done += piece;
        message.content.length = (size_t)done;
        message.content.data[done] = '\0';
    }
    message.type = head.type;
    if (result == 0)
        *ret_message = message;
    else
        ht_message_free(&message);
    return result;
}

void ht_message_free(struct ht_message *message)
{
    int error = errno;
    if (message->file >= 0)
        close(message->file);
    ht_buffer_free(&message->content);
    *message = (struct ht_message){.file = -1};
    errno = error;
}

void ht_message_put_number(struct ht_buffer *content, uint64_t number)
{
    ht_buffer_add(content, &number, sizeof number);
}

void ht_message_put_text(struct ht_buffer *content, const char *text)
{
    const char *given = text != NULL ? text : "";
    ht_buffer_add(content, given, strlen(given) + 1);
}

const void *ht_message_bytes(struct ht_message *message, size_t bytes)
{
    if (bytes > ht_message_rest(message) || message->content.data == NULL) {
        message->is_bad = true;
        return NULL;
    }
    const char *at = message->content.data + message->at;
    message->at += bytes;
    return at;
}

uint64_t ht_message_number(struct ht_message *message)
{
    uint64_t number = 0;
    const void *bytes = ht_message_bytes(message, sizeof number);
    if (bytes != NULL)
        memcpy(&number, bytes, sizeof number);
    return number;
}

const char *ht_message_text(struct ht_message *message)
{
    size_t rest = ht_message_rest(message);
    const char *at = rest > 0 ? message->content.data + message->at : NULL;
    const char *end = rest > 0 ? memchr(at, '\0', rest) : NULL;
    if (end == NULL) {
        message->is_bad = true;
        return "";
    }
    message->at += (size_t)(end - at) + 1;
    return at;
}
