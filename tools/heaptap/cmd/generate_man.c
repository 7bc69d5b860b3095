// Man pages from the tables: heaptap(1), heaptap-COMMAND(1), heaptap(7).
#include "cmd/generate.h"
#include "cmd/json_fields.h"
#include "sys/variables.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

// Text for roff: what begins a request or an escape loses its meaning, `code` becomes bold.
static void add_bytes(struct ht_buffer *out, const char *text, size_t length)
{
    bool in_code = false, at_begin = out->length == 0 || out->data[out->length - 1] == '\n';
    for (size_t i = 0; i < length; i++) {
        if (at_begin && (text[i] == '.' || text[i] == '\''))
            ht_buffer_text(out, "\\&");
        at_begin = text[i] == '\n';
        if (text[i] == '\\')
            ht_buffer_text(out, "\\e");
        else if (text[i] == '-')
            ht_buffer_text(out, "\\-");
        else if (text[i] == '`') {
            in_code = !in_code;
            ht_buffer_text(out, in_code ? "\\fB" : "\\fR");
        } else if (text[i] == '~')
            ht_buffer_text(out, "\\(ti");
        else if (text[i] == '^')
            ht_buffer_text(out, "\\(ha");
        else if (text[i] == '\'')
            ht_buffer_text(out, "\\(aq");
        else
            ht_buffer_byte(out, text[i]);
    }
}

static void add(struct ht_buffer *out, const char *text)
{
    add_bytes(out, text, strlen(text));
}

static void add_head(struct ht_buffer *out, const char *title, const char *section, const char *date,
                     const char *name, const char *summary)
{
    ht_buffer_text(out, ".\\\" Made from the tables of the command by heaptap \\-\\-generate.\n.TH ");
    for (const char *at = title; *at != '\0'; at++)
        ht_buffer_byte(out, (char)toupper((unsigned char)*at));
    ht_buffer_printf(out, " %s %s \"heaptap %s\" heaptap\n.SH NAME\n", section, date, HEAPTAP_VERSION);
    add(out, name);
    ht_buffer_text(out, " \\- ");
    add(out, summary);
    ht_buffer_byte(out, '\n');
}

// Paragraphs divided by empty lines. Lines are broken anew: each sentence begins one, as roff wants it.
static void add_paragraphs(struct ht_buffer *out, const char *text)
{
    bool is_first = true;
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t length = end != NULL ? (size_t)(end - text) : strlen(text);
        while (length > 0 && text[length - 1] == '\n')
            length--;
        if (!is_first)
            ht_buffer_text(out, ".PP\n");
        is_first = false;
        struct ht_buffer line = {0};
        ht_buffer_text(&line, "");
        for (size_t i = 0; i < length; i++) {
            bool blank = text[i] == '\n' || text[i] == ' ';
            bool ends = i > 0 && (text[i - 1] == '.' || text[i - 1] == '?') && i + 1 < length &&
                        isupper((unsigned char)text[i + 1]);
            ht_buffer_byte(&line, !blank ? text[i] : ends ? '\n' : ' ');
        }
        add_bytes(out, line.data, line.length);
        ht_buffer_byte(out, '\n');
        ht_buffer_free(&line);
        text = end != NULL ? end + 2 : text + strlen(text);
    }
}

// "  command" lines, each with "      explanation" lines below it or without.
static void add_examples(struct ht_buffer *out, const char *text)
{
    bool explains = false, is_first = true;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n"), indent = strspn(text, " ");
        bool is_explanation = indent > 2;
        if (explains && !is_explanation)
            ht_buffer_text(out, ".RE\n");
        if (!is_explanation)
            ht_buffer_text(out, is_first ? "\\fB" : ".PP\n\\fB");
        else if (!explains)
            ht_buffer_text(out, ".RS 4\n");
        explains = is_explanation;
        is_first = false;
        add_bytes(out, text + indent, length - indent);
        ht_buffer_text(out, is_explanation ? "\n" : "\\fR\n");
        text += length;
        text += *text == '\n';
    }
    if (explains)
        ht_buffer_text(out, ".RE\n");
}

static void add_option(struct ht_buffer *out, const struct ht_option *option)
{
    ht_buffer_text(out, ".TP\n");
    if (option->letter != 0)
        ht_buffer_printf(out, "\\fB\\-%c\\fR, ", option->letter);
    ht_buffer_text(out, "\\fB\\-\\-");
    add(out, option->name);
    ht_buffer_text(out, "\\fR");
    if (option->argument != NULL) {
        ht_buffer_text(out, " \\fI");
        add(out, option->argument);
        ht_buffer_text(out, "\\fR");
    }
    ht_buffer_byte(out, '\n');
    add(out, option->help);
    ht_buffer_byte(out, '\n');
}

