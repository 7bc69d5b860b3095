// Any words as the command line of any command: parsing stores what the words say or fails with one line, and
// what was stored points into the words or is a number within its bounds.
//
// An input is a byte that names the row of the table of commands, and words that each end with a NUL.
#include "base/error.h"
#include "base/text.h"
#include "cmd/report.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_WORDS = 64, SETTINGS_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct line {
    char *texts, *end;
    char *words[MOST_WORDS + 1];
    int count;
};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool is_of(const struct line *line, const char *text)
{
    return text >= line->texts && text < line->end;
}

static void check_value(const struct line *line, const struct ht_option *option, char *settings)
{
    const char *at = settings + option->offset;
    switch (option->kind) {
    case HT_OPT_FLAG:
        must(*(const unsigned char *)at <= 1);
        break;
    case HT_OPT_STRING: {
        const char *text = *(const char *const *)(const void *)at;
        must(text == NULL || is_of(line, text));
        break;
    }
    case HT_OPT_LIST: {
        struct ht_strings *list = (struct ht_strings *)(void *)(settings + option->offset);
        for (size_t i = 0; i < list->count; i++) {
            must(is_of(line, list->items[i]));
        }
        free(list->items);
        *list = (struct ht_strings){0};
        break;
    }
    case HT_OPT_NUMBER:
        must(isfinite(*(const double *)(const void *)at));
        break;
    case HT_OPT_SIZE:
    case HT_OPT_DURATION:
        must(*(const uint64_t *)(const void *)at <= INT64_MAX);
        break;
    default:
        break;
    }
}

static void check_error(void)
{
    const char *text = ht_error();
    must(text[0] != '\0' && ht_text_shown_length(text, strlen(text), "") == strlen(text));
}

static void parse_words(const struct ht_command *command, struct line *line, void *settings)
{
    struct ht_operands operands = {0};
    bool help = false;
    int result = ht_options_parse(command->options, command->mode, line->count, line->words, settings,
                                  &operands, &help);
    if (result != 0) {
        check_error();
    }
    must(operands.count >= 0 && operands.count < line->count);
    for (int i = 0; i < operands.count; i++) {
        must(is_of(line, operands.items[i]));
    }
}

static void parse(const struct ht_command *command, struct line *line)
{
    static union {
        char bytes[SETTINGS_BYTES];
        void *aligned;
    } settings;
    memset(&settings, 0, sizeof settings);
    parse_words(command, line, &settings);
    for (const struct ht_option *option = command->options; option->name != NULL; option++) {
        must(option->offset + sizeof(struct ht_strings) <= sizeof settings);
        check_value(line, option, settings.bytes);
    }
}

// A report's words for people.
static void interpret(struct line *line)
{
    struct ht_report_settings settings = HT_REPORT_SETTINGS_DEFAULT("top");
    struct ht_operands operands;
    bool help = false;
    if (ht_options_parse(ht_options_report, HT_PARSE_ANYWHERE, line->count, line->words, &settings, &operands,
                         &help) == 0 &&
        !help && ht_report_interpret(&settings) == HT_PARSED) {
        must(settings.view.granularity >= HT_BY_FUNCTIONS && settings.view.granularity <= HT_BY_ADDRESSES);
        must(settings.load.input.seconds >= 0 && settings.load.input.seconds <= INT32_MAX);
    }
    free(settings.load.bases.items);
    free(settings.load.diff_bases.items);
    ht_cmd_tell_notes("top");
}

static void read_units(struct line *line)
{
    uint64_t bytes = 0, ns = 0;
    int64_t whole = 0;
    double number = 0;
    for (int i = 1; i < line->count; i++) {
        must(ht_parse_size(line->words[i], &bytes) != 0 || bytes <= INT64_MAX);
        must(ht_parse_duration(line->words[i], &ns) != 0 || ns <= INT64_MAX);
        must(ht_parse_number(line->words[i], &number) != 0 || isfinite(number));
        ht_parse_int(line->words[i], &whole);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char name[] = "heaptap";
    size_t commands = 0, row = size > 0 ? data[0] : 0;
    if (stderr == NULL || size == 0) {
        return 0;
    }
    static FILE *nowhere;
    if (nowhere == NULL) {
        stderr = nowhere = fopen("/dev/null", "w");
        must(nowhere != NULL);
    }
    while (ht_commands[commands] != NULL) {
        commands++;
    }
    struct line line = {.texts = ht_alloc(size), .words = {name}, .count = 1};
    line.end = line.texts + size;
    memcpy(line.texts, data + 1, size - 1);
    line.texts[size - 1] = '\0';
    for (char *at = line.texts; at < line.end && line.count < MOST_WORDS; at += strlen(at) + 1) {
        line.words[line.count++] = at;
    }
    struct line again = line;
    parse(ht_commands[row % commands], &line);
    interpret(&again);
    read_units(&line);
    free(line.texts);
    return 0;
}
