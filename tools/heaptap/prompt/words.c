// Splits a line of the prompt into words.
#include "prompt/prompt.h"

#include <stdlib.h>

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static void add_word(struct ht_prompt_line *line, const char *mark, size_t mark_length, const char *text,
                     size_t length, bool is_quoted)
{
    struct ht_buffer word = {0};
    ht_buffer_add(&word, mark, mark_length);
    ht_buffer_add(&word, text, length);
    HT_RESERVE(line->words, line->capacity, line->count + 1);
    line->words[line->count++] = (struct ht_prompt_word){word.data, is_quoted};
}

int ht_prompt_split(const char *text, struct ht_prompt_line *ret_line)
{
    struct ht_prompt_line line = {0};
    while (*text != '\0') {
        if (is_blank(*text)) {
            text++;
            continue;
        }
        if (*text == '|') {
            text++;
            while (is_blank(*text))
                text++;
            line.pipe = ht_strdup(text);
            break;
        }
        size_t mark = *text == '-' || *text == '>';
        char quote = text[mark];
        if (quote == '\'' || quote == '"') {
            const char *start = text + mark + 1, *end = strchr(start, quote);
            if (end == NULL) {
                ht_prompt_line_free(&line);
                return ht_fail("a quotation mark (%c) is missing", quote);
            }
            add_word(&line, text, mark, start, (size_t)(end - start), true);
            text = end + 1;
            continue;
        }
        size_t length = strcspn(text, " \t");
        add_word(&line, text, 0, text, length, false);
        text += length;
    }
    *ret_line = line;
    return 0;
}

void ht_prompt_line_free(struct ht_prompt_line *line)
{
    for (size_t i = 0; i < line->count; i++)
        free(line->words[i].text);
    free(line->words);
    free(line->pipe);
    memset(line, 0, sizeof *line);
}
