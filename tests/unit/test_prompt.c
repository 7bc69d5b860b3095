// Tests the prompt's parts that need no terminal: words of a line, settings by name, completion.
#include "base/error.h"
#include "prompt/prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect_words(const char *text, const char *joined, const char *pipe)
{
    struct ht_prompt_line line;
    struct ht_buffer out = {0};
    assert_int_equal(ht_prompt_split(text, &line), 0);
    ht_buffer_text(&out, "");
    for (size_t i = 0; i < line.count; i++)
        ht_buffer_printf(&out, "%s<%s>", line.words[i].is_quoted ? "q" : "", line.words[i].text);
    assert_string_equal(out.data, joined);
    if (pipe == NULL)
        assert_null(line.pipe);
    else
        assert_string_equal(line.pipe, pipe);
    ht_buffer_free(&out);
    ht_prompt_line_free(&line);
}

static void test_split(void **state)
{
    (void)state;
    expect_words("", "", NULL);
    expect_words(" \t ", "", NULL);
    expect_words("top10", "<top10>", NULL);
    expect_words("  top\t5 -cum ", "<top><5><-cum>", NULL);
    expect_words("list 'a b' -\"c d\" >'e f'", "<list>q<a b>q<-c d>q<>e f>", NULL);
    expect_words("list f<'a> a|b", "<list><f<'a>><a|b>", NULL);
    expect_words("top ''", "<top>q<>", NULL);
    expect_words("top 3 | less -S 'x y' | cat", "<top><3>", "less -S 'x y' | cat");
    expect_words("|", "", "");
    struct ht_prompt_line line;
    assert_int_equal(ht_prompt_split("list 'a b", &line), -1);
    assert_non_null(strstr(ht_error(), "quotation mark"));
}

static struct ht_prompt prompt_of(struct ht_profile *profile)
{
    static const char *functions[] = {"main.(*T).Run", "main.leak", "main.list", "operator new", "parse"};
    struct ht_prompt prompt = {.profile = profile,
                               .settings = HT_REPORT_SETTINGS_DEFAULT("prompt"),
                               .functions = functions,
                               .function_count = sizeof functions / sizeof functions[0]};
    ht_profile_add_sample_type(profile, "alloc_space", "bytes");
    ht_profile_add_sample_type(profile, "inuse_space", "bytes");
    return prompt;
}

static void test_settings(void **state)
{
    (void)state;
    struct ht_profile *profile = ht_profile_new();
    struct ht_prompt prompt = prompt_of(profile);
    struct ht_report_settings *settings = &prompt.settings;
    assert_int_equal(ht_prompt_set(&prompt, settings, "focus=a=b c"), 0);
    assert_string_equal(settings->view.filter.focus, "a=b c");
    assert_int_equal(ht_prompt_set(&prompt, settings, "focus=("), -1);
    assert_string_equal(settings->view.filter.focus, "a=b c");
    assert_int_equal(ht_prompt_set(&prompt, settings, "granularity=lines"), 0);
    assert_int_equal(settings->view.granularity, HT_BY_LINES);
    assert_int_equal(ht_prompt_set(&prompt, settings, "files"), 0);
    assert_int_equal(settings->view.granularity, HT_BY_FILES);
    assert_int_equal(ht_prompt_set(&prompt, settings, "sort=cum"), 0);
    assert_int_equal(ht_prompt_set(&prompt, settings, "flat"), 0);
    assert_int_equal(settings->view.sort_by_cum, 0);
    assert_int_equal(ht_prompt_set(&prompt, settings, "sample_index=nothing"), -1);
    assert_int_equal(ht_prompt_set(&prompt, settings, "sample-index=alloc_space"), 0);
    assert_string_equal(settings->view.sample_index, "alloc_space");
    assert_int_equal(ht_prompt_set(&prompt, settings, "inuse_space"), 0);
    assert_string_equal(settings->view.sample_index, "inuse_space");
    assert_true(ht_prompt_select(&prompt, "mean_alloc_space"));
    assert_true(settings->view.mean);
    assert_true(ht_prompt_select(&prompt, "inuse_space"));
    assert_true(settings->view.mean); // as in pprof: only total_TYPE takes it back
    assert_true(ht_prompt_select(&prompt, "total_inuse_space"));
    assert_false(settings->view.mean);
    assert_false(ht_prompt_select(&prompt, "space"));
    assert_int_equal(ht_prompt_set(&prompt, settings, "base=x"), -1);
    assert_int_equal(ht_prompt_set(&prompt, settings, "focus"), -1);
    assert_int_equal(ht_prompt_set(&prompt, settings, "nodecount=x"), -1);
    assert_null(ht_prompt_option("symbolize", 9));
    assert_true(ht_prompt_knows("symbolize", 9));
    assert_false(ht_prompt_knows("symbol", 6));
    ht_arena_free(&prompt.texts);
    ht_profile_free(profile);
}

static void expect_choices(const struct ht_prompt *prompt, const char *text, size_t start, const char *joined)
{
    struct ht_prompt_choices choices;
    struct ht_buffer out = {0};
    ht_prompt_complete(prompt, text, strlen(text), &choices);
    ht_buffer_text(&out, "");
    for (size_t i = 0; i < choices.count; i++)
        ht_buffer_printf(&out, "%s%s", i > 0 ? " " : "", choices.items[i]);
    assert_string_equal(out.data, joined);
    assert_int_equal(choices.start, start);
    ht_buffer_free(&out);
    ht_prompt_choices_free(&choices);
}

static void test_completion(void **state)
{
    (void)state;
    struct ht_profile *profile = ht_profile_new();
    struct ht_prompt prompt = prompt_of(profile);
    expect_choices(&prompt, "fold", 0, "folded");
    expect_choices(&prompt, " tre", 1, "tree");
    expect_choices(&prompt, "node", 0, "nodecount= nodefraction=");
    expect_choices(&prompt, "inuse_s", 0, "inuse_space");
    expect_choices(&prompt, "list main.l", 5, "main.leak main.list");
    expect_choices(&prompt, "top10 -pa", 6, "-parse");
    expect_choices(&prompt, "list main.(", 5, "main.\\(\\*T\\).Run");
    expect_choices(&prompt, "list main.\\(", 5, "main.\\(\\*T\\).Run");
    expect_choices(&prompt, "peek new", 5, "operator.new");
    expect_choices(&prompt, "top --edge", 4, "--edgefraction=");
    expect_choices(&prompt, "granularity=fi", 12, "filefunctions files");
    expect_choices(&prompt, "trim=", 5, "false true");
    expect_choices(&prompt, "sample_index=a", 13, "alloc_space");
    expect_choices(&prompt, "focus=pars", 6, "parse");
    expect_choices(&prompt, "help cal", 5, "call_tree callgrind");
    expect_choices(&prompt, "zzz", 0, "");
    expect_choices(&prompt, "zzz main", 4, "");
    expect_choices(&prompt, "top | mai", 6, "");
    struct ht_prompt_choices choices;
    ht_prompt_complete(&prompt, "list main.l", 11, &choices);
    assert_int_equal(ht_prompt_common(&choices), strlen("main.l"));
    ht_prompt_choices_free(&choices);
    ht_profile_free(profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_completion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
