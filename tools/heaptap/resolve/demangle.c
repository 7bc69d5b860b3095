// Readable names of C++ and Rust symbols, by libiberty; in a build without it they stay as they are.
#include "resolve/resolve.h"

#ifdef HT_HAVE_LIBIBERTY
#include <libiberty/demangle.h>
#include <stdlib.h>

// Longer symbols exist (deeply nested templates), but their readable form grows without bound.
enum { SYMBOL_LIMIT_BYTES = 64 * 1024, NAME_LIMIT_BYTES = 1024 * 1024 };

// Length of the operator's sign at `text` when it contains '<' or '>', so that it does not open template
// arguments.
static size_t operator_length(const char *text)
{
    static const char *const signs[] = {"<<=", ">>=", "<=>", "->*", "<<", ">>", "<=", ">=", "->", "<", ">"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (strncmp(text, signs[i], strlen(signs[i])) == 0)
            return strlen(signs[i]);
    return 0;
}

static bool is_word_byte(char byte)
{
    return byte == '_' || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

// Takes the template arguments out of a demangled name, in place; a name that does not balance stays whole.
static void remove_template_arguments(char *name)
{
    static const char operator_word[] = "operator";
    size_t word = sizeof operator_word - 1, angles = 0, parens = 0;
    char *copy = ht_strdup(name), *to = name;
    for (const char *at = copy; *at != '\0';) {
        if (angles == 0 && strncmp(at, operator_word, word) == 0 && (at == copy || !is_word_byte(at[-1]))) {
            size_t length = word + operator_length(at + word);
            memcpy(to, at, length);
            to += length;
            at += length;
            continue;
        }
        if (angles > 0 && *at == '(')
            parens++;
        else if (angles > 0 && *at == ')' && parens > 0)
            parens--;
        if (*at == '<' && parens == 0)
            angles++;
        else if (angles == 0)
            *to++ = *at;
        else if (*at == '>' && parens == 0)
            angles--;
        at++;
    }
    *to = '\0';
    if (angles != 0)
        strcpy(name, copy);
    free(copy);
}

static char *checked(char *name)
{
    if (name != NULL && strlen(name) > NAME_LIMIT_BYTES) {
        free(name);
        return NULL;
    }
    return name;
}

char *ht_demangle(const char *symbol, enum ht_demangle mode)
{
    if (mode == HT_DEMANGLE_NONE || symbol[0] != '_' ||
        strnlen(symbol, SYMBOL_LIMIT_BYTES) == SYMBOL_LIMIT_BYTES)
        return NULL;
    char *name = checked(rust_demangle(symbol, DMGL_PARAMS | DMGL_ANSI));
    if (name != NULL)
        return name;
    int options = mode == HT_DEMANGLE_FULL ? DMGL_AUTO | DMGL_PARAMS | DMGL_ANSI : DMGL_AUTO;
    name = checked(cplus_demangle(symbol, options));
    if (name != NULL && mode == HT_DEMANGLE_SIMPLE)
        remove_template_arguments(name);
    return name;
}

#else

char *ht_demangle(const char *symbol, enum ht_demangle mode)
{
    (void)symbol;
    (void)mode;
    return NULL;
}

#endif
