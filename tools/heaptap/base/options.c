// Command-line options: parsing by table, values with units, and suggestions for misspelt words.
#include "base/options.h"

#include "base/error.h"
#include "base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int ht_parse_int(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        return ht_fail("'%s' is not a whole number", text);
    *ret = value;
    return 0;
}

int ht_parse_number(const char *text, double *ret)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value))
        return ht_fail("'%s' is not a number", text);
    *ret = value;
    return 0;
}

struct suffix {
    const char *text;
    double factor;
};

// Number, optional fraction and one of the suffixes; the result must fit into 64 bits.
static int parse_scaled(const char *text, const struct suffix *suffixes, size_t count, uint64_t *ret)
{
    if (!(text[0] >= '0' && text[0] <= '9') && text[0] != '.')
        return -1;
    char *end;
    double value = strtod(text, &end);
    size_t digits = strspn(text, "0123456789.");
    if (end != text + digits) // strtod also reads hexadecimal, exponents, inf and nan
        return -1;
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(end, suffixes[i].text) != 0)
            continue;
        value *= suffixes[i].factor;
        if (!(value >= 0 && value < 0x1p63))
            return -1;
        *ret = (uint64_t)(value + 0.5);
        return 0;
    }
    return -1;
}

int ht_parse_size(const char *text, uint64_t *ret_bytes)
{
    static const struct suffix suffixes[] = {
        {"", 1},         {"B", 1},       {"K", 0x1p10},   {"KB", 0x1p10},  {"KiB", 0x1p10},
        {"M", 0x1p20},   {"MB", 0x1p20}, {"MiB", 0x1p20}, {"G", 0x1p30},   {"GB", 0x1p30},
        {"GiB", 0x1p30}, {"T", 0x1p40},  {"TB", 0x1p40},  {"TiB", 0x1p40},
    };
    if (parse_scaled(text, suffixes, sizeof suffixes / sizeof suffixes[0], ret_bytes) < 0)
        return ht_fail("'%s' is not a size; write for example 64K, 512K or 1.5M", text);
    return 0;
}

int ht_parse_duration(const char *text, uint64_t *ret_ns)
{
    static const struct suffix suffixes[] = {
        {"ns", 1},   {"us", 1e3},   {"ms", 1e6},   {"s", 1e9},      {"sec", 1e9},
        {"m", 60e9}, {"min", 60e9}, {"h", 3600e9}, {"hrs", 3600e9}, {"d", 86400e9},
    };
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    if (parse_scaled(text, suffixes, sizeof suffixes / sizeof suffixes[0], ret_ns) < 0)
        return ht_fail("'%s' is not a time; write for example 200ms, 30s or 5m", text);
    return 0;
}

int ht_edit_distance(const char *a, const char *b)
{
    size_t length_a = strlen(a), length_b = strlen(b);
    enum { MAX = 64 };
    if (length_a > MAX || length_b > MAX)
        return 99;
    int rows[3][MAX + 1]; // rows i-2, i-1, i of the dynamic programme
    for (size_t j = 0; j <= length_b; j++)
        rows[1][j] = (int)j;
    for (size_t i = 1; i <= length_a; i++) {
        rows[2][0] = (int)i;
        for (size_t j = 1; j <= length_b; j++) {
            int best = rows[1][j - 1] + (a[i - 1] != b[j - 1]);
            if (rows[1][j] + 1 < best)
                best = rows[1][j] + 1;
            if (rows[2][j - 1] + 1 < best)
                best = rows[2][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && rows[0][j - 2] + 1 < best)
                best = rows[0][j - 2] + 1;
            rows[2][j] = best;
        }
        memcpy(rows[0], rows[1], sizeof rows[0]);
        memcpy(rows[1], rows[2], sizeof rows[1]);
    }
    return rows[1][length_b];
}

const char *ht_nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    int best_distance = 99;
    for (size_t i = 0; i < count; i++) {
        int distance = ht_edit_distance(word, names[i]);
        size_t length = strlen(word);
        if (length >= 3 && strncmp(word, names[i], length) == 0)
            distance = 1; // an abbreviation
        size_t whole = strlen(names[i]);
        if (whole >= 4 && strncmp(word, names[i], whole) == 0)
            distance = 1; // the longer form: snapshot
        if (distance < best_distance) {
            best_distance = distance;
            best = names[i];
        }
    }
    int tolerated = 1 + (int)strlen(word) / 4;
    return best != NULL && best_distance <= tolerated && best_distance < (int)strlen(best) ? best : NULL;
}

// Compares an option's name with length bytes as typed, '_' being '-'.
static bool name_equal(const char *name, const char *typed, size_t length)
{
    size_t i = 0;
    for (; i < length && name[i] != '\0'; i++)
        if (name[i] != (typed[i] == '_' ? '-' : typed[i]))
            return false;
    return i == length && name[i] == '\0';
}

static const struct ht_option *find_option(const struct ht_option *options, const char *typed, size_t length)
{
    for (const struct ht_option *option = options; option->name != NULL; option++)
        if (option->kind != HT_OPT_HEADING &&
            (name_equal(option->name, typed, length) ||
             (length == 1 && option->letter != 0 && option->letter == typed[0])))
            return option;
    return NULL;
}

static bool takes_value(const struct ht_option *option)
{
    return option->kind != HT_OPT_FLAG && option->kind != HT_OPT_SET;
}

static int parse_bool(const char *text, bool *ret)
{
    static const char *const words[] = {"true",  "t", "1", "yes", "y", "on",
                                        "false", "f", "0", "no",  "n", "off"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *ret = i < 6;
            return 0;
        }
    return ht_fail("'%s' is neither true nor false", text);
}

