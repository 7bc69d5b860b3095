// Completions for bash and zsh from the tables of commands and options.
#include "cmd/generate.h"

#include <ctype.h>
#include <string.h>

// What the value of an option is, by its name in --help: words divided by '|' are written as they are;
// capitals stand for something.
enum value_kind { VALUE_ANY, VALUE_FILE, VALUE_FOLDER, VALUE_WORDS };

static enum value_kind value_kind(const struct ht_option *option)
{
    const char *name = option->argument;
    if (strcmp(name, "FILE") == 0)
        return VALUE_FILE;
    if (strncmp(name, "DIR", 3) == 0)
        return VALUE_FOLDER;
    for (; *name != '\0'; name++)
        if (!islower((unsigned char)*name) && !isdigit((unsigned char)*name) && strchr("|-=_", *name) == NULL)
            return VALUE_ANY;
    return VALUE_WORDS;
}

// The commands of one option table share their part of the script: true for the first of them.
static bool is_first_with(const struct ht_command *command)
{
    const struct ht_command *const *other = ht_commands;
    while ((*other)->options != command->options)
        other++;
    return *other == command;
}

static void add_sharers(struct ht_buffer *out, const struct ht_command *first, const char *separator)
{
    const char *before = "";
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++)
        if (command->options == first->options) {
            ht_buffer_printf(out, "%s%s", before, command->name);
            before = separator;
        }
}

static bool takes_program(const struct ht_command *command)
{
    return strstr(command->usage, "PROGRAM") != NULL;
}

static bool takes_file(const struct ht_command *command)
{
    return strstr(command->usage, "FILE") != NULL || strstr(command->usage, "OLD") != NULL;
}

static bool takes_pid(const struct ht_command *command)
{
    return strstr(command->usage, "PID") != NULL;
}

static bool takes_expression(const struct ht_command *command)
{
    const char *at = strstr(command->usage, "RE");
    return at != NULL && (at[2] == ' ' || at[2] == ']') &&
           (at == command->usage || !isalpha((unsigned char)at[-1]));
}

// How a shell finds the value of an option: among its words, between brackets, or by one of three ways.
static void add_value(struct ht_buffer *out, const struct ht_option *option, const char brackets[3],
                      const char *file, const char *folder, const char *any)
{
    enum value_kind kind = value_kind(option);
    if (kind != VALUE_WORDS) {
        ht_buffer_text(out, kind == VALUE_FILE ? file : kind == VALUE_FOLDER ? folder : any);
        return;
    }
    ht_buffer_byte(out, brackets[0]);
    for (const char *words = option->argument; *words != '\0'; words++)
        ht_buffer_byte(out, *words == '|' ? ' ' : *words);
    ht_buffer_byte(out, brackets[1]);
}

static void add_bash_options(struct ht_buffer *out, const struct ht_command *command)
{
    ht_buffer_text(out, "    ");
    add_sharers(out, command, "|");
    ht_buffer_text(out, ")\n        options='");
    for (const struct ht_option *option = command->options; option->name != NULL; option++)
        if (option->help != NULL)
            ht_buffer_printf(out, "--%s ", option->name);
    ht_buffer_text(out, "--help'\n        case $previous in\n");
    for (const struct ht_option *option = command->options; option->name != NULL; option++) {
        if (option->argument == NULL)
            continue;
        ht_buffer_text(out, "        ");
        if (option->letter != 0)
            ht_buffer_printf(out, "-%c|", option->letter);
        ht_buffer_printf(out, "--%s) value=", option->name);
        add_value(out, option, "''", ":file", ":folder", ":any");
        ht_buffer_text(out, " ;;\n");
    }
    ht_buffer_text(out, "        esac ;;\n");
}

// Options whose value is the next word, so that the program of `heaptap run` is found behind them.
static void add_bash_run(struct ht_buffer *out, const struct ht_command *command)
{
    ht_buffer_text(out, "    local i word\n"
                        "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
                        "        word=${COMP_WORDS[i]}\n"
                        "        case $word in\n"
                        "        --) ((i++)); break ;;\n        ");
    const char *before = "";
    for (const struct ht_option *option = command->options; option->name != NULL; option++) {
        if (option->argument == NULL)
            continue;
        ht_buffer_printf(out, "%s--%s", before, option->name);
        before = "|";
        if (option->letter != 0)
            ht_buffer_printf(out, "|-%c", option->letter);
    }
    ht_buffer_text(out, ")\n"
                        "            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))\n"
                        "            ((i++)) ;;\n"
                        "        -*) ;;\n"
                        "        *) break ;;\n"
                        "        esac\n"
                        "    done\n"
                        "    program=$i\n");
}

