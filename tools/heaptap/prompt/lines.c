// Lines for the prompt: from a script as they are, on a terminal with editing, completion and history
// (libedit).
#include "prompt/prompt.h"

#include "base/folders.h"
#include "base/terminal.h"
#include "view/text.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

static const char prompt_text[] = "(heaptap) ";

static struct {
    struct ht_prompt *prompt;
    bool is_prompted;
} input;

static volatile sig_atomic_t was_interrupted;
static int interrupts[2] = {-1, -1}; // a pipe: an interrupt just before a read wakes it as well

static void note_interrupt(int signal)
{
    (void)signal;
    int saved_errno = errno;
    was_interrupted = 1;
    ssize_t written = write(interrupts[1], "", 1);
    (void)written; // full: somebody will be woken anyhow
    errno = saved_errno;
}

// Without SA_RESTART: a read ends, and the line with it.
static void catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = note_interrupt};
    if (pipe2(interrupts, O_CLOEXEC | O_NONBLOCK) < 0)
        return;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

static char *read_plain(void)
{
    char *line = NULL;
    size_t capacity = 0;
    if (input.is_prompted)
        fputs(prompt_text, stderr);
    errno = 0;
    ssize_t length = getline(&line, &capacity, stdin);
    if (length < 0) {
        free(line);
        bool goes_on = was_interrupted && !feof(stdin);
        was_interrupted = 0;
        clearerr(stdin);
        if (input.is_prompted)
            fputc('\n', stderr);
        return goes_on ? ht_strdup("") : NULL;
    }
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        line[--length] = '\0';
    return line;
}

#ifdef HT_HAVE_LIBEDIT

#include <histedit.h>

enum { HISTORY_LINES = 1000 };

static struct {
    EditLine *line;
    History *history;
    char *path; // of the file, NULL: nowhere
} editor;

static char *prompt_of(EditLine *line)
{
    (void)line;
    static char text[] = "(heaptap) ";
    return text;
}

// One character; -1 when the line is interrupted, 0 at the end.
static int read_character(EditLine *line, wchar_t *ret_character)
{
    (void)line;
    mbstate_t state = {0};
    for (;;) {
        char byte;
        struct pollfd sources[2] = {{.fd = interrupts[0], .events = POLLIN},
                                    {.fd = STDIN_FILENO, .events = POLLIN}};
        if (poll(sources, 2, -1) < 0 && errno == EINTR)
            continue;
        if (sources[0].revents & POLLIN) {
            while (read(interrupts[0], &byte, 1) > 0)
                ;
            was_interrupted = 1;
            return -1;
        }
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        size_t length = mbrtowc(ret_character, &byte, 1, &state);
        if (length == (size_t)-2)
            continue;
        if (length == (size_t)-1) { // not UTF-8: left out
            memset(&state, 0, sizeof state);
            continue;
        }
        return 1;
    }
}

static void print_choices(const struct ht_prompt_choices *choices)
{
    enum { MOST = 200 };
    size_t widest = 0, shown = choices->count < MOST ? choices->count : MOST;
    for (size_t i = 0; i < shown; i++) {
        size_t width = ht_text_characters(choices->items[i], strlen(choices->items[i]));
        widest = width > widest ? width : widest;
    }
    int columns = ht_terminal_of(STDOUT_FILENO).columns;
    size_t in_row = columns > 0 && widest + 2 < (size_t)columns ? (size_t)columns / (widest + 2) : 1;
    size_t rows = (shown + in_row - 1) / in_row;
    putchar('\n');
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = row; i < shown; i += rows) {
            size_t width = ht_text_characters(choices->items[i], strlen(choices->items[i]));
            printf("%s%*s", choices->items[i], i + rows < shown ? (int)(widest + 2 - width) : 0, "");
        }
        putchar('\n');
    }
    if (shown < choices->count)
        printf("(and %zu more)\n", choices->count - shown);
    fflush(stdout);
}

// The key Tab: puts in what is certain, else shows what is possible.
static unsigned char complete(EditLine *line, int key)
{
    (void)key;
    const LineInfo *info = el_line(line);
    size_t length = (size_t)(info->cursor - info->buffer);
    struct ht_prompt_choices choices;
    ht_prompt_complete(input.prompt, info->buffer, length, &choices);
    size_t common = ht_prompt_common(&choices), typed = length - choices.start;
    const char *word = info->buffer + choices.start;
    bool is_certain = choices.count == 1;
    bool is_longer = common > typed || (is_certain && strncmp(choices.items[0], word, typed) != 0);
    unsigned char result = CC_REFRESH;
    if (choices.count == 0 || (is_certain && !is_longer && strncmp(choices.items[0], word, typed) != 0)) {
        result = CC_REFRESH_BEEP;
    } else if (is_longer || is_certain) {
        struct ht_buffer text = {0};
        ht_buffer_add(&text, choices.items[0], common);
        if (is_certain && common > 0 && text.data[common - 1] != '=')
            ht_buffer_byte(&text, ' ');
        int characters = (int)ht_text_characters(word, typed);
        if (characters > 0)
            el_deletestr(line, characters);
        el_insertstr(line, text.data);
        ht_buffer_free(&text);
    } else {
        print_choices(&choices);
        result = CC_REDISPLAY;
    }
    ht_prompt_choices_free(&choices);
    return result;
}

