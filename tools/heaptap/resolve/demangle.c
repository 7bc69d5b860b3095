// Readable names of C++ and Rust symbols, by libiberty; in a build without it mangled ones stay as they are.
#include "resolve/resolve.h"

#include <ctype.h>
#include <stdlib.h>

#ifdef HT_HAVE_LIBIBERTY
#include <libiberty/demangle.h>
#endif

// Longer symbols exist (deeply nested templates), but their readable form grows without bound.
enum { SYMBOL_LIMIT_BYTES = 64 * 1024, NAME_LIMIT_BYTES = 1024 * 1024 };

static bool is_word_byte(char byte)
{
    return byte == '_' || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

// Length of "operator" and its sign at `at`, when the sign has brackets that open no group; else 0.
static size_t operator_length(const char *name, const char *at)
{
    static const char word[] = "operator";
    static const char *const signs[] = {"()", "[]", "<<=", ">>=", "<=>", "->*", "<<",
                                        ">>", "<=", ">=",  "->",  "<",   ">"};
    size_t length = sizeof word - 1;
    if (strncmp(at, word, length) != 0 || (at > name && is_word_byte(at[-1])))
        return 0;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (strncmp(at + length, signs[i], strlen(signs[i])) == 0)
            return length + strlen(signs[i]);
    return 0;
}

void ht_demangle_remove_groups(char *name, char open, char close)
{
    char *copy = ht_strdup(name), *to = name;
    int depth = 0;
    for (const char *at = copy; *at != '\0'; at++) {
        size_t sign = depth == 0 ? operator_length(copy, at) : 0;
        if (sign > 0) {
            memcpy(to, at, sign);
            to += sign;
            at += sign - 1;
            if (at[1] == ' ' && at[2] == open) // "operator<< <int>"
                at++;
            continue;
        }
        if (*at == open)
            depth++;
        if (depth == 0)
            *to++ = *at;
        if (*at == close && --depth < 0)
            break;
    }
    *to = '\0';
    if (depth != 0)
        strcpy(name, copy);
    free(copy);
}

// Rust's older mangling is C++'s, with what that has no letters for written as $LT$ or $u20$, "::" inside a
// part of the name as "..", and a hash as the last part. Tools that know C++ alone leave all that behind.
static const char *unescape(const char *at, struct ht_buffer *out)
{
    static const struct {
        const char *code;
        char character;
    } escapes[] = {{"$SP$", '@'}, {"$BP$", '*'}, {"$RF$", '&'}, {"$LT$", '<'},
                   {"$GT$", '>'}, {"$LP$", '('}, {"$RP$", ')'}, {"$C$", ','}};
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++)
        if (strncmp(at, escapes[i].code, strlen(escapes[i].code)) == 0) {
            ht_buffer_byte(out, escapes[i].character);
            return at + strlen(escapes[i].code);
        }
    char *end;
    if (at[1] == 'u' && isxdigit((unsigned char)at[2])) {
        unsigned long character = strtoul(at + 2, &end, 16);
        if (*end == '$' && character >= ' ' && character < 0x7f) {
            ht_buffer_byte(out, (char)character);
            return end + 1;
        }
    }
    return NULL;
}

// The length of a name without "::h" and 16 hex digits at its end.
static size_t length_without_hash(const char *name)
{
    enum { HASH_LENGTH = 19 };
    size_t length = strlen(name);
    const char *hash = name + length - HASH_LENGTH;
    return length > HASH_LENGTH && strncmp(hash, "::h", 3) == 0 && strspn(hash + 3, "0123456789abcdef") == 16
               ? length - HASH_LENGTH
               : length;
}

// What is left of that made readable, free() it; NULL: nothing is. Single codes prove nothing: Java's inner
// classes have names like A$C$B.
static char *rust_readable(const char *name)
{
    struct ht_buffer out = {0};
    size_t length = length_without_hash(name);
    if (name[length] == '\0' && strstr(name, "$LT$") == NULL && strstr(name, "$u20$") == NULL &&
        strstr(name, "$u7b$") == NULL)
        return NULL;
    for (const char *at = name; at < name + length;) {
        bool is_marked = at[0] == '_' && at[1] == '$' && (at == name || at[-1] == ':');
        const char *next = at[is_marked] == '$' ? unescape(at + is_marked, &out) : NULL;
        if (next == NULL && at[0] == '.' && at[1] == '.') {
            ht_buffer_text(&out, "::");
            next = at + 2;
        } else if (next == NULL) {
            ht_buffer_byte(&out, *at);
            next = at + 1;
        }
        at = next;
    }
    ht_buffer_text(&out, "");
    return out.data;
}

bool ht_demangle_is_foreign(const char *symbol)
{
    // C++ (also as macOS and old compilers write it), Rust, D.
    static const char *const starts[] = {"_Z", "__Z", "___Z", "_GLOBAL_", "_R", "_D"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (strncmp(symbol, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

#ifdef HT_HAVE_LIBIBERTY

// Takes the template arguments out of a demangled name, in place; a name that does not balance stays whole.
static void remove_template_arguments(char *name)
{
    size_t angles = 0, parens = 0;
    char *copy = ht_strdup(name), *to = name;
    for (const char *at = copy; *at != '\0';) {
        size_t length = angles == 0 ? operator_length(copy, at) : 0;
        if (length > 0) {
            memcpy(to, at, length);
            to += length;
            at += length + (at[length] == ' ' && at[length + 1] == '<'); // "operator<< <int>"
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

static char *demangle(const char *symbol, enum ht_demangle mode)
{
    if (!ht_demangle_is_foreign(symbol) || strnlen(symbol, SYMBOL_LIMIT_BYTES) == SYMBOL_LIMIT_BYTES)
        return NULL;
    char *name = checked(rust_demangle(symbol, DMGL_PARAMS | DMGL_ANSI));
    if (name != NULL)
        return name;
    int options = mode == HT_DEMANGLE_FULL ? DMGL_AUTO | DMGL_PARAMS | DMGL_ANSI : DMGL_AUTO;
    name = checked(cplus_demangle(symbol, options));
    char *readable = name != NULL ? rust_readable(name) : NULL;
    if (readable != NULL) {
        free(name);
        return readable;
    }
    if (name != NULL && mode == HT_DEMANGLE_SIMPLE)
        remove_template_arguments(name);
    return name;
}

#else

static char *demangle(const char *symbol, enum ht_demangle mode)
{
    (void)symbol;
    (void)mode;
    return NULL;
}

#endif

static char *demangle_plain(const char *symbol, enum ht_demangle mode)
{
    char *name = demangle(symbol, mode);
    return name != NULL || strncmp(symbol, "_Z", 2) == 0 ? name : rust_readable(symbol);
}

char *ht_demangle(const char *symbol, enum ht_demangle mode)
{
    size_t length = mode != HT_DEMANGLE_NONE ? strlen(symbol) : 0;
    if (length > 4 && strcmp(symbol + length - 4, "@plt") == 0) { // of a stub for that function
        char *function = ht_format("%.*s", (int)(length - 4), symbol),
             *inner = demangle_plain(function, mode);
        char *stub = inner != NULL ? ht_format("%s@plt", inner) : NULL;
        free(function);
        free(inner);
        return stub;
    }
    return length > 0 ? demangle_plain(symbol, mode) : NULL;
}
