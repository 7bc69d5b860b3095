// The prompt: `heaptap FILE...` without a command reads commands, on a terminal or from a script.
#include "prompt/prompt.h"

#include "base/proc.h"
#include "base/terminal.h"
#include "base/text.h"
#include "input/input.h"
#include "input/program.h"
#include "net/url.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

bool ht_prompt_is_input(const char *argument)
{
    if (ht_proc_is_pid(argument))
        return true;
    struct stat status;
    if (stat(argument, &status) < 0)
        return ht_url_matches(argument);
    return !S_ISDIR(status.st_mode) ||
           ht_cmd_instead(argument, strlen(argument)) == NULL; // a folder called web
}

int ht_prompt_fail(struct ht_prompt *prompt, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    ht_text_vprint(text, sizeof text, format, args);
    va_end(args);
    ht_cmd_tell_notes(NULL);
    fflush(stdout);
    fprintf(stderr, "heaptap: %s\n", text);
    prompt->has_failed = true;
    return -1;
}

// The word nearest to one that is none.
static int unknown(struct ht_prompt *prompt, const char *word)
{
    const char *names[256];
    size_t count = 0;
    for (const struct ht_report_kind *kind = ht_reports; kind->name != NULL && count < 100; kind++)
        names[count++] = kind->name;
    for (const char *const *own = ht_prompt_own_words; *own != NULL; own++)
        names[count++] = *own;
    for (size_t i = 0; i < prompt->profile->sample_type_count && count < 150; i++)
        names[count++] = ht_profile_text(prompt->profile, prompt->profile->sample_types[i].type);
    for (const struct ht_option *option = ht_options_report; option->name != NULL && count < 256; option++)
        if (ht_prompt_option(option->name, strlen(option->name)) != NULL)
            names[count++] = option->name;
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++)
        if (strcmp(command->name, word) == 0)
            return ht_prompt_fail(prompt, "'%s' is a command of the shell: heaptap %s %s", word, word,
                                  command->usage);
    const char *nearest = ht_nearest(word, names, count), *instead = ht_cmd_instead(word, strlen(word));
    if (instead != NULL)
        return ht_prompt_fail(prompt, "there is no report '%s'; %s", word, instead);
    if (nearest != NULL)
        return ht_prompt_fail(prompt, "unknown command '%s'; did you mean '%s'?", word, nearest);
    return ht_prompt_fail(prompt, "unknown command '%s'; 'help' lists them", word);
}

// A person who wants a picture or a profile and names no file gets one with a new name here, as from pprof.
static void name_file(struct ht_prompt *prompt, struct ht_prompt_request *request)
{
    const char *name = request->kind->name;
    const char *type = strcmp(name, "proto") == 0                             ? "pb.gz"
                       : strcmp(name, "flame") == 0 && !request->settings.svg ? "html"
                                                                              : "svg";
    for (int number = 1; number < 1000; number++) {
        char file[32];
        snprintf(file, sizeof file, "profile%03d.%s", number, type);
        if (access(file, F_OK) == 0)
            continue;
        request->settings.output = ht_arena_copy(&prompt->texts, file, strlen(file));
        return;
    }
}

static void make_report(struct ht_prompt *prompt, struct ht_prompt_request *request)
{
    if ((request->kind->flags & HT_REPORT_BINARY) && !request->settings.json &&
        request->settings.output == NULL && prompt->is_terminal && ht_terminal_of(STDOUT_FILENO).is_terminal)
        name_file(prompt, request);
    struct ht_profile *copy = ht_profile_copy(prompt->profile);
    request->settings.command = request->kind->name;
    int status = ht_report_run(&request->settings, request->kind, request->expression, copy);
    ht_profile_free(copy);
    prompt->has_failed = prompt->has_failed || status != HT_EXIT_DONE;
    if (status == HT_EXIT_DONE && prompt->is_terminal && request->settings.output != NULL)
        fprintf(stderr, "written to %s\n", request->settings.output);
}