static const char bash_begin[] =
    "# bash completion for heaptap, made from the tables of the command by heaptap --generate.\n"
    "\n"
    "# The processes that have a live region.\n"
    "_heaptap_pids()\n"
    "{\n"
    "    local path\n"
    "    for path in /dev/shm/heaptap.*.*.*.live; do\n"
    "        path=${path%.*.live}\n"
    "        [[ -d /proc/${path##*.} ]] && echo \"${path##*.}\"\n"
    "    done\n"
    "}\n"
    "\n"
    "_heaptap_run_program()\n"
    "{\n";

static const char bash_middle[] =
    "}\n"
    "\n"
    "_heaptap()\n"
    "{\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local command=${COMP_WORDS[1]} options='' value='' operands='' program=0\n"
    "    COMPREPLY=()\n"
    "    # --option=value comes in as three words.\n"
    "    if [[ $current == = ]]; then\n"
    "        current=''\n"
    "    elif [[ $previous == = ]]; then\n"
    "        previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    fi\n";

static const char bash_end[] =
    "    if [[ $command == run ]]; then\n"
    "        _heaptap_run_program\n"
    "        if ((COMP_CWORD > program)); then # the program's own arguments\n"
    "            if declare -F _command_offset >/dev/null; then\n"
    "                _command_offset \"$program\"\n"
    "                return\n"
    "            fi\n"
    "            options='' value=:file\n"
    "        fi\n"
    "    fi\n"
    "    case $value in\n"
    "    :any) ;;\n"
    "    :file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$current\") ;;\n"
    "    :folder) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$current\") ;;\n"
    "    ?*) mapfile -t COMPREPLY < <(compgen -W \"$value\" -- \"$current\") ;;\n"
    "    *)\n"
    "        if [[ $current == -* ]]; then\n"
    "            mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
    "            return\n"
    "        fi\n"
    "        local found=()\n"
    "        if [[ $operands == *commands* ]]; then\n"
    "            mapfile -t COMPREPLY < <(compgen -c -- \"$current\")\n"
    "        fi\n"
    "        if [[ $operands == *files* || $operands == *commands* ]]; then\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            mapfile -t found < <(compgen -f -- \"$current\")\n"
    "            COMPREPLY+=(\"${found[@]}\")\n"
    "        fi\n"
    "        if [[ $operands == *pids* ]]; then\n"
    "            mapfile -t found < <(compgen -W \"$(_heaptap_pids)\" -- \"$current\")\n"
    "            COMPREPLY+=(\"${found[@]}\")\n"
    "        fi ;;\n"
    "    esac\n"
    "}\n"
    "complete -F _heaptap heaptap\n";

void ht_generate_bash(struct ht_buffer *out)
{
    const struct ht_command *run = &ht_command_run;
    while (run->name != NULL && strcmp(run->name, "run") != 0)
        run++;
    ht_buffer_text(out, bash_begin);
    add_bash_run(out, run);
    ht_buffer_text(out, bash_middle);
    ht_buffer_text(out, "    local commands='");
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++)
        ht_buffer_printf(out, "%s ", command->name);
    ht_buffer_text(out, "help'\n"
                        "    if ((COMP_CWORD == 1)); then\n"
                        "        [[ $current == -* ]] && commands='--help --version'\n"
                        "        mapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$current\")\n"
                        "        if ((${#COMPREPLY[@]} == 0)); then # a profile, for the prompt\n"
                        "            compopt -o filenames 2>/dev/null\n"
                        "            mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
                        "        fi\n"
                        "        return\n"
                        "    fi\n"
                        "    case $command in\n"
                        "    help) value=\"$commands json\" ;;\n");
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++)
        if (is_first_with(command))
            add_bash_options(out, command);
    ht_buffer_text(out, "    esac\n    case $command in\n");
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++)
        ht_buffer_printf(out, "    %s) operands='%s%s%s' ;;\n", command->name,
                         takes_program(command) ? "commands " : "", takes_file(command) ? "files " : "",
                         takes_pid(command) ? "pids " : "");
    ht_buffer_text(out, "    esac\n");
    ht_buffer_text(out, bash_end);
}

// Inside single quotes; `special` characters get a backslash as well.
static void add_quoted(struct ht_buffer *out, const char *text, const char *special)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            ht_buffer_text(out, "'\\''");
        else if (strchr(special, *text) != NULL)
            ht_buffer_printf(out, "\\%c", *text);
        else
            ht_buffer_byte(out, *text);
    }
}

