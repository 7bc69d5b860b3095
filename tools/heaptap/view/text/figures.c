// Figures of tables that are estimates: short, padded by what a terminal shows of them.
#include "view/text/figures.h"

#include "base/measure.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

// Three digits and a unit of their own; `with_sign`: a plus as well. Counts have none.
void ht_figure(double value, const char *unit, bool with_sign, char text[HT_FIGURE_BYTES])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double size = fabs(value) < 0.5 ? 0 : fabs(value);
    size_t power = 0;
    bool is_bytes = strcmp(unit, "bytes") == 0;
    while (is_bytes && size >= 999.5 && power < sizeof units / sizeof units[0] - 1) {
        size /= 1024;
        power++;
    }
    int decimals = power == 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    const char *sign = size == 0 ? "" : value < 0 ? "-" : with_sign ? "+" : "";
    snprintf(text, HT_FIGURE_BYTES, "%s%.*f%s", sign, decimals, size,
             is_bytes && size != 0 ? units[power] : "");
}

void ht_figure_time(double s, char text[HT_MEASURE_TEXT_BYTES])
{
    ht_measure_age(s < 1 ? 1000000000 : ht_int64_of_double(s * 1e9), text);
}

// The series in eight heights between its least and its most; bytes of UTF-8 are more than columns.
void ht_figure_shape(const double *values, size_t count, bool plain, char text[HT_SHAPE_BYTES])
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char ascii[] = "_.,-=+*#";
    double least = INFINITY, most = 0, means[HT_SHAPE_COLUMNS];
    for (size_t c = 0; c < HT_SHAPE_COLUMNS; c++) {
        size_t from = c * count / HT_SHAPE_COLUMNS, to = (c + 1) * count / HT_SHAPE_COLUMNS;
        to = to > from ? to : from + 1;
        means[c] = 0;
        for (size_t k = from; k < to; k++)
            means[c] += values[k < count ? k : count - 1] / (double)(to - from);
        least = fmin(least, means[c]);
        most = fmax(most, means[c]);
    }
    text[0] = '\0';
    for (size_t c = 0; c < HT_SHAPE_COLUMNS; c++) {
        size_t height = most > least * 1.02 ? (size_t)((means[c] - least) / (most - least) * 7.999) : 3;
        size_t length = strlen(text);
        if (plain)
            snprintf(text + length, 8, "%c", ascii[height]);
        else
            snprintf(text + length, 8, "%s", blocks[height]);
    }
}

// printf counts bytes; ± and the blocks have more of them than columns.
void ht_figure_pad(struct ht_buffer *out, const char *text, int columns)
{
    int width = 0;
    for (const char *c = text; *c != '\0'; c++)
        width += ((unsigned char)*c & 0xc0) != 0x80;
    for (; width < columns; width++)
        ht_buffer_byte(out, ' ');
    ht_buffer_text(out, text);
}

bool ht_figure_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
    }
    return false;
}
