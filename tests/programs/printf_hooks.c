// Hooks inside libc that allocate: own printf conversions, streams with own functions, locales and character
// sets, which load modules, from two threads.
#include "self.h"

#include <iconv.h>
#include <locale.h>
#include <printf.h>
#include <pthread.h>
#include <wchar.h>

static int print_block(FILE *stream, const struct printf_info *info, const void *const *arguments)
{
    (void)info;
    char *copied = strdup(*(const char *const *)arguments[0]);
    CHECK(copied);
    int written = fprintf(stream, "<%s>", copied);
    free(copied);
    return written;
}

static int block_arguments(const struct printf_info *info, size_t count, int *types, int *sizes)
{
    (void)info;
    if (count > 0) {
        types[0] = PA_POINTER;
        sizes[0] = sizeof(void *);
    }
    return 1;
}

static ssize_t write_cookie(void *cookie, const char *text, size_t size)
{
    char *copied = malloc(size);
    CHECK(copied);
    memcpy(copied, text, size);
    *(size_t *)cookie += size;
    free(copied);
    return (ssize_t)size;
}

static void convert(void)
{
    iconv_t conversion = iconv_open("UTF-16LE", "UTF-8");
    if (conversion == (iconv_t)-1)
        return; // no modules are installed
    char in[] = "gr\xc3\xbc\xc3\x9f", out[64], *from = in, *to = out;
    size_t from_left = sizeof(in) - 1, to_left = sizeof(out);
    CHECK(iconv(conversion, &from, &from_left, &to, &to_left) == 0 && to_left == sizeof(out) - 8);
    CHECK(!iconv_close(conversion));
}

static void *work(void *unused)
{
    // A variable, for compilers do not know the conversion.
    const char *format = "%W and %d\n";
    for (int i = 0; i < 60; i++) {
        char *line = NULL;
        size_t written = 0;
        CHECK(asprintf(&line, format, "a block", i) > 0 && !strncmp(line, "<a block> and ", 14));
        free(line);
        FILE *stream = fopencookie(&written, "w", (cookie_io_functions_t){.write = write_cookie});
        CHECK(stream && fprintf(stream, format, "x", i) > 0 && !fclose(stream) && written > 8);
        locale_t locale = newlocale(LC_ALL_MASK, i % 2 ? "C.UTF-8" : "C", NULL);
        if (locale) {
            locale_t old = uselocale(locale);
            wchar_t wide[20];
            CHECK(mbstowcs(wide, "text", 20) == 4);
            uselocale(old);
            freelocale(locale);
        }
        convert();
    }
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    CHECK(!register_printf_specifier('W', print_block, block_arguments));
    for (int i = 0; i < 2; i++)
        CHECK(!pthread_create(&threads[i], NULL, work, NULL));
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK(setlocale(LC_ALL, "C"));
    puts("ok");
    return 0;
}
