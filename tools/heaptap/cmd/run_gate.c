// The gate of `heaptap run`: finds the profile of the program's exit and judges what is live in it.
#include "cmd/run_gate.h"

#include "base/regex.h"
#include "base/text.h"
#include "cmd/command.h"
#include "input/load.h"
#include "profile/bounds.h"
#include "stats/health.h"
#include "view/text/gate.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 10 };

int ht_run_gate_prepare(struct ht_run_gate *gate, struct ht_run_settings *settings)
{
    if (gate->limit_bytes == HT_RUN_UNSET && (gate->ignore != NULL || gate->suppressions != NULL)) {
        ht_cmd_usage_error("run", "--%s is for what --fail-above SIZE judges",
                           gate->ignore != NULL ? "ignore" : "suppressions");
        return HT_RUN_OWN_FAILURE;
    }
    if (gate->limit_bytes == HT_RUN_UNSET)
        return 0;
    if (settings->no_exit || settings->dormant) {
        ht_cmd_usage_error("run", "--fail-above needs what --%s leaves out",
                           settings->no_exit ? "no-exit" : "dormant");
        return HT_RUN_OWN_FAILURE;
    }
    if (gate->suppressions != NULL && ht_suppressions_read(&gate->list, gate->suppressions) < 0) {
        ht_cmd_error("run", "%s", ht_error());
        return HT_RUN_OWN_FAILURE;
    }
    struct ht_regex *regex;
    if (gate->ignore != NULL && ht_regex_compile(gate->ignore, &regex) < 0) {
        ht_cmd_usage_error("run", "%s", ht_error());
        return HT_RUN_OWN_FAILURE;
    }
    if (gate->ignore != NULL)
        ht_regex_free(regex);
    const char *rate = getenv("HEAPTAP_RATE");
    if (settings->rate_bytes == HT_RUN_UNSET && (rate == NULL || *rate == '\0'))
        settings->rate_bytes = 1;
    gate->no_symbolize = settings->no_symbolize;
    return 0;
}

// By its name, and by what it says itself: others may write into the same folder.
static bool is_of_exit(const char *name, const char *path, pid_t program, uint64_t run_id)
{
    char infix[32], run[32];
    struct ht_profile *profile;
    snprintf(infix, sizeof infix, ".%ld.", (long)program);
    snprintf(run, sizeof run, "%" PRIu64, run_id);
    if (strstr(name, infix) == NULL ||
        (!ht_text_ends_with(name, ".exit.pb.gz") && !ht_text_ends_with(name, ".recovered.pb.gz")) ||
        ht_input_open(path, &profile) < 0)
        return false;
    const char *pid = ht_profile_comment_value(profile, "pid"),
               *id = ht_profile_comment_value(profile, "run");
    bool is_ours = pid != NULL && strtol(pid, NULL, 10) == program && id != NULL && strcmp(id, run) == 0;
    ht_profile_free(profile);
    return is_ours;
}

void ht_run_gate_find(struct ht_run_gate *gate, const char *directory, pid_t program, uint64_t run_id,
                      struct timespec started)
{
    struct ht_written_files list = {0};
    if (gate->limit_bytes == HT_RUN_UNSET)
        return;
    ht_run_list_written(directory, started, &list);
    for (size_t i = 0; i < list.count && gate->profile == NULL; i++) {
        char *path = ht_format("%s/%s", directory, list.files[i].name);
        if (is_of_exit(list.files[i].name, path, program, run_id))
            gate->profile = path;
        else
            free(path);
    }
    ht_run_free_written(&list);
}

static void warn_loss(void *arg, const char *text)
{
    (void)arg;
    ht_warn("%s", text);
}

// The rows and, last, why: a line each, as all that is said on standard error.
static void say_rows(const struct ht_gate *judged)
{
    char folder[PATH_MAX];
    struct ht_gate_form form = {.limit = ROWS};
    struct ht_buffer rows = {0};
    if (getcwd(folder, sizeof folder) != NULL && strcmp(folder, "/") != 0)
        form.trim_path = folder;
    ht_gate_held(judged, &form, &rows);
    for (char *rest = rows.data, *line; (line = ht_text_take_line(&rest)) != NULL;)
        if (*line != '\0')
            ht_cmd_say("run", "%s", line);
    ht_buffer_free(&rows);
}

static int say_verdict(const struct ht_gate *judged, const char *program, bool talks)
{
    struct ht_buffer held = {0}, limit = {0};
    const struct ht_gate_row *total = &judged->total;
    bool seems = (double)total->new > judged->limit;
    ht_gate_amount(judged, (double)total->new, total->error, false, &held);
    ht_gate_amount(judged, judged->limit, 0, false, &limit);
    if (seems)
        say_rows(judged);
    const char *estimate = judged->is_exact ? "" : ", an estimate";
    if (total->fails)
        ht_cmd_say("run", "%s was live at the exit of %s%s: more than --fail-above %s", held.data, program,
                   estimate, limit.data);
    else if (seems)
        ht_cmd_say(
            "run",
            "%s was live at the exit of %s%s: that it is more than --fail-above %s is not proven; --rate 1 "
            "would tell",
            held.data, program, estimate, limit.data);
    else if (talks)
        ht_cmd_say("run", "%s was live at the exit of %s%s: not more than --fail-above %s", held.data,
                   program, estimate, limit.data);
    ht_buffer_free(&held);
    ht_buffer_free(&limit);
    return total->fails ? HT_EXIT_THRESHOLD : HT_EXIT_DONE;
}

static int judge_profile(struct ht_run_gate *gate, const char *program, bool talks)
{
    struct ht_load load = {.no_symbols = gate->no_symbolize};
    struct ht_profile *profile;
    struct ht_gate judged;
    if (ht_load_one(&load, gate->profile, &profile) < 0) {
        ht_cmd_error("run", "%s", ht_error());
        return HT_RUN_OWN_FAILURE;
    }
    ht_health_each_loss(profile, warn_loss, NULL);
    ht_profile_bound_inlines(profile);
    ht_profile_bound_texts(profile);
    ht_profile_make_printable(profile);
    struct ht_gate_options options = {.granularity = HT_BY_LINES,
                                      .filter = {.ignore = gate->ignore},
                                      .suppressions = &gate->list,
                                      .limit = (double)gate->limit_bytes,
                                      .chance = 0.025, // the lower end of a 95 % interval
                                      .total_alone = true,
                                      .new_rate = ht_load_rate(profile)};
    int status = HT_RUN_OWN_FAILURE;
    if (ht_gate_judge(&judged, profile, &options) < 0) {
        ht_cmd_error("run", "%s: %s", gate->profile, ht_error());
    } else {
        status = say_verdict(&judged, program, talks);
        ht_gate_free(&judged);
    }
    ht_profile_free(profile);
    ht_cmd_tell_notes("run");
    return status;
}

int ht_run_gate_judge(struct ht_run_gate *gate, const char *program, int status, bool talks)
{
    if (gate->limit_bytes == HT_RUN_UNSET)
        return status;
    if (status != 0) {
        ht_cmd_say("run", "%s failed (status %d): what it left behind is not judged", program, status);
        return status;
    }
    if (gate->profile == NULL) {
        ht_cmd_error(
            "run",
            "%s wrote no profile at its exit, so --fail-above cannot be judged (it allocated nothing, or "
            "the profiler was switched off or could not write)",
            program);
        return HT_RUN_OWN_FAILURE;
    }
    return judge_profile(gate, program, talks);
}

void ht_run_gate_free(struct ht_run_gate *gate)
{
    ht_suppressions_free(&gate->list);
    free(gate->profile);
    gate->profile = NULL;
}
