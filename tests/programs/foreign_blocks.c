// Blocks that libc makes and the program frees, blocks that the program makes and libc frees or resizes.
#include "check.h"

#include <argz.h>
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <ifaddrs.h>
#include <locale.h>
#include <netdb.h>
#include <regex.h>
#include <search.h>
#include <unistd.h>
#include <wchar.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free  free
#include <obstack.h>

static void strings(void)
{
    char *a = strdup("eins"), *b = strndup("zweidrei", 4), *c = NULL;
    wchar_t *w = wcsdup(L"vier");
    CHECK(asprintf(&c, "%s %s %0500d %f", a, b, 7, 0.1) > 500);
    CHECK((a = realloc(a, 5000)) && !strcmp(a, "eins"));
    CHECK((c = realloc(c, 10000)));
    free(a);
    free(b);
    free(c);
    free(w);
    char *cwd = getcwd(NULL, 0), *real = realpath("/proc/self/..", NULL);
    CHECK(cwd && real && !strcmp(real, "/proc"));
    free(cwd);
    free(real);
    char *argz = NULL;
    size_t length = 0;
    for (int i = 0; i < 100; i++)
        CHECK(!argz_add(&argz, &length, "word"));
    CHECK(argz_count(argz, length) == 100);
    free(argz);
}

// getline resizes a block of the program's, and makes its own.
static void lines(void)
{
    char *text = NULL, *line = malloc(1), *word = NULL;
    size_t size = 0, line_size = 1, word_size = 0;
    FILE *out = open_memstream(&text, &size);
    CHECK(out);
    for (int i = 0; i < 300; i++)
        fprintf(out, "%*d;\n", i + 1, i);
    CHECK(!fclose(out) && size > 40000);
    FILE *in = fmemopen(text, size, "r");
    CHECK(in);
    for (int i = 0; i < 300; i++)
        CHECK((i % 2 ? getline(&line, &line_size, in) : getdelim(&word, &word_size, '\n', in)) == i + 3);
    fclose(in);
    free(line);
    free(word);
    free(text);
}

static int by_value(const void *a, const void *b)
{
    return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

static void tables(void)
{
    void *root = NULL;
    for (int i = 0; i < 500; i++) {
        int *key = malloc(sizeof(*key));
        *key = i * 7919 % 500;
        int **found = tsearch(key, &root, by_value);
        CHECK(found && **found == *key);
    }
    tdestroy(root, free);
    CHECK(hcreate(100));
    for (int i = 0; i < 50; i++) {
        ENTRY entry = {strdup("key0"), NULL};
        entry.key[3] = (char)('0' + i);
        CHECK(hsearch(entry, ENTER));
    }
    hdestroy(); // the keys stay the program's, and leak
    struct obstack obstack;
    obstack_init(&obstack);
    for (int i = 0; i < 500; i++)
        obstack_blank(&obstack, 10);
    void *whole = obstack_finish(&obstack);
    CHECK(whole && obstack_alloc(&obstack, 100000));
    obstack_free(&obstack, whole);
    obstack_free(&obstack, NULL);
}

static void lookups(void)
{
    struct dirent **names;
    int count = scandir("/proc/self", &names, NULL, alphasort);
    CHECK(count > 10);
    while (count--)
        free(names[count]);
    free(names);
    glob_t paths;
    CHECK(!glob("/proc/self/s*", 0, NULL, &paths) && paths.gl_pathc > 2);
    globfree(&paths);
    regex_t regex;
    CHECK(!regcomp(&regex, "(a|b)*c{2,5}[[:alpha:]]+", REG_EXTENDED));
    CHECK(!regexec(&regex, "ababccxyz", 0, NULL, 0));
    regfree(&regex);
    struct addrinfo *address, hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    CHECK(!getaddrinfo("127.0.0.1", "80", &hints, &address));
    freeaddrinfo(address);
    struct ifaddrs *interfaces;
    if (!getifaddrs(&interfaces))
        freeifaddrs(interfaces);
    locale_t locale = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
    if (locale)
        freelocale(locale);
    for (int i = 0; i < 100; i++) {
        char name[40];
        snprintf(name, sizeof(name), "HAZARD_%d", i);
        CHECK(!setenv(name, "value", 1));
    }
    for (int i = 0; i < 40; i++) {
        FILE *file = fopen("/proc/self/maps", "r");
        CHECK(file && fgetc(file) != EOF);
        fclose(file);
    }
}

int main(void)
{
    for (int i = 0; i < 5; i++) {
        strings();
        lines();
        tables();
        lookups();
    }
    puts("ok");
    return 0;
}