static void add_fields_of(struct ht_buffer *out, const char *command, const struct ht_json_fields *fields)
{
    for (const char *name = fields->names; *name != '\0';) {
        size_t length = strcspn(name, " ?");
        bool optional = name[length] == '?';
        const struct ht_json_word *word = ht_json_field_word(command, name, length);
        ht_buffer_text(out, ".TP\n\\fB");
        if (fields->where[0] != '\0') {
            add(out, fields->where);
            ht_buffer_byte(out, '.');
        }
        add_bytes(out, name, length);
        ht_buffer_printf(out, "\\fR (%s%s)\n", word != NULL ? word->type : "text",
                         optional ? ", may be missing" : "");
        add(out, word != NULL ? word->meaning : "");
        ht_buffer_byte(out, '\n');
        name += length + optional;
        name += strspn(name, " ");
    }
}

static void add_json(struct ht_buffer *out, const char *command)
{
    bool any = false;
    for (const struct ht_json_fields *fields = ht_json_fields; fields->commands != NULL; fields++) {
        if (!ht_json_fields_match(fields, command))
            continue;
        if (!any)
            ht_buffer_text(
                out, ".SH JSON\nWith\n.B \\-\\-json\none object is written, with these fields. Names with\n"
                     ".B []\nare those of each element of a list. Fields may be added, but none changes its\n"
                     "meaning. A number of type hex is text, such as \"0x7f00\".\n");
        any = true;
        add_fields_of(out, command, fields);
    }
}

static bool has_option(const struct ht_command *command, const char *name)
{
    for (const struct ht_option *option = command->options; option->name != NULL; option++)
        if (strcmp(option->name, name) == 0)
            return true;
    return false;
}

static void add_exit_status(struct ht_buffer *out, const struct ht_command *command)
{
    if (strcmp(command->name, "run") == 0)
        return; // its text says it
    ht_buffer_text(out, ".SH EXIT STATUS\n0 when done, 1 when it failed, 2 when the command line was wrong");
    if (has_option(command, "fail-above"))
        ht_buffer_text(out, ", 3 when a threshold given on the command line was exceeded");
    ht_buffer_text(out, ".\n");
}

void ht_generate_man_command(const struct ht_command *command, const char *date, struct ht_buffer *out)
{
    char *title = ht_format("heaptap-%s", command->name);
    add_head(out, title, "1", date, title, command->summary);
    ht_buffer_text(out, ".SH SYNOPSIS\n.B heaptap ");
    add(out, command->name);
    ht_buffer_byte(out, '\n');
    add(out, command->usage);
    ht_buffer_text(out, "\n.SH DESCRIPTION\n");
    add_paragraphs(out, command->text);
    ht_buffer_text(out, ".SH OPTIONS\n");
    for (const struct ht_option *option = command->options; option->name != NULL; option++)
        if (option->kind == HT_OPT_HEADING)
            ht_buffer_printf(out, ".SS %s\n", option->name);
        else if (option->help != NULL)
            add_option(out, option);
    ht_buffer_text(out, ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\na shorter form of this page\n");
    add_json(out, command->name);
    add_exit_status(out, command);
    if (command->examples != NULL) {
        ht_buffer_text(out, ".SH EXAMPLES\n");
        add_examples(out, command->examples);
    }
    ht_buffer_text(out, ".SH SEE ALSO\n.BR heaptap (1),\n.BR heaptap (7)\n");
    free(title);
}

void ht_generate_man_main(const char *date, struct ht_buffer *out)
{
    add_head(out, "heaptap", "1", date, "heaptap", "sampling heap profiler for native Linux programs");
    ht_buffer_text(
        out,
        ".SH SYNOPSIS\n.B heaptap\n.I COMMAND\n[\\fIoptions\\fR] ...\n.br\n.B heaptap\n.I FILE|PID|URL\n\\&...\n.SH DESCRIPTION\n");
    add_paragraphs(out, ht_about_text);
    ht_buffer_text(out, ".SH COMMANDS\n");
    for (const struct ht_group *group = ht_groups; group->title != NULL; group++) {
        ht_buffer_printf(out, ".SS %c", toupper((unsigned char)group->title[0]));
        add(out, group->title + 1);
        ht_buffer_byte(out, '\n');
        for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++) {
            if (command->group != group->group)
                continue;
            ht_buffer_text(out, ".TP\n.BR heaptap\\-");
            add(out, command->name);
            ht_buffer_text(out, " (1)\n");
            add(out, command->summary);
            ht_buffer_byte(out, '\n');
        }
    }
    ht_buffer_text(out, ".SH PROMPT\n");
    add_paragraphs(out, ht_prompt_text);
    ht_buffer_text(out, ".SH INPUTS\n");
    add_paragraphs(out, ht_inputs_text);
    ht_buffer_text(out, ".SH EXIT STATUS\n");
    add_paragraphs(
        out,
        "0 when done, 1 when it failed, 2 when the command line was wrong, 3 when a threshold given on the "
        "command line was exceeded. `heaptap run` exits with the program's own status: see "
        "heaptap-run(1).\n");
    ht_buffer_text(out, ".SH EXAMPLES\n");
    add_examples(out, ht_start_examples);
    ht_buffer_text(out, ".SH SEE ALSO\n.BR heaptap (7)");
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++) {
        ht_buffer_text(out, ",\n.BR heaptap\\-");
        add(out, command->name);
        ht_buffer_text(out, " (1)");
    }
    ht_buffer_byte(out, '\n');
}

