// Any bytes as a script of the prompt: its lines become words, settings and requests for reports, none of
// which is made. Settings change nothing of how profiles are loaded, and no file is open afterwards that was
// not before.
//
// An input is the script. Behind each line its beginnings are completed, as Tab would.
#include "base/error.h"
#include "base/text.h"
#include "prompt/prompt.h"

#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_LINES = 32, MOST_COMPLETIONS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

// In place of libc's: what is read here starts nothing.
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const *words, char *const *environment)
{
    (void)pid, (void)path, (void)actions, (void)attributes, (void)words, (void)environment;
    abort();
}

static int lowest_free(void)
{
    int fd = dup(0);
    must(fd >= 0 && close(fd) == 0);
    return fd;
}

static void must_be_shown(const char *text)
{
    must(ht_text_shown_length(text, strlen(text), "") == strlen(text));
}

static void complete(const struct ht_prompt *prompt, const char *line, size_t length)
{
    for (size_t i = 0; i <= MOST_COMPLETIONS; i++) {
        struct ht_prompt_choices choices;
        ht_prompt_complete(prompt, line, length * i / MOST_COMPLETIONS, &choices);
        must(choices.start <= length * i / MOST_COMPLETIONS);
        size_t common = ht_prompt_common(&choices);
        for (size_t choice = 0; choice < choices.count; choice++) {
            must(strlen(choices.items[choice]) >= common);
            must_be_shown(choices.items[choice]);
        }
        ht_prompt_choices_free(&choices);
    }
}

static void check_settings(const struct ht_prompt *prompt, const struct ht_report_settings *settings)
{
    const struct ht_load none = {0};
    size_t index;
    must(memcmp(&settings->load, &none, sizeof none) == 0);
    must(settings->view.granularity >= HT_BY_FUNCTIONS && settings->view.granularity <= HT_BY_ADDRESSES);
    must(settings->granularity == NULL && settings->sort == NULL && settings->sample_shorthand == 0);
    must(ht_profile_sample_index(prompt->profile, settings->view.sample_index, &index) == 0);
    must(index < prompt->profile->sample_type_count);
}

// What prompt.c does with a line, up to where a report would be made.
static void read_words(struct ht_prompt *prompt, const struct ht_prompt_line *line)
{
    int64_t number = -1;
    const char *word = line->count > 0 ? line->words[0].text : "|";
    struct ht_prompt_request request = {.kind = ht_prompt_find_report(word, &number),
                                        .settings = prompt->settings};
    if (request.kind == NULL) {
        if (line->count == 1 && !ht_prompt_select(prompt, word) &&
            ht_prompt_option(word, strlen(word)) != NULL) {
            ht_prompt_set(prompt, &prompt->settings, word);
        }
        return;
    }
    if (ht_prompt_read_request(prompt, line, &request) == 0) {
        check_settings(prompt, &request.settings);
    }
}

static void read_line(struct ht_prompt *prompt, const char *text)
{
    struct ht_prompt_line line;
    complete(prompt, text, strlen(text));
    if (!ht_prompt_assign(prompt, text)) {
        if (ht_prompt_split(text, &line) == 0) {
            read_words(prompt, &line);
            ht_prompt_line_free(&line);
        } else {
            must_be_shown(ht_error());
        }
    }
    check_settings(prompt, &prompt->settings);
}

static struct ht_profile *make_profile(void)
{
    struct ht_profile *profile = ht_profile_new();
    ht_profile_add_sample_type(profile, "alloc_space", "bytes");
    ht_profile_add_sample_type(profile, "a\033[2J\n=b", "by\ntes");
    ht_profile_add_sample_type(profile, "inuse_space", "bytes");
    return profile;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *names[] = {"", "a b|c", "main.\033[2J\n", "main.(*T).Run", "operator new"};
    static bool is_silent;
    if (!is_silent) {
        is_silent = freopen("/dev/null", "w", stdout) != NULL;
        stderr = fopen("/dev/null", "w");
        must(is_silent && stderr != NULL);
    }
    int before = lowest_free();
    struct ht_prompt prompt = {.profile = make_profile(),
                               .settings = HT_REPORT_SETTINGS_DEFAULT("prompt"),
                               .functions = names,
                               .function_count = sizeof names / sizeof *names};
    char *text = ht_alloc(size + 1), *next = text;
    memcpy(text, data, size);
    text[size] = '\0';
    for (unsigned lines = 0; next != NULL && lines < MOST_LINES; lines++) {
        char *line = next;
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        read_line(&prompt, line);
    }
    ht_prompt_print_options(&prompt);
    ht_cmd_tell_notes("prompt");
    must(lowest_free() == before);
    ht_arena_free(&prompt.texts);
    ht_profile_free(prompt.profile);
    free(text);
    return 0;
}
