// heaptap, the command: finds the subcommand and hands over.
#include "cmd/command.h"

#include "base/memory.h"
#include "base/text.h"
#include "cmd/report.h"
#include "cmd/reports.h"
#include "resolve/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int unknown_command(const char *text, size_t length)
{
    char word[64];
    ht_text_print(word, sizeof word, "%.*s", (int)length, text);
    const char *names[64];
    size_t count = 0;
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL && count < 64;
         at++)
        names[count++] = command->name;
    const char *nearest = ht_nearest(word, names, count), *instead = ht_cmd_instead(word, strlen(word));
    if (instead != NULL)
        fprintf(stderr, "heaptap: there is no report '%s'; %s\n", word, instead);
    else if (nearest != NULL)
        fprintf(stderr, "heaptap: unknown command '%s'; did you mean '%s'?\n", word, nearest);
    else
        fprintf(stderr, "heaptap: unknown command '%s'; see 'heaptap --help'\n", word);
    return HT_EXIT_USAGE;
}

static bool is_word(const char *argument, const char *word, char letter)
{
    if (argument[0] != '-')
        return strcmp(argument, word) == 0 && letter != 'V'; // `heaptap help`; there is no command `version`
    const char *name = argument + 1 + (argument[1] == '-');
    return strcmp(name, word) == 0 || (name[0] == letter && name[1] == '\0');
}

// The report that an argument names as `go tool pprof` has it: -top, -list=RE, -top=true; its expression,
// NULL: none there.
static const struct ht_report_kind *find_report(char *argument, char **ret_expression)
{
    char name[32];
    if (argument[0] != '-')
        return NULL;
    char *start = argument + 1 + (argument[1] == '-');
    size_t length = strcspn(start, "=");
    snprintf(name, sizeof name, "%.*s", (int)length, start);
    *ret_expression = start[length] == '=' ? start + length + 1 : NULL;
    const struct ht_report_kind *kind = length < sizeof name ? ht_report_find(name) : NULL;
    if (kind == NULL || (kind->flags & HT_REPORT_EXPRESSION) || *ret_expression == NULL)
        return kind;
    bool is_off = strchr("0fF", (*ret_expression)[0]) != NULL;
    *ret_expression = NULL;
    return is_off ? NULL : kind;
}

// A line without a command: a report as an option in front of or behind the files, else the prompt.
static int run_without_command(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *expression = NULL;
        const struct ht_report_kind *kind = find_report(argv[i], &expression);
        const char *word = argv[i] + strspn(argv[i], "-");
        size_t length = strcspn(word, "=");
        if (kind == NULL && argv[i][0] == '-' && ht_cmd_instead(word, length) != NULL)
            return unknown_command(word, length);
        if (kind == NULL)
            continue;
        char **words = ht_alloc_zero((size_t)argc + 2, sizeof *words), *name = ht_strdup(kind->name);
        int count = 0, skipped = i;
        bool takes_next = (kind->flags & HT_REPORT_EXPRESSION) && expression == NULL && i + 1 < argc;
        words[count++] = name;
        if (expression != NULL)
            words[count++] = expression;
        if (takes_next)
            words[count++] = argv[skipped = i + 1];
        for (int rest = 1; rest < argc; rest++)
            if (rest < i || rest > skipped)
                words[count++] = argv[rest];
        int status = ht_cmd_report(count, words);
        free(name);
        free(words);
        return status;
    }
    if (argv[1][0] != '-' && !ht_prompt_is_input(argv[1]))
        return unknown_command(argv[1], strlen(argv[1]));
    return ht_cmd_prompt(argc, argv);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        ht_help_print(stderr);
        return HT_EXIT_USAGE;
    }
    bool asks_help = is_word(argv[1], "help", 'h');
    if (asks_help && argc > 2 && strcmp(argv[2], "json") == 0)
        return ht_cmd_json_help();
    if (asks_help && argc > 2) { // heaptap help top
        char help[] = "--help";
        char *words[] = {argv[0], argv[2], help, NULL};
        return run(3, words);
    }
    if (asks_help) {
        ht_help_print(stdout);
        return ht_cmd_finish("help");
    }
    if (is_word(argv[1], "version", 'V')) {
        printf("heaptap %s\n", HEAPTAP_VERSION);
        return ht_cmd_finish("version");
    }
    if (strcmp(argv[1], "--generate") == 0)
        return ht_cmd_generate(argc - 1, argv + 1);
    const struct ht_command *command = ht_command_find(argv[1]);
    if (command == NULL && ht_report_find(argv[1]) != NULL) // png and its like
        return ht_cmd_report(argc - 1, argv + 1);
    return command != NULL ? command->run(argc - 1, argv + 1) : run_without_command(argc, argv);
}

int main(int argc, char **argv)
{
    ht_serve_if_reader(argc, argv);
    ht_cmd_set_up();
    int status = run(argc, argv);
    ht_cmd_tell_notes(NULL);
    return status;
}
