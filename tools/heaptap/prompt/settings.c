// The prompt's settings: reads, checks and prints them by the names of the command line's options.
#include "prompt/prompt.h"

#include "base/regex.h"

#include <inttypes.h>
#include <stdlib.h>

// What belongs to loading is settled when the prompt opens.
static bool is_of_loading(const struct ht_option *option)
{
    size_t load = offsetof(struct ht_report_settings, load);
    return option->offset >= load && option->offset < load + sizeof(struct ht_load);
}

static const struct ht_option *find(const char *name, size_t length)
{
    for (const struct ht_option *option = ht_options_report; option->name != NULL; option++) {
        size_t i = 0;
        while (i < length && option->name[i] != '\0' && option->name[i] == (name[i] == '_' ? '-' : name[i]))
            i++;
        if (i == length && option->name[i] == '\0' && option->kind != HT_OPT_HEADING)
            return option;
    }
    return NULL;
}

const struct ht_option *ht_prompt_option(const char *name, size_t length)
{
    const struct ht_option *option = find(name, length);
    return option == NULL || is_of_loading(option) ? NULL : option;
}

bool ht_prompt_knows(const char *name, size_t length)
{
    return find(name, length) != NULL;
}

bool ht_prompt_stands_alone(const struct ht_option *option)
{
    return option->kind == HT_OPT_FLAG || option->kind == HT_OPT_SET;
}

static bool is_member(const struct ht_option *option, size_t offset)
{
    return option->offset == offset;
}

#define AT(member) offsetof(struct ht_report_settings, member)

// Expressions are compiled here, so that a mistake shows at once.
static int check(const struct ht_prompt *prompt, const struct ht_report_settings *settings)
{
    const struct ht_filter *filter = &settings->view.filter;
    const char *expressions[] = {filter->focus,     filter->ignore,     filter->hide,     filter->show,
                                 filter->show_from, filter->prune_from, filter->tag_show, filter->tag_hide};
    for (size_t i = 0; i < sizeof expressions / sizeof expressions[0]; i++) {
        struct ht_regex *regex;
        if (expressions[i] == NULL || expressions[i][0] == '\0')
            continue;
        if (ht_regex_compile(expressions[i], &regex) < 0)
            return -1;
        ht_regex_free(regex);
    }
    size_t index;
    return ht_profile_sample_index(prompt->profile, settings->view.sample_index, &index);
}

// Words for people become values, and the words are forgotten: the next one counts anew.
static int settle(struct ht_prompt *prompt, struct ht_report_settings *settings)
{
    if (ht_report_interpret(settings) != HT_PARSED)
        return -1;
    settings->granularity = settings->sort = NULL;
    settings->sample_shorthand = 0;
    settings->mean_delay = false;
    if (check(prompt, settings) < 0) {
        ht_cmd_error(settings->command, "%s", ht_error());
        return -1;
    }
    return 0;
}

int ht_prompt_set(struct ht_prompt *prompt, struct ht_report_settings *settings, const char *assignment)
{
    size_t length = strcspn(assignment, "=");
    const char *command = settings->command;
    const struct ht_option *option = find(assignment, length);
    if (option != NULL && is_of_loading(option)) {
        ht_cmd_error(command, "%s is settled when the profile is loaded; write it behind 'heaptap FILE'",
                     option->name);
        return -1;
    }
    if (option == NULL) {
        ht_cmd_error(command, "there is no option '%.*s'", (int)length, assignment);
        return -1;
    }
    if (assignment[length] == '\0' && !ht_prompt_stands_alone(option)) {
        ht_cmd_error(command, "write '%.*s=%s'", (int)length, assignment,
                     option->argument != NULL ? option->argument : "VALUE");
        return -1;
    }
    struct ht_report_settings next = *settings;
    if (is_member(option, AT(sample_shorthand)) || is_member(option, AT(mean_delay)))
        next.view.sample_index = NULL;
    char *typed = ht_format("--%s", assignment);
    char *word = ht_arena_copy(&prompt->texts, typed, strlen(typed)), *words[] = {NULL, word, NULL};
    free(typed);
    struct ht_operands operands;
    bool help = false;
    if (ht_options_parse(ht_options_report, HT_PARSE_ANYWHERE, 2, words, &next, &operands, &help) < 0) {
        ht_cmd_error(command, "%s", ht_error());
        return -1;
    }
    if (settle(prompt, &next) < 0)
        return -1;
    *settings = next;
    return 0;
}

