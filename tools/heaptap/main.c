// heaptap, the command: finds the subcommand and hands over.
#include "cmd/cmd.h"

#include <stdio.h>
#include <string.h>

static void print_usage(FILE *out)
{
    fprintf(out, "heaptap: a sampling heap profiler for native Linux programs\n\n"
                 "usage: heaptap COMMAND [options] ...\n\n");
    for (const struct ht_command *command = ht_commands; command->name != NULL; command++)
        fprintf(out, "  %-8s %s\n", command->name, command->summary);
    fprintf(
        out,
        "\nstart here:\n"
        "  heaptap run ./server              profile a program\n"
        "  kill -USR2 PID                    take a snapshot, any time (or: heaptap snap PID)\n"
        "  heaptap top FILE.pb.gz            who holds the memory\n"
        "  heaptap diff OLD.pb.gz NEW.pb.gz  what grew\n\n"
        "'heaptap COMMAND --help' explains a command by example. Profiles are pprof files: `go tool pprof`,\n"
        "Pyroscope and Parca read them as well.\n");
}

static int unknown_command(const char *word)
{
    const char *names[64];
    size_t count = 0;
    for (const struct ht_command *command = ht_commands; command->name != NULL && count < 64; command++)
        names[count++] = command->name;
    const char *nearest = ht_nearest(word, names, count);
    if (nearest != NULL)
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

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return HT_EXIT_USAGE;
    }
    bool asks_help = is_word(argv[1], "help", 'h');
    if (asks_help && argc > 2) { // heaptap help top
        char help[] = "--help";
        char *words[] = {argv[0], argv[2], help, NULL};
        return main(3, words);
    }
    if (asks_help) {
        print_usage(stdout);
        return ht_cmd_finish("help");
    }
    if (is_word(argv[1], "version", 'V')) {
        printf("heaptap %s\n", HEAPTAP_VERSION);
        return ht_cmd_finish("version");
    }
    if (argv[1][0] == '-') {
        fprintf(stderr, "heaptap: option '%s' before the command; write 'heaptap COMMAND %s'\n", argv[1],
                argv[1]);
        return HT_EXIT_USAGE;
    }
    for (const struct ht_command *command = ht_commands; command->name != NULL; command++) {
        if (strcmp(command->name, argv[1]) != 0)
            continue;
        return command->run(argc - 1, argv + 1);
    }
    return unknown_command(argv[1]);
}