static void add_zsh_option(struct ht_buffer *out, const struct ht_option *option)
{
    const char *equals = option->argument != NULL ? "=" : "", *plus = option->argument != NULL ? "+" : "";
    ht_buffer_text(out, "        ");
    if (option->kind == HT_OPT_LIST)
        ht_buffer_text(out, "'*'");
    else if (option->letter != 0)
        ht_buffer_printf(out, "'(-%c --%s)'", option->letter, option->name);
    if (option->letter != 0)
        ht_buffer_printf(out, "{-%c%s,--%s%s}'[", option->letter, plus, option->name, equals);
    else
        ht_buffer_printf(out, "'--%s%s[", option->name, equals);
    add_quoted(out, option->help, "[]:\\");
    ht_buffer_byte(out, ']');
    if (option->argument != NULL) {
        enum value_kind kind = value_kind(option);
        ht_buffer_byte(out, ':');
        add_quoted(out, kind == VALUE_WORDS ? option->name : option->argument, "[]:\\");
        ht_buffer_byte(out, ':');
        add_value(out, option, "()", "_files", "_files -/", " ");
    }
    ht_buffer_text(out, "'\n");
}

static void add_zsh_operands(struct ht_buffer *out, const struct ht_command *command)
{
    if (takes_expression(command))
        ht_buffer_text(out, " '1:regular expression: '");
    if (command->mode == HT_PARSE_BEFORE_OPERAND)
        ht_buffer_text(out, " '(-)1:program:_command_names -e' '*::arguments:_normal'");
    else if (takes_program(command))
        ht_buffer_text(out, " '1:program or process:_heaptap_programs'");
    else if (takes_file(command))
        ht_buffer_text(out, takes_pid(command) ? " '*:profile:_heaptap_inputs'" : " '*:profile:_files'");
    else if (takes_pid(command))
        ht_buffer_text(out, " '*:process:_heaptap_pids'");
}

static const char zsh_begin[] =
    "#compdef heaptap\n"
    "# zsh completion for heaptap, made from the tables of the command by heaptap --generate.\n"
    "\n"
    "# The processes that have a live region.\n"
    "_heaptap_pids() {\n"
    "    local -a pids\n"
    "    local file\n"
    "    for file in /dev/shm/heaptap.*.*.*.live(N); do\n"
    "        file=${file%.*.live}\n"
    "        [[ -d /proc/${file##*.} ]] && pids+=(\"${file##*.}:${${file#*/heaptap.}%.*}\")\n"
    "    done\n"
    "    _describe process pids\n"
    "}\n"
    "\n"
    "_heaptap_inputs() { _alternative 'pids:process:_heaptap_pids' 'files:profile:_files' }\n"
    "\n"
    "_heaptap_programs() { _alternative 'pids:process:_heaptap_pids' 'commands:program:_command_names -e' "
    "'files:program:_files' }\n"
    "\n"
    "_heaptap() {\n"
    "    local -a names options\n"
    "    names=(\n";

static const char zsh_middle[] =
    "    )\n"
    "    if ((CURRENT == 2)); then\n"
    "        if [[ $words[2] == -* ]]; then\n"
    "            _arguments '--help[how to use it]' '--version[which one it is]'\n"
    "        else\n"
    "            _alternative 'commands:command:{_describe command names}' 'files:profile:_files'\n"
    "        fi\n"
    "        return\n"
    "    fi\n"
    "    local command=$words[2]\n"
    "    shift words\n"
    "    ((CURRENT--))\n"
    "    case $command in\n"
    "    help) _describe command names; return ;;\n";

void ht_generate_zsh(struct ht_buffer *out)
{
    ht_buffer_text(out, zsh_begin);
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++) {
        ht_buffer_printf(out, "        '%s:", command->name);
        add_quoted(out, command->summary, ":\\");
        ht_buffer_text(out, "'\n");
    }
    ht_buffer_text(out, zsh_middle);
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++) {
        if (!is_first_with(command))
            continue;
        ht_buffer_text(out, "    ");
        add_sharers(out, command, "|");
        ht_buffer_text(out, ") options=(\n");
        for (const struct ht_option *option = command->options; option->name != NULL; option++)
            if (option->help != NULL)
                add_zsh_option(out, option);
        ht_buffer_text(out, "        '(- *)'{-h,--help}'[how to use it]'\n        ) ;;\n");
    }
    ht_buffer_text(out, "    esac\n    case $command in\n");
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++) {
        ht_buffer_printf(out, "    %s) _arguments -s -S $options", command->name);
        add_zsh_operands(out, command);
        ht_buffer_text(out, " ;;\n");
    }
    ht_buffer_text(out, "    esac\n}\n\n_heaptap \"$@\"\n");
}
