// The rows of the commands that are reports: what differs between them is what they are called and how they
// explain themselves; options and function are those of cmd/report.c, what they show is in cmd/reports.c.
#include "cmd/report.h"

const struct ht_command ht_command_top = {
    .name = "top",
    .summary = "show the functions that hold or allocate the most",
    .usage = "[options] FILE|PID|URL...",
    .text =
        "One row for each function: `flat` is what it holds or allocates itself, `cum` what it and everything that it\n"
        "calls do. The report is that of `go tool pprof -top`, with native names: ELF symbols and DWARF, inlined\n"
        "functions included.\n"
        "\n"
        "Reads pprof profiles of any writer (.pb.gz or plain), running processes (PID), regions of dead ones (*.live)\n"
        "and the URLs of /debug/pprof endpoints. Several inputs are added up; of several snapshots of one process the newest\n"
        "is meant, and what forked processes share counts once (--sum adds up everything). The program's own file may stand\n"
        "in front of them, where it is no longer at the path that the profile names.\n",
    .examples = "  heaptap top heap.pb.gz\n"
                "      live bytes by function\n"
                "  heaptap top --cum -n 20 heap.pb.gz\n"
                "      the 20 functions below which the most is held\n"
                "  heaptap top --alloc-space --lines heap.pb.gz\n"
                "      all bytes ever allocated, by line\n"
                "  heaptap top --focus parse 4242\n"
                "      only stacks through functions, files or libraries that match, in process 4242\n"
                "  heaptap top --diff-base first.pb.gz last.pb.gz\n"
                "      what changed between the two\n"
                "  heaptap top --by process heaptap.server.*.pb.gz\n"
                "      what each process holds, by its newest snapshot\n"
                "  heaptap top ./build/server heap.pb.gz\n"
                "      names from this copy of the program\n"
                "  heaptap top --seconds 10 host:6060/debug/pprof/profile\n"
                "      where a Go server spends its time in the next 10 seconds\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_text = {
    .name = "text",
    .summary = "the same as top",
    .usage = "[options] FILE|PID|URL...",
    .text = "pprof's other name for `heaptap top`.\n",
    .examples = "  heaptap text --cum heap.pb.gz\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_peek = {
    .name = "peek",
    .summary = "show who calls a function and what it calls",
    .usage = "[options] RE FILE|PID|URL...",
    .text =
        "For each function whose name matches the regular expression: its callers above it and its callees below, each\n"
        "with what of the function's value came that way. Nothing is left out as negligible.\n",
    .examples = "  heaptap peek '^parse_request$' heap.pb.gz\n"
                "      from where is it called, and where does its memory go\n"
                "  heaptap peek --alloc-space --lines strdup 4242\n"
                "      the lines that call strdup in process 4242\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_tree = {
    .name = "tree",
    .summary = "show every function between its callers and callees",
    .usage = "[options] FILE|PID|URL...",
    .text =
        "The call graph as text: what `heaptap peek` shows of one function, of the 80 heaviest (or -n N).\n",
    .examples = "  heaptap tree heap.pb.gz\n"
                "  heaptap tree --cum -n 20 --focus parse heap.pb.gz\n"
                "      the 20 functions with the most below them, only what goes through parse\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_traces = {
    .name = "traces",
    .summary = "show every stack with its value and labels",
    .usage = "[options] FILE|PID|URL...",
    .text =
        "One block for each sample: its labels (among them `bytes`, the size of the objects), its value, and the stack\n"
        "from the allocation up to the program's start. Samples that differ only in a label stay apart.\n",
    .examples = "  heaptap traces --lines heap.pb.gz\n"
                "      with file and line\n"
                "  heaptap traces --focus cache_add --tagfocus bytes=64kb: heap.pb.gz\n"
                "      only stacks through cache_add that hold objects of 64 kB or more\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_tags = {
    .name = "tags",
    .summary = "show the labels' values and what each of them holds",
    .usage = "[options] FILE|PID|URL...",
    .text =
        "For each label (bytes, thread, those set by the program): how much of the profile has it, and its values, the\n"
        "heaviest first. Percentages are of the profile, not of what filters leave (--relative-percentages: of that).\n",
    .examples = "  heaptap tags heap.pb.gz\n"
                "      which object sizes hold the memory\n"
                "  heaptap tags --focus cache_add --tagshow thread heap.pb.gz\n"
                "      which threads did the allocations below cache_add\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_raw = {
    .name = "raw",
    .summary = "dump a profile as text",
    .usage = "[options] FILE|PID|URL...",
    .text =
        "Everything that is in the profile: header, samples with all their values and labels, locations with address,\n"
        "functions, files and lines, and mappings with build ids. With --json the same for scripts.\n",
    .examples = "  heaptap raw heap.pb.gz | less\n"
                "  heaptap raw --json --symbolize none heap.pb.gz\n"
                "      as it is in the file, for a script\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_comments = {
    .name = "comments",
    .summary = "show a profile's comments: how it was recorded",
    .usage = "[options] FILE|PID|URL...",
    .text =
        "The comments of all inputs, each once. Those of heaptap's own profiles (# heaptap: key=value) say which process\n"
        "it was, when, at which rate, why the snapshot was taken, and what was lost.\n",
    .examples = "  heaptap comments heap.pb.gz\n"
                "  heaptap comments heap.pb.gz | grep rate=\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_proto = {
    .name = "proto",
    .summary = "write what filters leave of a profile, or several merged, as a profile",
    .usage = "[options] -o OUT.pb.gz FILE|PID|URL...",
    .text =
        "The output is a gzip'ed profile.proto with names, readable by every tool that reads pprof profiles. All sample\n"
        "types stay in it.\n",
    .examples = "  heaptap proto -o all.pb.gz heaptap.server.*.pb.gz\n"
                "      the sum of several processes\n"
                "  heaptap proto --focus parse -o parse.pb.gz 4242\n"
                "      only stacks through parse, of the running process 4242\n"
                "  heaptap proto --base first.pb.gz last.pb.gz > growth.pb.gz\n"
                "      the difference of two profiles as one\n",
    .group = HT_GROUP_SHARE,
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_list = {
    .name = "list",
    .summary = "show the source of functions with the value of each line",
    .usage = "[options] RE FILE|PID|URL...",
    .text =
        "The source of every function whose name matches RE; in front of each line its own value (flat) and that with what\n"
        "it calls (cum).\n"
        "\n"
        "Absolute file names of the profile are opened as they are, relative ones are looked for in the folders of\n"
        "--source-path (default: the current one) and in all folders above them; those of Go's modules also in a module\n"
        "cache there (~/go/pkg/mod) and in a folder `vendor`. --trim-path takes prefixes off that come\n"
        "from another machine. The files are taken as they are now: a listing of changed sources is shifted.\n",
    .examples = "  heaptap list '^parse_request$' heap.pb.gz\n"
                "      which line of it holds the memory\n"
                "  heaptap list --alloc-space cache_ 4242\n"
                "      functions with cache_ in their name, all that they ever allocated, of process 4242\n"
                "  heaptap list --trim-path /build/server-1.2 --source-path ~/src/server main heap.pb.gz\n"
                "      the program was built elsewhere\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_dot = {
    .name = "dot",
    .summary = "write the call graph in Graphviz's language",
    .usage = "[options] FILE|PID|URL...",
    .text =
        "Boxes are functions (or what --lines and its like say), their letters as large as their own value; arrows are\n"
        "calls, dotted where functions in between are left out. At most 80 boxes, unless -n says otherwise.\n",
    .examples = "  heaptap dot heap.pb.gz | dot -Tpng -o heap.png\n"
                "  heaptap dot --focus parse_request --call-tree heap.pb.gz > parse.dot\n"
                "      a box for each way that leads to a function\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_svg = {
    .name = "svg",
    .summary = "draw the call graph as a picture, with Graphviz",
    .usage = "[options] -o OUT.svg FILE|PID|URL...",
    .text =
        "What `heaptap dot` writes, drawn by Graphviz's program `dot` (Debian: apt install graphviz). `heaptap -png`, -pdf,\n"
        "-ps and -gif draw it in these forms.\n",
    .examples = "  heaptap svg -o heap.svg heap.pb.gz\n"
                "  heaptap -png -o heap.png 4242\n"
                "  heaptap svg --diff-base first.pb.gz -o growth.svg last.pb.gz\n"
                "      red is growth, green is less\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_callgrind = {
    .name = "callgrind",
    .summary = "write the call graph for KCachegrind and callgrind_annotate",
    .usage = "[options] FILE|PID|URL...",
    .text = "All functions, addresses and calls, in the format of valgrind's tool callgrind.\n",
    .examples = "  heaptap callgrind -o callgrind.out.heap heap.pb.gz && kcachegrind callgrind.out.heap\n"
                "  heaptap callgrind --alloc-objects -o callgrind.out.heap 4242\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_folded = {
    .name = "folded",
    .summary = "write folded stacks for flamegraph.pl and speedscope",
    .usage = "[options] FILE|PID|URL...",
    .text =
        "A line for each stack: its functions from the root to the allocation, joined by ';', a blank and the value. In names\n"
        "';' becomes ':'; blanks stay, as only a line's last one parts. --tagroot and --tagleaf put labels into the stacks.\n",
    .examples = "  heaptap folded heap.pb.gz | flamegraph.pl --countname bytes > heap.svg\n"
                "  heaptap folded --alloc-objects --tagroot thread heap.pb.gz > heap.folded\n"
                "      one tree for each thread; speedscope opens the file\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};

const struct ht_command ht_command_flame = {
    .name = "flame",
    .summary = "draw a flame graph: one page for the browser, or a picture",
    .usage = "[options] [--base OLD] -o OUT.html FILE|PID|URL...",
    .text =
        "Every stack as a pile of frames, as wide as what it holds. The page needs no network and no server: open it from\n"
        "the file. It zooms, searches, switches between the profile's sample types, and shows the root at the bottom or on\n"
        "top. With --base, red frames grew and blue ones shrank since OLD; widths are those of now, of before, or of the\n"
        "change.\n"
        "\n"
        "At most 20,000 frames are drawn (--nodecount N; --nodefraction X leaves out those below a part of all,\n"
        "--no-trim nothing); the page lists what was left out. --svg draws one sample type as a static picture, --json\n"
        "writes the tree for scripts. --tagroot and --tagleaf put labels into the stacks.\n",
    .examples = "  heaptap flame -o heap.html heap.pb.gz\n"
                "      then open heap.html in a browser\n"
                "  heaptap flame --base first.pb.gz -o growth.html last.pb.gz\n"
                "      what grew is red\n"
                "  heaptap flame --tagroot thread -o threads.html 4242\n"
                "      one tree for each thread of process 4242\n"
                "  heaptap flame --svg --alloc-space -o heap.svg heap.pb.gz\n"
                "      a picture for a document\n",
    .options = ht_options_report,
    .run = ht_cmd_report,
};
