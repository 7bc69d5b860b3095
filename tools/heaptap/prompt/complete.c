// What a word at the prompt could become: commands, options, their values, functions of the profile.
#include "prompt/prompt.h"

#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>

const char *const ht_prompt_own_words[] = {"help", "options", "quit", "exit", NULL};

static void add(struct ht_prompt_choices *choices, const char *before, const char *text, const char *behind)
{
    struct ht_buffer shown = {0};
    ht_buffer_text(&shown, before);
    ht_text_show(&shown, text, strlen(text), "");
    ht_buffer_text(&shown, behind);
    HT_RESERVE(choices->items, choices->capacity, choices->count + 1);
    choices->items[choices->count++] = shown.data;
}

static void add_if(struct ht_prompt_choices *choices, const char *word, size_t length, const char *text,
                   const char *behind)
{
    if (strncmp(text, word, length) == 0)
        add(choices, "", text, behind);
}

static void add_commands(struct ht_prompt_choices *choices, const char *word, size_t length)
{
    for (const struct ht_report_kind *kind = ht_reports; kind->name != NULL; kind++)
        add_if(choices, word, length, kind->name, "");
    for (const char *const *own = ht_prompt_own_words; *own != NULL; own++)
        add_if(choices, word, length, *own, "");
}

// Option names, spelled with `dash` between their words, behind `before`.
static void add_options(struct ht_prompt_choices *choices, const char *before, const char *word,
                        size_t length, char dash, bool with_sign)
{
    for (const struct ht_option *option = ht_options_report; option->name != NULL; option++) {
        char name[64];
        snprintf(name, sizeof name, "%s", option->name);
        bool is_word = strcmp(name, "granularity") == 0 || strcmp(name, "sort") == 0; // beside lines, cum ...
        if ((option->help == NULL && !is_word) || ht_prompt_option(name, strlen(name)) == NULL)
            continue;
        for (char *at = name; *at != '\0'; at++)
            *at = *at == '-' ? dash : *at;
        if (strncmp(name, word, length) == 0)
            add(choices, before, name, with_sign && !ht_prompt_stands_alone(option) ? "=" : "");
    }
}

static void add_types(struct ht_prompt_choices *choices, const struct ht_profile *profile, const char *word,
                      size_t length)
{
    for (size_t i = 0; i < profile->sample_type_count; i++)
        add_if(choices, word, length, ht_profile_text(profile, profile->sample_types[i].type), "");
}

// As an expression that matches the name: a word of the prompt holds no blanks.
static char *quoted(const char *name)
{
    struct ht_buffer out = {0};
    for (; *name != '\0'; name++) {
        if (strchr("()[]{}*+?|^$\\", *name) != NULL)
            ht_buffer_byte(&out, '\\');
        ht_buffer_byte(&out, *name == ' ' ? '.' : *name);
    }
    ht_buffer_text(&out, "");
    return out.data;
}

// Functions that begin with the word; if there are none, those that contain it.
static void add_functions(struct ht_prompt_choices *choices, const struct ht_prompt *prompt,
                          const char *before, const char *word, size_t length)
{
    char *wanted = ht_format("%.*s", (int)length, word);
    for (int anywhere = 0; anywhere < 2 && choices->count == 0; anywhere++)
        for (size_t i = 0; i < prompt->function_count; i++) {
            const char *name = prompt->functions[i];
            char *expression = quoted(name);
            if (anywhere ? strstr(name, wanted) != NULL
                         : strncmp(name, wanted, length) == 0 || strncmp(expression, wanted, length) == 0)
                add(choices, before, expression, "");
            free(expression);
        }
    free(wanted);
}

static bool takes_function(const struct ht_option *option)
{
    static const char *const names[] = {"focus", "ignore", "hide", "show", "show-from", "prune-from"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(option->name, names[i]) == 0)
            return true;
    return false;
}

