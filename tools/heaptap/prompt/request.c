// What a line of the prompt asks for: a report with its options and expressions, or a new value of a setting.
// Nothing is opened, started or written here.
#include "prompt/prompt.h"

#include <ctype.h>
#include <stdlib.h>

// One of several expressions of a line joined to those before it.
static void join(struct ht_prompt *prompt, const char **expressions, const char *more)
{
    char *joined = *expressions != NULL && **expressions != '\0' ? ht_format("%s|%s", *expressions, more)
                                                                 : ht_strdup(more);
    *expressions = ht_arena_copy(&prompt->texts, joined, strlen(joined));
    free(joined);
}

// "--name", "--name=value", "--name value" and those with one dash that cannot mean "without these
// functions". Returns 1 if the word is an option, 0 if not, -1 after an error.
static int take_option(struct ht_prompt *prompt, struct ht_prompt_request *request,
                       const struct ht_prompt_line *line, size_t *position)
{
    const struct ht_prompt_word *word = &line->words[*position];
    bool two_dashes = word->text[0] == '-' && word->text[1] == '-';
    const char *name = word->text + 1 + two_dashes;
    if (word->is_quoted || word->text[0] != '-')
        return 0;
    size_t length = strcspn(name, "=");
    if (strcmp(name, "o") == 0 && *position + 1 < line->count) {
        request->settings.output = line->words[++*position].text;
        return 1;
    }
    if (!two_dashes && name[0] == 'n' && (name[1] != '\0' || *position + 1 < line->count)) { // -n5, -n 5
        const char *digits = name[1] != '\0' ? name + 1 : line->words[*position + 1].text;
        if (ht_parse_int(digits, &request->settings.view.node_count) == 0) {
            *position += name[1] == '\0';
            return 1;
        }
    }
    const struct ht_option *option = ht_prompt_option(name, length);
    bool has_value = name[length] == '=', needs_value = option != NULL && !ht_prompt_stands_alone(option);
    if (!two_dashes && (option == NULL || (needs_value && !has_value)))
        return 0;
    char *assignment = ht_strdup(name);
    if (two_dashes && needs_value && !has_value && *position + 1 < line->count) {
        free(assignment);
        assignment = ht_format("%s=%s", name, line->words[++*position].text);
    }
    int result = ht_prompt_set(prompt, &request->settings, assignment);
    free(assignment);
    return result < 0 ? -1 : 1;
}

static int take_word(struct ht_prompt *prompt, struct ht_prompt_request *request,
                     const struct ht_prompt_line *line, size_t *position)
{
    const struct ht_prompt_word *word = &line->words[*position];
    int64_t number;
    int taken = take_option(prompt, request, line, position);
    if (taken != 0) {
        prompt->has_failed = prompt->has_failed || taken < 0;
        return taken < 0 ? -1 : 0;
    }
    if (word->text[0] == '>' && !(word->is_quoted && word->text[1] == '\0')) {
        const char *file = word->text + 1;
        if (*file == '\0' && *position + 1 == line->count)
            return ht_prompt_fail(prompt, "name a file behind '>'");
        request->settings.output = *file != '\0' ? file : line->words[++*position].text;
    } else if (!word->is_quoted && ht_parse_int(word->text, &number) == 0) {
        request->settings.view.node_count = number;
    } else if (word->text[0] == '-') {
        join(prompt, &request->ignore, word->text + 1);
    } else {
        join(prompt, &request->focus, word->text);
    }
    return 0;
}

int ht_prompt_read_request(struct ht_prompt *prompt, const struct ht_prompt_line *line,
                           struct ht_prompt_request *request)
{
    enum { SHORT_TABLE = 10 };
    const char *name = request->kind->name;
    size_t next = 1;
    if ((request->kind->flags & HT_REPORT_EXPRESSION) && next < line->count)
        request->expression = line->words[next++].text;
    else if ((request->kind->flags & HT_REPORT_EXPRESSION) && !(request->kind->flags & HT_REPORT_OPTIONAL))
        return ht_prompt_fail(prompt, "name a regular expression: %s RE", name);
    for (; next < line->count; next++)
        if (take_word(prompt, request, line, &next) < 0)
            return -1;
    struct ht_filter *filter = &request->settings.view.filter;
    bool by_tags = strcmp(name, "tags") == 0;
    if (request->focus != NULL)
        *(by_tags ? &filter->tag_focus : &filter->focus) = request->focus;
    if (request->ignore != NULL)
        *(by_tags ? &filter->tag_ignore : &filter->ignore) = request->ignore;
    if (request->settings.view.node_count == -1 && (strcmp(name, "top") == 0 || strcmp(name, "text") == 0))
        request->settings.view.node_count = SHORT_TABLE;
    return 0;
}

const struct ht_report_kind *ht_prompt_find_report(const char *word, int64_t *ret_number)
{
    const struct ht_report_kind *kind = ht_report_find(word);
    size_t length = strlen(word);
    if (kind != NULL)
        return kind;
    while (length > 0 && isdigit((unsigned char)word[length - 1]))
        length--;
    char *name = ht_format("%.*s", (int)length, word);
    if (word[length] != '\0' && ht_parse_int(word + length, ret_number) == 0)
        kind = ht_report_find(name);
    free(name);
    return kind;
}

bool ht_prompt_assign(struct ht_prompt *prompt, const char *text)
{
    const char *sign = strchr(text, '=');
    size_t length = sign != NULL ? (size_t)(sign - text) : 0;
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    if (length == 0 || memchr(text, ' ', length) != NULL || !ht_prompt_knows(text, length))
        return false;
    const char *value = sign + 1, *comment = strstr(value, "//:");
    value += strspn(value, " \t");
    size_t value_length = comment != NULL && comment >= value ? (size_t)(comment - value) : strlen(value);
    while (value_length > 0 && isspace((unsigned char)value[value_length - 1]))
        value_length--;
    char *assignment = ht_format("%.*s=%.*s", (int)length, text, (int)value_length, value);
    prompt->has_failed = ht_prompt_set(prompt, &prompt->settings, assignment) < 0 || prompt->has_failed;
    free(assignment);
    return true;
}
