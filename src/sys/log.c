// The log: whole lines, written with one system call each.
#include "sys/log.h"

#include "sys/fmt.h"
#include "sys/io.h"
#include "sys/raw.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct ht_log_settings {
    enum ht_log_where where;
    bool verbose;
    bool stderr_known;
    dev_t stderr_device;
    ino_t stderr_inode;
    char path[1024];
};

static struct ht_log_settings ht_log_settings;

static bool ht_stderr_identity(dev_t *ret_device, ino_t *ret_inode)
{
    struct stat status;
    if (ht_raw2(SYS_fstat, 2, (long)&status) != 0) {
        return false;
    }
    *ret_device = status.st_dev;
    *ret_inode = status.st_ino;
    return true;
}

void ht_log_setup(enum ht_log_where where, const char *path, bool verbose)
{
    struct ht_log_settings *settings = &ht_log_settings;
    settings->where = where;
    settings->verbose = verbose;
    settings->stderr_known = ht_stderr_identity(&settings->stderr_device, &settings->stderr_inode);
    struct ht_text text = ht_text_init(settings->path, sizeof settings->path);
    ht_text_add(&text, path != NULL ? path : "");
    if (where == HT_LOG_FILE && (text.cut || text.length == 0)) {
        settings->where = HT_LOG_STDERR;
    }
}

// A line is not worth waiting for: whoever should read the pipe may never do so.
static bool ht_log_takes_a_line(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT, .revents = 0};
    struct timespec at_once = {0, 0};
    return ht_raw6(SYS_ppoll, (long)&wanted, 1, (long)&at_once, 0, 0, 0) != 0; // an error: try
}

static void ht_log_line(const char *line, size_t length)
{
    const struct ht_log_settings *settings = &ht_log_settings;
    struct ht_io_guard guard;
    ht_io_guard_begin(&guard);
    if (settings->where == HT_LOG_FILE) {
        int fd = ht_io_open(HT_IO_CWD, settings->path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK,
                            0600);
        if (fd >= 0) {
            ht_io_write(fd, line, length);
            ht_io_close(fd);
        }
    } else if (settings->where == HT_LOG_STDERR && settings->stderr_known) {
        dev_t device;
        ino_t inode;
        if (ht_stderr_identity(&device, &inode) && device == settings->stderr_device &&
            inode == settings->stderr_inode && ht_log_takes_a_line(2)) {
            ht_io_write(2, line, length);
        }
    }
    ht_io_guard_end(&guard);
}

// Names may hold anything; a line stays one line.
static void ht_log_add(struct ht_text *text, const char *words)
{
    for (; *words != '\0'; words++) {
        ht_text_add_char(text, (unsigned char)*words < ' ' || *words == 0x7f ? '?' : *words);
    }
}

static void ht_log_compose(const char *what, const char *object, int error)
{
    char line[1536];
    struct ht_text text = ht_text_init(line, sizeof line - 1); // the newline always fits
    ht_text_add(&text, "heaptap: ");
    ht_log_add(&text, what);
    if (object != NULL) {
        ht_text_add(&text, ": ");
        ht_log_add(&text, object);
    }
    if (error != 0) {
        ht_text_add(&text, ": ");
        ht_text_add(&text, ht_io_reason(error));
        ht_text_add(&text, " (errno ");
        ht_text_add_u64(&text, (uint64_t)(error < 0 ? -(int64_t)error : error));
        ht_text_add_char(&text, ')');
    }
    line[text.length] = '\n';
    ht_log_line(line, text.length + 1);
}

void ht_log_error(const char *what, const char *object, int error)
{
    if (ht_log_settings.where != HT_LOG_NONE) {
        ht_log_compose(what, object, error);
    }
}

void ht_log_note(const char *what, const char *object)
{
    if (ht_log_settings.verbose && ht_log_settings.where != HT_LOG_NONE) {
        ht_log_compose(what, object, 0);
    }
}