// Starts the shell with the reading end of a pipe as its input; returns 0 or an error number.
static int start_shell(const char *command, int input, pid_t *ret_pid)
{
    char shell[] = "sh", option[] = "-c", *text = ht_strdup(command);
    char *words[] = {shell, option, text, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawnattr_init(&attributes);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn(ret_pid, "/bin/sh", &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(text);
    return error;
}

// Runs a report with its standard output going into a shell command.
static void make_piped(struct ht_prompt *prompt, struct ht_prompt_request *request, const char *command)
{
    int ends[2], status = 0;
    pid_t pid;
    fflush(stdout);
    if (pipe2(ends, O_CLOEXEC) < 0) {
        ht_prompt_fail(prompt, "no pipe: %s", strerror(errno));
        return;
    }
    int error = start_shell(command, ends[0], &pid);
    close(ends[0]);
    int saved = error == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : -1;
    if (saved < 0) {
        ht_prompt_fail(prompt, "%s: cannot be started: %s", command, strerror(error != 0 ? error : errno));
        close(ends[1]);
    } else {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[1]);
        make_report(prompt, request);
        fflush(stdout);
        clearerr(stdout); // a reader that had enough is no failure
        dup2(saved, STDOUT_FILENO);
        close(saved);
    }
    while (error == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (error == 0 && WIFEXITED(status) && WEXITSTATUS(status) >= 126)
        prompt->has_failed = true; // the shell said why
}

static void print_help_of(struct ht_prompt *prompt, const char *word)
{
    static const char rest[] = "[N] [RE...] [-RE...] [-cum] [--OPTION=VALUE...] [>FILE | |COMMAND]";
    const struct ht_report_kind *kind = ht_report_find(word);
    const struct ht_option *option = ht_prompt_option(word, strlen(word));
    for (const struct ht_command *const *at = ht_commands, *command; kind != NULL && (command = *at) != NULL;
         at++) {
        if (strcmp(command->name, word) != 0 || command->run != ht_cmd_report)
            continue;
        printf("%s: %s\n\nat the prompt: %s %s%s\n\n%s\nin the shell:\n%s", word, command->summary, word,
               kind->flags & HT_REPORT_EXPRESSION ? "RE " : "", rest, command->text, command->examples);
        return;
    }
    if (option != NULL && option->help != NULL)
        printf("%s%s%s: %s\n", option->name, option->argument != NULL ? "=" : "",
               option->argument != NULL ? option->argument : "", option->help);
    else if (option != NULL)
        printf("%s\n", option->name);
    else
        unknown(prompt, word);
}

static void print_help(void)
{
    printf("reports (help NAME says more):\n");
    for (const struct ht_report_kind *kind = ht_reports; kind->name != NULL; kind++)
        for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++)
            if (strcmp(command->name, kind->name) == 0 && command->run == ht_cmd_report)
                printf("  %-10s %s\n", kind->name, command->summary);
    printf("\nby example:\n"
           "  top10                    the 10 functions that hold most; top 5 -cum: by what is below them\n"
           "  top parse -cache         only stacks through parse, without those through cache\n"
           "  list RE, peek RE         the source of functions; their callers and callees\n"
           "  svg >heap.svg            a report into a file; tree | less: into a program\n"
           "  alloc_space              what is shown: a sample type of the profile\n"
           "  focus=RE                 an option for all reports from now on; focus= takes it back\n"
           "  :                        takes back focus, ignore, hide, tagfocus and tagignore\n"
           "  o, options               all options and their values\n"
           "  quit, exit               (or the end of the input)\n");
}

static void clear_filters(struct ht_prompt *prompt)
{
    struct ht_filter *filter = &prompt->settings.view.filter;
    filter->focus = filter->ignore = filter->hide = filter->tag_focus = filter->tag_ignore = NULL;
}

static bool is_any(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

// A line that is one word and no report: a word of the prompt, a sample type, a switch. False if it is none
// of them.
static bool run_word(struct ht_prompt *prompt, const char *word)
{
    const struct ht_option *option = ht_prompt_option(word, strlen(word));
    if (is_any(word, "quit", "exit", "q"))
        prompt->has_ended = true;
    else if (is_any(word, "o", "options", "o"))
        ht_prompt_print_options(prompt);
    else if (is_any(word, "help", "?", "h"))
        print_help();
    else if (strcmp(word, ":") == 0)
        clear_filters(prompt);
    else if (option != NULL && !ht_prompt_select(prompt, word))
        prompt->has_failed = ht_prompt_set(prompt, &prompt->settings, word) < 0 || prompt->has_failed;
    else if (option == NULL && !ht_prompt_select(prompt, word))
        return false;
    return true;
}

static void run_words(struct ht_prompt *prompt, const struct ht_prompt_line *line)
{
    const char *word = line->count > 0 ? line->words[0].text : "|";
    int64_t number = -1;
    struct ht_prompt_request request = {.kind = ht_prompt_find_report(word, &number),
                                        .settings = prompt->settings};
    if (strcmp(word, "help") == 0 && line->count > 1) {
        print_help_of(prompt, line->words[1].text);
        return;
    }
    if (request.kind == NULL) {
        const struct ht_option *option = ht_prompt_option(word, strlen(word));
        if (line->count == 1 && run_word(prompt, word))
            return;
        if (option != NULL && line->count > 1)
            ht_prompt_fail(prompt, "did you mean '%s=%s'?", word, line->words[1].text);
        else
            unknown(prompt, word);
        return;
    }
    if (number >= 0)
        request.settings.view.node_count = number;
    if (ht_prompt_read_request(prompt, line, &request) < 0)
        return;
    if (line->pipe != NULL)
        make_piped(prompt, &request, line->pipe);
    else
        make_report(prompt, &request);
}

static void run_line(struct ht_prompt *prompt, const char *text)
{
    struct ht_prompt_line line;
    text += strspn(text, " \t");
    if (*text == '\0' || *text == '#' || ht_prompt_assign(prompt, text))
        return;
    if (ht_prompt_split(text, &line) < 0) {
        ht_prompt_fail(prompt, "%s", ht_error());
        return;
    }
    run_words(prompt, &line);
    ht_prompt_line_free(&line);
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static void collect_functions(struct ht_prompt *prompt)
{
    const struct ht_profile *profile = prompt->profile;
    prompt->functions = ht_alloc_zero(profile->function_count + 1, sizeof *prompt->functions);
    for (size_t i = 0; i < profile->function_count; i++) {
        const char *name = ht_profile_text(profile, profile->functions[i].name);
        size_t length = strlen(name);
        struct ht_buffer shown = {0};
        if (length == 0)
            continue;
        if (ht_text_shown_length(name, length, "\t") <
            length) { // as the reports, and so expressions, have it
            ht_text_show(&shown, name, length, "\t");
            name = ht_arena_copy(&prompt->texts, shown.data, shown.length);
        }
        prompt->functions[prompt->function_count++] = name;
        ht_buffer_free(&shown);
    }
    qsort(prompt->functions, prompt->function_count, sizeof *prompt->functions, compare_texts);
}

static void greet(struct ht_prompt *prompt)
{
    struct ht_profile *copy = ht_profile_copy(prompt->profile);
    struct ht_view_options options = HT_VIEW_OPTIONS_DEFAULT;
    struct ht_report report;
    options.sample_index = prompt->settings.view.sample_index;
    ht_profile_make_printable(copy);
    if (ht_report_init(&report, copy, &options) == 0) {
        struct ht_buffer lines = {0};
        ht_buffer_text(&lines, "");
        ht_report_profile_lines(&report, &lines);
        fputs(lines.data, stdout);
        if (report.total == 0 && copy->sample_type_count > 1)
            printf("There is nothing of this type; 'o' lists the others at sample_index.\n");
        ht_buffer_free(&lines);
        ht_report_free(&report);
    }
    ht_profile_free(copy);
    printf("'help' explains the commands, 'o' shows the options.\n");
}

static int run_prompt(struct ht_prompt *prompt)
{
    prompt->is_terminal = isatty(STDIN_FILENO) == 1;
    prompt->settings.is_plain = !prompt->is_terminal;
    prompt->settings.view.compact_labels = true;
    ht_cmd_tell_notes("prompt"); // of loading
    signal(SIGPIPE, SIG_IGN);    // a pager that was left early
    if (prompt->is_terminal) {
        collect_functions(prompt);
        greet(prompt);
    }
    ht_prompt_input_start(prompt);
    while (!prompt->has_ended) {
        fflush(stdout);
        char *line = ht_prompt_input_next();
        if (line == NULL)
            break;
        run_line(prompt, line);
        ht_cmd_tell_notes(NULL);
        free(line);
    }
    ht_prompt_input_end();
    int status = ht_cmd_finish("prompt");
    return prompt->has_failed && !prompt->is_terminal ? HT_EXIT_FAILED : status;
}

int ht_cmd_prompt(int argc, char **argv)
{
    struct ht_prompt prompt = {.settings = HT_REPORT_SETTINGS_DEFAULT("prompt")};
    struct ht_report_settings *settings = &prompt.settings;
    struct ht_operands operands;
    bool help = false;
    settings->view.node_count = -1;
    settings->view.node_fraction = -1;
    int status = HT_PARSED;
    if (ht_options_parse(ht_options_report, HT_PARSE_ANYWHERE, argc, argv, settings, &operands, &help) < 0) {
        fprintf(stderr,
                "heaptap: %s; see 'heaptap --help', and 'heaptap top --help' for the options of reports\n",
                ht_error());
        status = HT_EXIT_USAGE;
    } else if (help) {
        ht_help_print(stdout);
        status = ht_cmd_finish("help");
    } else if (operands.count == 0 || !ht_prompt_is_input(operands.items[0])) {
        fprintf(stderr, "heaptap: option '%s' before the command; write 'heaptap COMMAND %s'\n", argv[1],
                argv[1]);
        status = HT_EXIT_USAGE;
    }
    for (int i = 0; status == HT_PARSED && i < operands.count; i++)
        if (strcmp(operands.items[i], "-") == 0)
            status = ht_cmd_error("prompt", "the commands come from standard input; name the profile's file");
    if (status == HT_PARSED)
        status = ht_report_interpret(settings);
    if (status == HT_PARSED && ht_load_take_program(&settings->load, &operands.items, &operands.count) < 0)
        status = ht_cmd_usage_error("prompt", "%s", ht_error());
    if (status == HT_PARSED &&
        ht_load_profile(&settings->load, operands.items, operands.count, &prompt.profile) < 0)
        status = ht_cmd_error("prompt", "%s", ht_error());
    if (status == HT_PARSED) {
        settings->granularity = settings->sort = NULL;
        settings->sample_shorthand = 0;
        settings->mean_delay = false;
        status = run_prompt(&prompt);
    }
    ht_profile_free(prompt.profile);
    ht_arena_free(&prompt.texts);
    free(prompt.functions);
    free(settings->load.bases.items);
    free(settings->load.diff_bases.items);
    return status;
}
