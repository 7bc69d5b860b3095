// The table of --json's fields by command, and the words that only one command has.
#include "cmd/json_fields.h"

#include <string.h>

#define HEADER "report program? build_id? sample_type unit time_ns duration_ns total"
#define NODE   "name function? file? line? object? address?"
#define ROW    NODE " flat flat_percent sum_percent cum cum_percent inlined"
#define EDGE   NODE " value percent inlined"
#define CHANGE "old new change change_per_minute error low high p_value verdict freed_share"
#define JUDGED "old new change error p_value level fails"

const struct ht_json_fields ht_json_fields[] = {
    {"top text tree peek", "", HEADER " nodes dropped_nodes rows"},
    {"top text", "", "total_error?"},
    {"top text tree peek", "rows[]", ROW},
    {"top text", "rows[]", "flat_error?"},
    {"tree peek", "rows[]", "callers callees"},
    {"tree peek", "rows[].callers[]", EDGE},
    {"tree peek", "rows[].callees[]", EDGE},
    {"traces", "", HEADER " rows"},
    {"traces", "rows[]", "value labels frames"},
    {"traces", "rows[].frames[]", NODE " inlined"},
    {"traces raw proto", "rows[].labels[]", "key text? number? unit?"},
    {"tags", "", HEADER " rows"},
    {"tags", "rows[]", "key value percent tags"},
    {"tags", "rows[].tags[]", "text value percent"},
    {"comments", "", HEADER " rows"},
    {"raw proto", "",
     HEADER " comments period_type period_unit period default_sample_type sample_types rows "
            "locations mappings"},
    {"raw proto", "sample_types[]", "sample_type unit"},
    {"raw proto", "rows[]", "values location_ids labels"},
    {"raw proto", "locations[]", "id mapping_id? address folded frames"},
    {"raw proto", "locations[].frames[]", "function system_name? file line column start_line"},
    {"raw proto", "mappings[]",
     "id start limit offset file build_id has_functions has_filenames "
     "has_line_numbers has_inline_frames"},
    {"list", "", HEADER " rows"},
    {"list", "rows[]", "name function file? flat cum cum_percent error? lines"},
    {"list", "rows[].lines[]", "line flat cum source"},
    {"dot svg callgrind", "", HEADER " nodes dropped_nodes rows edges"},
    {"dot svg callgrind", "rows[]", "id " ROW},
    {"dot svg callgrind", "rows[]", "tags"},
    {"dot svg", "rows[].tags[]", "text number? flat cum"},
    {"dot svg callgrind", "edges[]", "from to value inlined indirect"},
    {"folded", "", HEADER " rows"},
    {"folded", "rows[]", "value frames"},
    {"folded", "rows[].frames[]", NODE},
    {"flame", "", HEADER " sample_types has_base nodes cut_frames cut_percent rows"},
    {"flame", "sample_types[]", "sample_type unit"},
    {"flame", "rows[]",
     "id parent? depth name function? file? line? last_line? object? address? inlined? values "
     "self_values base_values? base_self_values? cut_frames? cut_values? base_cut_values?"},
    {"symbolize", "", "input output locations named jit_locations jit_named modules"},
    {"symbolize", "modules[]", "file build_id names_from locations named"},
    {"diff", "", "report sample_type unit minutes changed unchanged total rows"},
    {"diff", "total", CHANGE},
    {"diff", "rows[]", "name function file line path " CHANGE},
    {"growth", "", "report chance rows processes"},
    {"growth", "rows[]",
     "process verdict bytes_per_hour low high error now_bytes now_error freed_share began level_since? p_value "
     "q_value series stack"},
    {"growth", "rows[].stack[]", "function file? line?"},
    {"growth", "processes[]",
     "process sample_type unit snapshots begin end call_sites growing false_discovery_rate limit_bytes times "
     "live_bytes rss_bytes"},
    {"check", "",
     "report sample_type unit one_process limit_bytes chance tests failing suppressed_bytes exact "
     "smallest_total_bytes smallest_total_samples smallest_site_bytes smallest_site_samples total rows"},
    {"check", "total", JUDGED},
    {"check", "rows[]", "name function? file? line? stack " JUDGED},
    {"check", "rows[].stack[]", "function file? line?"},
    {"leaks", "", "report age_seconds total_bytes call_sites rows"},
    {"leaks", "rows[]",
     "class evidence bytes_per_hour low high error now_bytes now_error freed_share samples oldest_seconds "
     "youngest_seconds median_seconds ages stack"},
    {"leaks", "rows[].stack[]", "function file? line?"},
    {"ps", "", "processes"},
    {"ps", "processes[]",
     "pid container_pid? user program arguments rss_bytes? state age_seconds? region note? live_bytes? "
     "live_error_bytes? at_least? "
     "growth_bytes_per_minute? growth_error_bytes_per_minute? rate_bytes? snapshots? "
     "region_bytes? out_dir? signal? signal_handler? health?"},
    {"doctor", "", "works works_after_restart pid? subject program checks"},
    {"doctor", "checks[]", "check status decides seen advice"},
    {.commands = NULL},
};