static FILE *open_history(const char *path, int flags, const char *mode)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat status;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid()) {
        close(fd);
        return NULL;
    }
    if ((status.st_mode & 0777) != 0600)
        fchmod(fd, 0600);
    FILE *file = fdopen(fd, mode);
    if (file == NULL)
        close(fd);
    return file;
}

// Leaves the newest lines in a file that has grown to twice the limit.
static void shorten_history(char *const *lines, size_t count)
{
    char *temporary = ht_format("%s.%ld", editor.path, (long)getpid());
    FILE *file = open_history(temporary, O_WRONLY | O_CREAT | O_EXCL, "w");
    for (size_t i = count - HISTORY_LINES; file != NULL && i < count; i++)
        fprintf(file, "%s\n", lines[i]);
    bool is_whole = file != NULL && !ferror(file);
    if (file != NULL && (fclose(file) != 0 || !is_whole || rename(temporary, editor.path) != 0))
        unlink(temporary);
    free(temporary);
}

static void load_history(void)
{
    FILE *file = editor.path != NULL ? open_history(editor.path, O_RDONLY, "r") : NULL;
    char **lines = NULL, *line = NULL;
    size_t count = 0, capacity = 0, room = 0;
    HistEvent event;
    while (file != NULL && getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        HT_RESERVE(lines, capacity, count + 1);
        lines[count++] = ht_strdup(line);
    }
    if (file != NULL)
        fclose(file);
    for (size_t i = count > HISTORY_LINES ? count - HISTORY_LINES : 0; i < count; i++)
        history(editor.history, &event, H_ENTER, lines[i]);
    if (count > 2 * HISTORY_LINES)
        shorten_history(lines, count);
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
    free(line);
}

// Each line at once: a prompt that is killed keeps its history.
static void remember(const char *line)
{
    HistEvent event;
    if (line[strspn(line, " \t")] == '\0')
        return;
    history(editor.history, &event, H_ENTER, line);
    FILE *file = editor.path != NULL ? open_history(editor.path, O_WRONLY | O_APPEND | O_CREAT, "a") : NULL;
    if (file == NULL)
        return;
    fprintf(file, "%s\n", line);
    fclose(file);
}

static bool start_editor(void)
{
    HistEvent event;
    setlocale(LC_CTYPE, "C.UTF-8");
    editor.line = el_init("heaptap", stdin, stdout, stderr);
    if (editor.line == NULL)
        return false;
    editor.history = history_init();
    history(editor.history, &event, H_SETSIZE, HISTORY_LINES);
    history(editor.history, &event, H_SETUNIQUE, 1);
    editor.path = ht_folders_of_user("XDG_STATE_HOME", ".local/state", "heaptap/history");
    if (editor.path != NULL)
        ht_folders_make_above(editor.path);
    load_history();
    el_set(editor.line, EL_PROMPT, prompt_of);
    el_set(editor.line, EL_EDITOR, "emacs");
    el_set(editor.line, EL_HIST, history, editor.history);
    el_set(editor.line, EL_ADDFN, "heaptap-complete", "complete a word", complete);
    el_set(editor.line, EL_BIND, "^I", "heaptap-complete", NULL);
    el_set(editor.line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(editor.line, EL_GETCFN, read_character);
    el_source(editor.line, NULL);
    return true;
}

static char *read_edited(void)
{
    int length = 0;
    was_interrupted = 0;
    el_resize(editor.line);
    const char *got = el_gets(editor.line, &length);
    if (got == NULL || length <= 0) {
        bool goes_on = was_interrupted;
        was_interrupted = 0;
        putchar('\n');
        fflush(stdout);
        return goes_on ? ht_strdup("") : NULL;
    }
    char *line = ht_strdup(got);
    line[strcspn(line, "\r\n")] = '\0';
    remember(line);
    return line;
}

static void end_editor(void)
{
    if (editor.line == NULL)
        return;
    history_end(editor.history);
    el_end(editor.line);
    free(editor.path);
    memset(&editor, 0, sizeof editor);
}

static bool is_edited(void)
{
    return editor.line != NULL;
}

#else

static bool start_editor(void)
{
    return false;
}

static char *read_edited(void)
{
    return NULL;
}

static void end_editor(void)
{
}

static bool is_edited(void)
{
    return false;
}

#endif

void ht_prompt_input_start(struct ht_prompt *prompt)
{
    input.prompt = prompt;
    if (!prompt->is_terminal)
        return;
    catch_interrupts();
    input.is_prompted = !(isatty(STDOUT_FILENO) == 1 && start_editor());
}

char *ht_prompt_input_next(void)
{
    return is_edited() ? read_edited() : read_plain();
}

void ht_prompt_input_end(void)
{
    end_editor();
    memset(&input, 0, sizeof input);
}
