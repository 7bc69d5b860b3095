#!/usr/bin/python3 -B
# gcc compiling a file: driver, cc1 and as are three programs by vfork and exec; the object file must be the same.
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import Test, judge_program, need_program  # noqa: E402

SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define FUNCTION(n) \\
    static int compare_##n(const void *a, const void *b) { return strcmp(a, b) + n; } \\
    int function_##n(char *text, int count) \\
    { \\
        int sum = 0; \\
        for (int i = 0; i < count; i++) { \\
            char *copy = malloc((size_t)count + n); \\
            snprintf(copy, (size_t)count, "%%s %%d", text, i * n); \\
            qsort(copy, strlen(copy), 1, compare_##n); \\
            switch (copy[i %% (n + 1)]) { case 'a': sum += n; break; case 'b': sum -= i; break; default: sum ^= i; } \\
            free(copy); \\
        } \\
        return sum; \\
    }
%s
"""
GCC, = need_program("gcc")


def run(env):
    target = test.path("work.o")
    process = test.run([GCC, "-O2", "-g", "-frandom-seed=1", "-c", "-o", target, test.path("work.c")], env,
                       cwd=test.folder)
    with open(target, "rb") as file:
        process.output += hashlib.sha256(file.read()).hexdigest()
    os.unlink(target)
    return process


with Test("gcc") as test:
    with open(test.path("work.c"), "w") as file:
        file.write(SOURCE % "\n".join("FUNCTION(%d)" % n for n in range(1, 60)))
    judge_program(test, run)
    programs = {p.program for p in test.exit_profiles(test.path("out.1"))}
    test.need({"gcc", "cc1", "as"} <= {p.split("-")[-1] if "gcc" in p else p for p in programs} or
              {"cc1", "as"} <= {p.rsplit("-", 1)[-1] for p in programs}, "profiles only of %s", sorted(programs))