// Words that the reports do not have, or that mean something else in one command.
static const struct {
    const char *command;
    struct ht_json_word word;
} own_words[] = {
    {"symbolize", {"input", "text", "the profile that was read"}},
    {"symbolize", {"output", "text", "the profile that was written"}},
    {"symbolize", {"locations", "whole number", "addresses that had no names"}},
    {"symbolize", {"named", "whole number", "those of them that have names now"}},
    {"symbolize", {"jit_locations", "whole number", "addresses in code made at run time"}},
    {"symbolize", {"jit_named", "whole number", "those of them that perf-PID.map had names for"}},
    {"symbolize", {"modules", "list", "one for each executable or library"}},
    {"symbolize", {"names_from", "text", "where its names came from, or why there are none"}},
    {"diff", {"minutes", "number", "time between the snapshots; null: unknown"}},
    {"diff", {"changed", "whole number", "call sites whose value changed, shown or not"}},
    {"diff", {"unchanged", "whole number", "call sites whose value is the same"}},
    {"diff", {"total", "object", "the change of everything"}},
    {"diff", {"old", "whole number", "value in the older snapshot"}},
    {"diff", {"new", "whole number", "value in the newer snapshot"}},
    {"diff", {"change", "whole number", "new minus old"}},
    {"diff", {"change_per_minute", "number", "change divided by minutes; null: unknown"}},
    {"diff", {"error", "number", "standard error of the change, by the sampling; null: unknown"}},
    {"diff", {"low", "number", "lower end of its 95 % interval"}},
    {"diff", {"high", "number", "upper end of its 95 % interval"}},
    {"diff", {"p_value", "number", "chance of such a change, up or down, where there is none"}},
    {"diff",
     {"verdict", "text",
      "grows, shrinks or noise, corrected for the number of rows; null: errors are unknown"}},
    {"diff",
     {"freed_share", "number",
      "how much of what it ever allocated was freed, 0 to 1; null: that cannot be told"}},
    {"diff", {"path", "list", "the heaviest stack of the change, the allocation first"}},
    {"growth", {"chance", "number", "how often a call site that does not grow may be called growing"}},
    {"growth", {"rows", "list", "the call sites of all processes, of each what grows first"}},
    {"growth", {"process", "text", "program and pid"}},
    {"growth",
     {"verdict", "text", "grows, steps, levels, cycles, shrinks, noise or undecided (see the text above)"}},
    {"growth", {"bytes_per_hour", "whole number", "slope over the snapshots, in the sample type's unit"}},
    {"growth", {"low", "whole number", "lower end of its 95 % interval"}},
    {"growth", {"high", "whole number", "upper end of its 95 % interval"}},
    {"growth", {"error", "whole number", "its standard error"}},
    {"growth", {"now_bytes", "whole number", "what the call site holds in the last snapshot"}},
    {"growth", {"now_error", "whole number", "standard error of now_bytes"}},
    {"growth",
     {"freed_share", "number",
      "how much of what it ever allocated was freed, 0 to 1; null: that cannot be told"}},
    {"growth", {"began", "text", "when the growth began (RFC 3339); null: the snapshots have no time"}},
    {"growth", {"level_since", "text", "when it ended"}},
    {"growth",
     {"p_value", "number", "at most the chance that a call site without drift looks like growth as much"}},
    {"growth",
     {"q_value", "number", "false discovery rate if this row and all clearer ones are called growing"}},
    {"growth", {"series", "list", "what it holds in each snapshot"}},
    {"growth", {"stack", "list", "its heaviest stack, the allocation first"}},
    {"growth", {"processes", "list", "one for each process with snapshots"}},
    {"growth", {"snapshots", "whole number", "how many of them there are"}},
    {"growth", {"begin", "text", "time of the first snapshot (RFC 3339)"}},
    {"growth", {"end", "text", "time of the last one"}},
    {"growth", {"call_sites", "whole number", "how many were judged, shown or not"}},
    {"growth", {"growing", "whole number", "how many of them grow"}},
    {"growth", {"false_discovery_rate", "number", "expected share of chance among those, at most"}},
    {"growth", {"limit_bytes", "number", "memory that the process may have; null: unknown"}},
    {"growth", {"times", "list", "of the snapshots, in seconds since the first"}},
    {"growth", {"live_bytes", "list", "the sample type's total in each snapshot"}},
    {"growth", {"rss_bytes", "list", "resident memory in each snapshot; null: unknown"}},
    {"check", {"one_process", "true or false", "two snapshots of one process, which share samples"}},
    {"check", {"limit_bytes", "number", "growth that is allowed"}},
    {"check", {"chance", "number", "that anything fails wrongly, at most: 1 - confidence"}},
    {"check", {"tests", "whole number", "how many were made: of the total, and of each call site"}},
    {"check", {"failing", "whole number", "how many of them fail"}},
    {"check", {"suppressed_bytes", "whole number", "what suppressions took out of the newer profile"}},
    {"check", {"exact", "true or false", "every allocation was recorded: nothing is an estimate"}},
    {"check",
     {"smallest_total_bytes", "number",
      "smallest growth of the total that could be proven; null: none could"}},
    {"check", {"smallest_total_samples", "number", "so many samples are that"}},
    {"check", {"smallest_site_bytes", "number", "the same of a call site that held nothing before"}},
    {"check", {"smallest_site_samples", "number", "so many samples are that"}},
    {"check", {"total", "object", "all call sites together"}},
    {"check", {"old", "whole number", "live bytes in the older snapshot"}},
    {"check", {"new", "whole number", "live bytes in the newer one"}},
    {"check", {"change", "whole number", "new - old"}},
    {"check", {"error", "number", "standard error of change"}},
    {"check", {"p_value", "number", "chance of such a change where no more than the limit has come"}},
    {"check", {"level", "number", "it fails where p_value is not above this"}},
    {"check", {"fails", "true or false", "growth beyond the limit is proven"}},
    {"check", {"stack", "list", "the stack that grew most, the allocation first; empty: none grew"}},
    {"leaks", {"age_seconds", "number", "of the process"}},
    {"leaks", {"total_bytes", "number", "the live heap"}},
    {"leaks", {"call_sites", "whole number", "how many were judged, shown or not"}},
    {"leaks", {"rows", "list", "one for each call site, by what it is believed to lose"}},
    {"leaks", {"class", "text", "grows, bounded, start-up, in use or undecided (see the text above)"}},
    {"leaks", {"evidence", "text", "why, in words"}},
    {"leaks", {"bytes_per_hour", "number", "how fast it grows; null: it is not said to"}},
    {"leaks", {"low", "number", "lower end of its 95 % interval"}},
    {"leaks", {"high", "number", "upper end of its 95 % interval"}},
    {"leaks", {"error", "number", "its standard error"}},
    {"leaks", {"now_bytes", "whole number", "what the call site holds"}},
    {"leaks", {"now_error", "whole number", "standard error of now_bytes"}},
    {"leaks",
     {"freed_share", "number",
      "how much of what it ever allocated was freed, 0 to 1; null: that cannot be told"}},
    {"leaks", {"samples", "whole number", "live samples that the class goes by"}},
    {"leaks", {"oldest_seconds", "number", "age of the oldest of them"}},
    {"leaks", {"youngest_seconds", "number", "age of the youngest"}},
    {"leaks", {"median_seconds", "number", "half of them are older"}},
    {"leaks", {"ages", "list", "live bytes by age in ten parts, from the process's start to now"}},
    {"leaks", {"stack", "list", "its heaviest stack, the allocation first"}},
    {"ps", {"processes", "list", "one for each process"}},
    {"ps", {"pid", "whole number", "of the process, as seen from here"}},
    {"ps",
     {"container_pid", "whole number", "its number in its own pid namespace, where that is another one"}},
    {"ps", {"user", "text", "whose process it is: a name, or a number without one"}},
    {"ps", {"arguments", "text", "its command line as it is now; of a dead one, as it was at the start"}},
    {"ps", {"rss_bytes", "whole number", "its resident memory"}},
    {"ps",
     {"at_least", "true or false",
      "a forked child that has sampled nothing: live_bytes is what its parent still holds of before the fork"}},
    {"ps", {"program", "text", "base name of the executable"}},
    {"ps", {"state", "text", "recording, stopped, failed, no samples, inherited or dead"}},
    {"ps", {"age_seconds", "number", "since the process started"}},
    {"ps", {"region", "text", "path of the live region; null: it has none"}},
    {"ps", {"note", "text", "why there are no figures"}},
    {"ps", {"live_bytes", "whole number", "estimate of the live heap"}},
    {"ps", {"live_error_bytes", "whole number", "standard error of live_bytes"}},
    {"ps", {"growth_bytes_per_minute", "whole number", "change of the live heap between the two looks"}},
    {"ps", {"growth_error_bytes_per_minute", "whole number", "its standard error"}},
    {"ps", {"rate_bytes", "whole number", "mean distance between two samples"}},
    {"ps", {"snapshots", "whole number", "profiles written so far"}},
    {"ps", {"region_bytes", "whole number", "memory that the live region takes"}},
    {"ps", {"out_dir", "text", "where its profiles go"}},
    {"ps", {"signal", "text", "the snapshot signal; null: none is wanted"}},
    {"ps",
     {"signal_handler", "text",
      "whose it is by what the process said last: profiler, program, ignored, default (it would kill) or none"}},
    {"ps", {"health", "object", "counters that are not zero, by the names of the profile's comments"}},
    {"doctor", {"works", "text", "will profiling work, or is the region sound: yes, partly or no"}},
    {"doctor", {"works_after_restart", "text", "the same when the process is started again"}},
    {"doctor", {"pid", "whole number", "the process that was asked about"}},
    {"doctor", {"subject", "text", "the program, process or region as it was named"}},
    {"doctor", {"program", "text", "path of the executable"}},
    {"doctor", {"checks", "list", "one for each thing that was looked at"}},
    {"doctor", {"check", "text", "its name, which stays the same"}},
    {"doctor", {"status", "text", "ok, warning or problem"}},
    {"doctor", {"decides", "true or false", "this check makes profiling work partly or not at all"}},
    {"doctor", {"seen", "text", "what was found, for people"}},
    {"doctor", {"advice", "text", "what to change; null: nothing"}},
};

bool ht_json_fields_match(const struct ht_json_fields *fields, const char *command)
{
    size_t wanted = strlen(command);
    for (const char *at = fields->commands; *at != '\0';) {
        size_t length = strcspn(at, " ");
        if (length == wanted && memcmp(at, command, length) == 0)
            return true;
        at += length;
        at += strspn(at, " ");
    }
    return false;
}

const struct ht_json_word *ht_json_field_word(const char *command, const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof own_words / sizeof *own_words; i++)
        if (strcmp(own_words[i].command, command) == 0 && strlen(own_words[i].word.name) == length &&
            memcmp(own_words[i].word.name, name, length) == 0)
            return &own_words[i].word;
    for (const struct ht_json_word *word = ht_json_words; word->name != NULL; word++)
        if (strlen(word->name) == length && memcmp(word->name, name, length) == 0)
            return word;
    return NULL;
}