static int store_duration(const struct ht_option *option, const char *text, uint64_t *ret_ns)
{
    bool is_bare = option->value != 0 && text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
    char *seconds = is_bare ? ht_format("%ss", text) : NULL;
    int result = ht_parse_duration(is_bare ? seconds : text, ret_ns);
    free(seconds);
    return result;
}

static int store(const struct ht_option *option, const char *text, void *settings)
{
    char *at = (char *)settings + option->offset;
    switch (option->kind) {
    case HT_OPT_FLAG: {
        bool value = true;
        if (text != NULL && parse_bool(text, &value) < 0)
            return -1;
        *(bool *)(void *)at = value;
        return 0;
    }
    case HT_OPT_SET: {
        bool value = true;
        if (text != NULL && parse_bool(text, &value) < 0)
            return -1;
        if (value)
            *(int *)(void *)at = option->value;
        return 0;
    }
    case HT_OPT_STRING:
        *(const char **)(void *)at = text;
        return 0;
    case HT_OPT_LIST: {
        struct ht_strings *list = (struct ht_strings *)(void *)at;
        list->items = ht_realloc_array(list->items, list->count + 1, sizeof *list->items);
        list->items[list->count++] = text;
        return 0;
    }
    case HT_OPT_INT:
        return ht_parse_int(text, (int64_t *)(void *)at);
    case HT_OPT_NUMBER:
        return ht_parse_number(text, (double *)(void *)at);
    case HT_OPT_SIZE:
        return ht_parse_size(text, (uint64_t *)(void *)at);
    case HT_OPT_DURATION:
        return store_duration(option, text, (uint64_t *)(void *)at);
    case HT_OPT_HEADING:
        break;
    }
    return ht_fail("option table is broken");
}

// The option that a misspelt name is nearest to, NULL if it is like none.
static const char *nearest_option(const struct ht_option *options, const char *name, size_t length)
{
    enum { MAX = 128 };
    const char *names[MAX];
    size_t count = 0;
    for (const struct ht_option *option = options; option->name != NULL && count < MAX; option++)
        if (option->kind != HT_OPT_HEADING)
            names[count++] = option->name;
    char word[64];
    if (length >= sizeof word)
        length = sizeof word - 1;
    for (size_t i = 0; i < length; i++)
        word[i] = name[i] == '_' ? '-' : name[i];
    word[length] = '\0';
    return ht_nearest(word, names, count);
}

static int unknown_option(const struct ht_option *options, const char *typed, const char *name, size_t length)
{
    const char *nearest = nearest_option(options, name, length);
    if (nearest != NULL)
        return ht_fail("unknown option '%s'; did you mean '--%s'?", typed, nearest);
    return ht_fail("unknown option '%s'", typed);
}

// One argument that starts with '-'; *position is moved over a value taken from the next argument.
static int parse_one(const struct ht_option *options, int argc, char **argv, int *position, void *settings,
                     bool *ret_help)
{
    const char *typed = argv[*position];
    bool two_dashes = typed[1] == '-';
    const char *name = typed + 1 + two_dashes;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    const struct ht_option *option = find_option(options, name, length);
    if (option == NULL && (name_equal("help", name, length) || (length == 1 && name[0] == 'h'))) {
        *ret_help = true;
        return 0;
    }
    char negated[] = "false";
    if (option == NULL && length > 3 && strncmp(name, "no-", 3) == 0 && value == NULL) {
        option = find_option(options, name + 3, length - 3);
        if (option != NULL && option->kind == HT_OPT_FLAG)
            return store(option, negated, settings);
        option = NULL;
    }
    if (option == NULL && !two_dashes && length > 1) { // -n20
        option = find_option(options, name, 1);
        bool is_misspelt =
            isalpha((unsigned char)name[1]) && nearest_option(options, name, length) != NULL; // -ouput=x
        bool is_number = option == NULL || option->kind != HT_OPT_INT || name[1] == '-' ||
                         isdigit((unsigned char)name[1]); // -no_browser
        if (option != NULL && takes_value(option) && option->letter == name[0] && !is_misspelt && is_number)
            value = name + 1;
        else
            option = NULL;
    }
    if (option == NULL)
        return unknown_option(options, typed, name, length);
    if (takes_value(option) && value == NULL) {
        if (*position + 1 >= argc)
            return ht_fail("option '%s' needs a value (%s)", typed,
                           option->argument != NULL ? option->argument : "VALUE");
        value = argv[++*position];
    }
    if (store(option, value, settings) < 0) {
        char reason[512];
        strncpy(reason, ht_error(), sizeof reason - 1);
        reason[sizeof reason - 1] = '\0';
        return ht_fail("option '--%s': %s", option->name, reason);
    }
    return 0;
}

int ht_options_parse(const struct ht_option *options, enum ht_parse_mode mode, int argc, char **argv,
                     void *settings, struct ht_operands *ret_operands, bool *ret_help)
{
    char **operands = argv + (argc > 0);
    int operand_count = 0;
    int i = 1;
    *ret_help = false;
    for (; i < argc; i++) {
        char *argument = argv[i];
        if (strcmp(argument, "--") == 0) {
            i++;
            break;
        }
        if (argument[0] != '-' || argument[1] == '\0') {
            if (mode == HT_PARSE_BEFORE_OPERAND)
                break;
            operands[operand_count++] = argument; // never ahead of i: options only make room
            continue;
        }
        if (parse_one(options, argc, argv, &i, settings, ret_help) < 0)
            return -1;
        if (*ret_help)
            break;
    }
    for (; i < argc && !*ret_help; i++)
        operands[operand_count++] = argv[i];
    ret_operands->items = operands;
    ret_operands->count = operand_count;
    return 0;
}