static void add_variable(struct ht_buffer *out, const char *name, const char *standard, const char *meaning)
{
    ht_buffer_printf(out, ".TP\n.B %s\n", name);
    add(out, meaning);
    ht_buffer_text(out, " (default: ");
    add(out, standard);
    ht_buffer_text(out, ")\n");
}

static void add_section(struct ht_buffer *out, const char *title, const char *text)
{
    ht_buffer_printf(out, ".SH %s\n", title);
    add_paragraphs(out, text);
}

void ht_generate_man_shim(const char *date, struct ht_buffer *out)
{
    static const struct {
        const char *name, *standard, *meaning;
    } variables[] = {
#define WITH_SETTER(name, setter, standard, meaning, complaint) {name, standard, meaning},
#define PLAIN(name, standard, meaning, complaint)               {name, standard, meaning},
        HT_VARIABLES(WITH_SETTER) HT_LOG_VARIABLES(PLAIN)
#undef WITH_SETTER
#undef PLAIN
    };
    add_head(out, "heaptap", "7", date, "heaptap",
             "the profiler inside the program: variables, signal, files");
    ht_buffer_text(out, ".SH SYNOPSIS\n.nf\n\\fBLD_PRELOAD=libheaptap.so\\fR \\fIPROGRAM\\fR\n"
                        "\\fBkill \\-USR2\\fR \\fIPID\\fR\n.fi\n");
    add_section(
        out, "DESCRIPTION",
        "libheaptap.so records a sample of a program's allocations, with the stack that allocated, and "
        "what is still live of them. It is preloaded, by hand or by `heaptap run`, and needs no change and "
        "no recompiling of the program. Programs that it starts are profiled as well.\n\n"
        "A snapshot is a pprof profile (profile.proto, gzip). One is written when another process sends the "
        "signal, at exit, and on request of heaptap-snap(1), HEAPTAP_INTERVAL, HEAPTAP_GROWTH or the "
        "program itself (heaptap_take_snapshot in heaptap/heaptap.h). Each has four values for every stack: "
        "alloc_objects, alloc_space, inuse_objects and inuse_space, unbiased estimates of the true figures; "
        "with HEAPTAP_RATE=1 the true figures.\n");
    ht_buffer_text(
        out, ".SH ENVIRONMENT\nA wrong value means the default and one line on standard error, never a\n"
             "dead program. Sizes take K, M and G (1024), times ms, s, m and h.\n");
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        add_variable(out, variables[i].name, variables[i].standard, variables[i].meaning);
    add_section(
        out, "FILES",
        "`heaptap.PROGRAM.PID.SEQ.TRIGGER.pb.gz` in HEAPTAP_OUT: a snapshot. TRIGGER is exit, signal, "
        "interval, growth, manual or recovered. A file has this name only when it is whole, and none is "
        "ever overwritten. Its comments (heaptap-comments(1)) say how it was recorded and what was lost.\n\n"
        "`/dev/shm/heaptap.PROGRAM.PID.RANDOM.live`: the live region, which heaptap-ps(1), heaptap-top(1) "
        "and heaptap-snap(1) read from outside. It outlives a program that was killed. Of dead processes at "
        "most 8 regions and 256 MB stay for a user.\n");
    add_section(
        out, "NOTES",
        "The signal is taken only where the program has left it at its default. A program that handles, "
        "ignores or waits for it keeps it.\n\n"
        "Statically linked programs, setuid programs, programs that define malloc themselves, and sanitizer "
        "builds cannot be profiled this way. `heaptap doctor PROGRAM` tells.\n");
    ht_buffer_text(out, ".SH SEE ALSO\n.BR heaptap (1),\n.BR heaptap\\-run (1),\n.BR ld.so (8)\n");
}