bool ht_prompt_select(struct ht_prompt *prompt, const char *word)
{
    static const char total[] = "total_", mean[] = "mean_";
    bool is_total = strncmp(word, total, sizeof total - 1) == 0,
         is_mean = strncmp(word, mean, sizeof mean - 1) == 0;
    const struct ht_profile *profile = prompt->profile;
    for (size_t i = 0; i < profile->sample_type_count; i++) {
        const char *type = ht_profile_text(profile, profile->sample_types[i].type);
        bool is_plain = strcmp(word, type) == 0;
        if (!is_plain && !(is_total && strcmp(word + sizeof total - 1, type) == 0) &&
            !(is_mean && strcmp(word + sizeof mean - 1, type) == 0))
            continue;
        prompt->settings.view.sample_index = type;
        if (!is_plain)
            prompt->settings.view.mean = is_mean;
        return true;
    }
    return false;
}

static void add_value(const struct ht_prompt *prompt, const struct ht_option *option, struct ht_buffer *out)
{
    const struct ht_report_settings *settings = &prompt->settings;
    const void *at = (const char *)settings + option->offset;
    const char *text = option->kind == HT_OPT_STRING ? *(const char *const *)at : NULL;
    size_t index;
    if (is_member(option, AT(granularity)))
        text = ht_granularity_names[settings->view.granularity];
    else if (is_member(option, AT(sort)))
        text = settings->view.sort_by_cum ? "cum" : "flat";
    else if (is_member(option, AT(view.sample_index)) &&
             ht_profile_sample_index(prompt->profile, settings->view.sample_index, &index) == 0)
        text = ht_profile_text(prompt->profile, prompt->profile->sample_types[index].type);
    if (option->kind == HT_OPT_FLAG)
        ht_buffer_text(out, *(const bool *)at ? "true" : "false");
    else if (option->kind == HT_OPT_INT)
        ht_buffer_printf(out, "%" PRId64, *(const int64_t *)at);
    else if (is_member(option, AT(view.node_fraction)) && settings->view.node_fraction < 0)
        ht_buffer_text(out, "0.005");
    else if (option->kind == HT_OPT_NUMBER)
        ht_buffer_printf(out, "%g", *(const double *)at);
    else
        ht_buffer_text(out, text != NULL && text[0] != '\0' ? text : "\"\"");
}

static void add_comment(const struct ht_prompt *prompt, const struct ht_option *option, struct ht_buffer *out)
{
    if (is_member(option, AT(granularity))) {
        ht_buffer_text(out, "[addresses | filefunctions | files | functions | lines]");
    } else if (is_member(option, AT(sort))) {
        ht_buffer_text(out, "[cum | flat]");
    } else if (is_member(option, AT(view.sample_index))) {
        for (size_t i = 0; i < prompt->profile->sample_type_count; i++)
            ht_buffer_printf(out, "%s%s", i > 0 ? " | " : "[",
                             ht_profile_text(prompt->profile, prompt->profile->sample_types[i].type));
        ht_buffer_byte(out, ']');
    } else if (is_member(option, AT(view.node_count)) && prompt->settings.view.node_count == -1) {
        ht_buffer_text(out, "default");
    } else if (option->help != NULL) {
        ht_buffer_text(out, option->help);
    }
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

void ht_prompt_print_options(const struct ht_prompt *prompt)
{
    char **lines = NULL;
    size_t count = 0, capacity = 0;
    for (const struct ht_option *option = ht_options_report; option->name != NULL; option++) {
        if (is_of_loading(option) || option->kind == HT_OPT_HEADING || option->kind == HT_OPT_SET ||
            is_member(option, AT(mean_delay)))
            continue;
        struct ht_buffer value = {0}, comment = {0}, line = {0};
        char name[40];
        snprintf(name, sizeof name, "%s", option->name);
        for (char *at = name; *at != '\0'; at++)
            *at = *at == '-' ? '_' : *at;
        add_value(prompt, option, &value);
        ht_buffer_text(&comment, "");
        add_comment(prompt, option, &comment);
        ht_buffer_printf(&line, "  %-21s = %-20s //: %s", name, value.data, comment.data);
        HT_RESERVE(lines, capacity, count + 1);
        lines[count++] = line.data;
        ht_buffer_free(&value);
        ht_buffer_free(&comment);
    }
    if (count > 0)
        qsort(lines, count, sizeof *lines, compare_texts);
    for (size_t i = 0; i < count; i++) {
        ht_cmd_print("%s", lines[i]);
        free(lines[i]);
    }
    free(lines);
}