static void add_values(struct ht_prompt_choices *choices, const struct ht_prompt *prompt,
                       const struct ht_option *option, const char *word, size_t length)
{
    static const char *const units[] = {"auto", "minimum", "B", "kB", "MB", "GB", "ns", "us", "ms", "s"};
    if (strcmp(option->name, "sample-index") == 0)
        add_types(choices, prompt->profile, word, length);
    else if (strcmp(option->name, "granularity") == 0)
        for (int i = HT_BY_FUNCTIONS; i <= HT_BY_ADDRESSES; i++)
            add_if(choices, word, length, ht_granularity_names[i], "");
    else if (strcmp(option->name, "sort") == 0)
        add_if(choices, word, length, "cum", ""), add_if(choices, word, length, "flat", "");
    else if (strcmp(option->name, "unit") == 0)
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
            add_if(choices, word, length, units[i], "");
    else if (option->kind == HT_OPT_FLAG)
        add_if(choices, word, length, "true", ""), add_if(choices, word, length, "false", "");
    else if (takes_function(option))
        add_functions(choices, prompt, "", word, length);
}

static bool is_report(const char *name, size_t length)
{
    char word[32];
    while (length > 0 && isdigit((unsigned char)name[length - 1])) // top10
        length--;
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    return ht_report_find(word) != NULL;
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void sort_once(struct ht_prompt_choices *choices)
{
    size_t kept = 0;
    if (choices->count > 0)
        qsort(choices->items, choices->count, sizeof *choices->items, compare_texts);
    for (size_t i = 0; i < choices->count; i++) {
        if (kept > 0 && strcmp(choices->items[kept - 1], choices->items[i]) == 0)
            free(choices->items[i]);
        else
            choices->items[kept++] = choices->items[i];
    }
    choices->count = kept;
}

void ht_prompt_complete(const struct ht_prompt *prompt, const char *text, size_t length,
                        struct ht_prompt_choices *ret_choices)
{
    struct ht_prompt_choices choices = {0};
    size_t first = 0;
    while (first < length && (text[first] == ' ' || text[first] == '\t'))
        first++;
    const char *blank = memchr(text + first, ' ', length - first),
               *sign = memchr(text + first, '=', length - first);
    size_t end_of_first = blank != NULL ? (size_t)(blank - text) : length, start = length;
    while (start > first && text[start - 1] != ' ' && text[start - 1] != '\t')
        start--;
    const struct ht_option *option = sign != NULL && sign < text + end_of_first
                                         ? ht_prompt_option(text + first, (size_t)(sign - text) - first)
                                         : NULL;
    const char *word = text + start;
    size_t word_length = length - start;
    choices.start = start;
    if (option != NULL) {
        choices.start = (size_t)(sign + 1 - text);
        add_values(&choices, prompt, option, sign + 1, length - choices.start);
    } else if (blank == NULL) {
        add_commands(&choices, word, word_length);
        add_options(&choices, "", word, word_length, '_', true);
        add_types(&choices, prompt->profile, word, word_length);
    } else if (end_of_first - first == 4 && strncmp(text + first, "help", 4) == 0) {
        add_commands(&choices, word, word_length);
        add_options(&choices, "", word, word_length, '_', false);
    } else if (is_report(text + first, end_of_first - first) && memchr(text, '|', length) == NULL) {
        if (word_length >= 2 && word[0] == '-' && word[1] == '-')
            add_options(&choices, "--", word + 2, word_length - 2, '-', true);
        else if (word_length >= 1 && word[0] == '-')
            add_functions(&choices, prompt, "-", word + 1, word_length - 1);
        else
            add_functions(&choices, prompt, "", word, word_length);
    }
    sort_once(&choices);
    *ret_choices = choices;
}

size_t ht_prompt_common(const struct ht_prompt_choices *choices)
{
    size_t length = choices->count > 0 ? strlen(choices->items[0]) : 0;
    for (size_t i = 1; i < choices->count; i++) {
        size_t same = 0;
        while (same < length && choices->items[i][same] == choices->items[0][same])
            same++;
        length = same;
    }
    while (length > 0 && ((unsigned char)choices->items[0][length] & 0xc0) == 0x80)
        length--; // not inside a character
    return length;
}

void ht_prompt_choices_free(struct ht_prompt_choices *choices)
{
    for (size_t i = 0; i < choices->count; i++)
        free(choices->items[i]);
    free(choices->items);
    memset(choices, 0, sizeof *choices);
}
