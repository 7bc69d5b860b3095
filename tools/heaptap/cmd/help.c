// What `heaptap --help` and heaptap(1) say about the whole: groups of commands, inputs, a start by example.
#include "cmd/command.h"

#include <stdio.h>
#include <string.h>

const struct ht_group ht_groups[] = {
    {HT_GROUP_RUN, "run and watch a program"},
    {HT_GROUP_LOOK, "look at profiles"},
    {HT_GROUP_SHARE, "hand profiles to others"},
    {.title = NULL},
};

const char ht_about_text[] =
    "heaptap shows where a native program's memory goes: C, C++, Rust, and what is written in them. It samples "
    "allocations, without recompiling the program and without stopping it, and says by function and line who holds "
    "the memory, who allocated it, and what grew between two moments.\n\n"
    "Profiles are pprof files (profile.proto): `go tool pprof`, Pyroscope and Parca read them too, and heaptap reads "
    "theirs.\n";

const char ht_prompt_text[] =
    "Without a command, `heaptap FILE` opens a prompt with the reports as commands (top, list RE, peek RE ...) and the "
    "options as name=value; `help` there lists them. Commands can come from standard input as well.\n";

const char ht_inputs_text[] =
    "Wherever a profile is named, it can be a file (.pb.gz or plain, of any program that writes pprof profiles), the "
    "PID or the name of a profiled program, the region that a dead one left behind (FILE.live), the URL of a /debug/pprof "
    "endpoint (http://, https://, host:port or host:port/path; host:port alone is its heap profile), or - for "
    "standard input. A name is a word without a slash or a colon that is no file's here but a program's (./NAME is a file), and stands for all "
    "profiled processes that are called so. A number is a pid, also that of a process in its container; a "
    "file of such a name is written ./NUMBER. Several are added up; of several snapshots that heaptap took of one "
    "process the newest is meant, and what forked processes share counts once. --sum adds up everything.\n\n"
    "A report and the prompt take the program's own file (ELF) in front of the profiles, as pprof does: it stands for the "
    "file that the first mapping names, and gives its names and lines. One whose build id is not that of the profile is "
    "left aside, with a warning.\n\n"
    "Options can stand anywhere on the line, with one dash or two, with `_` for `-`: --sample-index=alloc_space, "
    "--alloc-space and -alloc_space are the same.\n\n"
    "Reports and their options are those of `go tool pprof`. Where its versions differ, heaptap follows the one of Go "
    "1.19: times are not in ISO form, lines have no columns, and a single input is merged as several are (equal stacks "
    "are added up, samples of 0 go). tags and --all-frames are those of google/pprof since 2025.\n";

const char ht_start_examples[] =
    "  heaptap run ./server\n"
    "      run a program under the profiler\n"
    "  kill -USR2 PID\n"
    "      take a snapshot of it, at any time (or: heaptap snap PID)\n"
    "  heaptap top PID\n"
    "      who holds its memory now\n"
    "  heaptap PID\n"
    "      a prompt for many questions about one moment: top10, list RE, focus=RE, help\n"
    "  heaptap diff OLD.pb.gz NEW.pb.gz\n"
    "      what grew between two snapshots, the leak on top\n"
    "  heaptap top http://host:6060/debug/pprof/heap\n"
    "      the heap of a Go program, or of anything that serves profiles\n";

// "  command\n      what\n" as one line for each.
static void print_examples(FILE *out, const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n"), indent = strspn(text, " ");
        if (indent > 2)
            fprintf(out, "  %.*s\n", (int)(length - indent), text + indent);
        else if (length > 40)
            fprintf(out, "%.*s\n%42s", (int)length, text, "");
        else
            fprintf(out, "%-42.*s", (int)length, text);
        text += length;
        text += *text == '\n';
    }
}

void ht_help_print(FILE *out)
{
    fprintf(
        out,
        "heaptap: where a native program's memory goes, and what leaks\n\n"
        "usage: heaptap COMMAND [options] ...\n"
        "       heaptap PROFILE                 a prompt: top10, list RE, focus=RE ...; reads scripts, too\n"
        "       heaptap COMMAND --help          each command explains itself by example\n");
    for (const struct ht_group *group = ht_groups; group->title != NULL; group++) {
        fprintf(out, "\n%s:\n", group->title);
        for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL; at++)
            if (command->group == group->group)
                fprintf(out, "  %-10s %s\n", command->name, command->summary);
    }
    fprintf(out, "\nstart here:\n");
    print_examples(out, ht_start_examples);
    fprintf(
        out,
        "\nA profile is a .pb.gz file, a PID, a FILE.live, a URL or -. Profiles are pprof files:\n"
        "`go tool pprof`, Pyroscope and Parca read them as well. Whatever `go tool pprof` reads is read: the heap,\n"
        "CPU and contention profiles of gperftools, tcmalloc and Java, Go's ?debug=1; jemalloc's heap profiles\n"
        "too; each plain or packed with gzip, zstd, xz, bzip2 or lz4.\n");
}
