// Numbers with units, as pprof's reports write them.
#include "base/measure.h"

#include "base/memory.h"
#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    const char *aliases[4]; // lower case, singular
    double factor;
};

struct family {
    const struct unit *units;
    size_t count;
    const char *default_name; // used when nothing else fits
    double default_factor;
};

static const struct unit byte_units[] = {
    {"B", {"b", "byte"}, 1},
    {"kB", {"kb", "kbyte", "kilobyte"}, 0x1p10},
    {"MB", {"mb", "mbyte", "megabyte"}, 0x1p20},
    {"GB", {"gb", "gbyte", "gigabyte"}, 0x1p30},
    {"TB", {"tb", "tbyte", "terabyte"}, 0x1p40},
    {"PB", {"pb", "pbyte", "petabyte"}, 0x1p50},
};
static const struct unit time_units[] = {
    {"ns", {"ns", "nanosecond"}, 1},    {"us", {"\u03bcs", "us", "microsecond"}, 1e3},
    {"ms", {"ms", "millisecond"}, 1e6}, {"s", {"s", "sec", "second"}, 1e9},
    {"hrs", {"hour", "hr"}, 3600e9},
};
static const struct unit gcu_units[] = {
    {"n*GCU", {"nanogcu"}, 1e-9}, {"u*GCU", {"microgcu"}, 1e-6}, {"m*GCU", {"milligcu"}, 1e-3},
    {"GCU", {"gcu"}, 1},          {"k*GCU", {"kilogcu"}, 1e3},   {"M*GCU", {"megagcu"}, 1e6},
    {"G*GCU", {"gigagcu"}, 1e9},  {"T*GCU", {"teragcu"}, 1e12},  {"P*GCU", {"petagcu"}, 1e15},
};
static const struct family families[] = {
    {byte_units, sizeof byte_units / sizeof byte_units[0], "B", 1},
    {time_units, sizeof time_units / sizeof time_units[0], "s", 1e9},
    {gcu_units, sizeof gcu_units / sizeof gcu_units[0], "GCU", 1},
};

// Finds a unit by any of its names: case is ignored, and one final s of names longer than two bytes.
static const struct unit *find_unit(const struct family *family, const char *name)
{
    char word[32];
    size_t length = strlen(name);
    if (length >= sizeof word)
        return NULL;
    for (size_t i = 0; i <= length; i++)
        word[i] = (char)((unsigned char)name[i] < 0x80 ? tolower((unsigned char)name[i]) : name[i]);
    if (length > 2 && word[length - 1] == 's')
        word[length - 1] = '\0';
    for (size_t i = 0; i < family->count; i++)
        for (size_t a = 0; a < 4 && family->units[i].aliases[a] != NULL; a++)
            if (strcmp(word, family->units[i].aliases[a]) == 0)
                return &family->units[i];
    return NULL;
}

static const struct unit *largest_unit_within(const struct family *family, double value)
{
    const struct unit *best = NULL;
    for (size_t i = 0; i < family->count; i++)
        if ((best == NULL || family->units[i].factor >= best->factor) && value / family->units[i].factor >= 1)
            best = &family->units[i];
    return best;
}

static double scale_positive(int64_t value, const char *from_unit, const char *to_unit, const char **ret_unit)
{
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        const struct unit *from = find_unit(&families[f], from_unit);
        if (from == NULL)
            continue;
        double base = (double)value * from->factor;
        const struct unit *to = strcmp(to_unit, "minimum") == 0 || strcmp(to_unit, "auto") == 0
                                    ? largest_unit_within(&families[f], base)
                                    : find_unit(&families[f], to_unit);
        *ret_unit = to != NULL ? to->name : families[f].default_name;
        return base / (to != NULL ? to->factor : families[f].default_factor);
    }
    static const char *const silent[] = {"count", "sample", "unit", "minimum", "auto"};
    *ret_unit = to_unit;
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++)
        if (strcmp(to_unit, silent[i]) == 0)
            *ret_unit = "";
    return (double)value;
}

double ht_measure_scale(int64_t value, const char *from_unit, const char *to_unit, const char **ret_unit)
{
    if (value < 0 && value != INT64_MIN)
        return -scale_positive(-value, from_unit, to_unit, ret_unit);
    return scale_positive(value, from_unit, to_unit, ret_unit);
}

void ht_measure_label(int64_t value, const char *from_unit, const char *to_unit,
                      char text[HT_MEASURE_TEXT_BYTES])
{
    const char *unit;
    double scaled = ht_measure_scale(value, from_unit, to_unit, &unit);
    char number[400];
    int length = snprintf(number, sizeof number, "%.2f", scaled);
    if (length > 3 && (size_t)length < sizeof number && strcmp(number + length - 3, ".00") == 0)
        number[length - 3] = '\0';
    if (strcmp(number, "0") == 0 || strcmp(number, "-0") == 0)
        unit = "", strcpy(number, "0");
    size_t room = HT_MEASURE_TEXT_BYTES - 1 - strlen(number), used = strnlen(unit, room + 1);
    used = used > room ? ht_text_whole(unit, room) : used; // others write units, too
    snprintf(text, HT_MEASURE_TEXT_BYTES, "%s%.*s", number, (int)used, unit);
}

void ht_measure_percent(int64_t value, int64_t total, char text[HT_MEASURE_TEXT_BYTES])
{
    double ratio = total != 0 ? fabs((double)value / (double)total) * 100 : 0;
    if (ratio >= 99.95 && ratio <= 100.05)
        strcpy(text, "  100%");
    else if (ratio >= 1)
        snprintf(text, HT_MEASURE_TEXT_BYTES, "%5.2f%%", ratio);
    else
        snprintf(text, HT_MEASURE_TEXT_BYTES, "%5.2g%%", ratio);
}

int ht_measure_is_unit(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (find_unit(&families[i], name) != NULL)
            return 1;
    return 0;
}

int ht_measure_compatible(const char *unit_a, const char *unit_b)
{
    if (strcmp(unit_a, unit_b) == 0)
        return 1;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
        if (find_unit(&families[f], unit_a) != NULL && find_unit(&families[f], unit_b) != NULL)
            return 1;
    return 0;
}

void ht_measure_bytes(int64_t bytes, int with_sign, char text[HT_MEASURE_TEXT_BYTES])
{
    size_t sign = with_sign && bytes > 0;
    char label[HT_MEASURE_TEXT_BYTES];
    ht_measure_label(bytes, "bytes", "auto", label);
    snprintf(text, HT_MEASURE_TEXT_BYTES, "%s%.500s", sign ? "+" : "", label);
}

void ht_measure_age(int64_t ns, char text[HT_MEASURE_TEXT_BYTES])
{
    const char *sign = ns < 0 ? "-" : "";
    int64_t seconds = ht_wrap_abs(ns) / 1000000000;
    if (seconds < 60)
        snprintf(text, HT_MEASURE_TEXT_BYTES, "%s%.3gs", sign, fabs((double)ns) / 1e9);
    else if (seconds < 3600)
        snprintf(text, HT_MEASURE_TEXT_BYTES, "%s%lldm%02llds", sign, (long long)seconds / 60,
                 (long long)seconds % 60);
    else if (seconds < 86400)
        snprintf(text, HT_MEASURE_TEXT_BYTES, "%s%lldh%02lldm", sign, (long long)seconds / 3600,
                 (long long)seconds / 60 % 60);
    else
        snprintf(text, HT_MEASURE_TEXT_BYTES, "%s%lldd%02lldh", sign, (long long)seconds / 86400,
                 (long long)seconds / 3600 % 24);
}
