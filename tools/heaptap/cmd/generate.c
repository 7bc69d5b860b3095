// `heaptap --generate`, for the build: writes man pages and completions from the tables that --help comes
// from.
#include "cmd/generate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Breaks lines that are too long for a page's source. Requests and the line of NAME stay whole.
static void wrap(const struct ht_buffer *page, struct ht_buffer *out)
{
    enum { WIDTH = 78 };
    const char *line = page->data, *before = "";
    while (*line != '\0') {
        size_t length = strcspn(line, "\n");
        bool whole = line[0] == '.' || strncmp(before, ".SH NAME", 8) == 0;
        before = line;
        while (!whole && length > WIDTH) {
            size_t at = WIDTH;
            while (at > 0 && (line[at] != ' ' || strchr(".'", line[at + 1]) != NULL))
                at--;
            if (at == 0)
                break;
            ht_buffer_add(out, line, at);
            ht_buffer_byte(out, '\n');
            line += at + 1;
            length -= at + 1;
        }
        ht_buffer_add(out, line, length);
        ht_buffer_byte(out, '\n');
        line += length;
        line += *line == '\n';
    }
}

// Frees both.
static int write_file(char *path, struct ht_buffer *text)
{
    FILE *file = fopen(path, "we");
    bool written = file != NULL && fwrite(text->data, 1, text->length, file) == text->length;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    int status = written ? HT_EXIT_DONE : ht_cmd_error("--generate", "%s: %s", path, strerror(errno));
    free(path);
    ht_buffer_free(text);
    return status;
}

static int write_page(const char *folder, const char *name, struct ht_buffer *page)
{
    struct ht_buffer text = {0};
    wrap(page, &text);
    ht_buffer_free(page);
    return write_file(ht_format("%s/%s", folder, name), &text);
}

static int write_man(const char *folder, const char *date)
{
    struct ht_buffer page = {0};
    ht_generate_man_main(date, &page);
    int status = write_page(folder, "heaptap.1", &page);
    ht_generate_man_shim(date, &page);
    status |= write_page(folder, "heaptap.7", &page);
    for (const struct ht_command *const *at = ht_commands, *command; (command = *at) != NULL && status == 0;
         at++) {
        char *name = ht_format("heaptap-%s.1", command->name);
        ht_generate_man_command(command, date, &page);
        status |= write_page(folder, name, &page);
        free(name);
    }
    return status;
}

int ht_cmd_generate(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "man") == 0)
        return write_man(argv[2], argv[3]);
    struct ht_buffer out = {0};
    if (argc == 3 && strcmp(argv[1], "bash") == 0) {
        ht_generate_bash(&out);
    } else if (argc == 3 && strcmp(argv[1], "zsh") == 0) {
        ht_generate_zsh(&out);
    } else {
        fprintf(stderr, "heaptap: --generate: write 'man DIR DATE', 'bash FILE' or 'zsh FILE'\n");
        return HT_EXIT_USAGE;
    }
    return write_file(ht_strdup(argv[2]), &out);
}
