// A library for test_unwind.c, built several times with different FRAME_WORDS, so that the same addresses
// need other rules; its ifunc makes the loader's lazy binding call the probe.
#ifndef FRAME_WORDS
#define FRAME_WORDS 4
#endif

void (*library_probe)(void);

__attribute__((noinline)) static int inner(int depth)
{
    volatile long words[FRAME_WORDS];
    for (int i = 0; i < FRAME_WORDS; i++) {
        words[i] = depth + i;
    }
    if (depth == 0) {
        library_probe();
    } else {
        inner(depth - 1);
    }
    return (int)words[FRAME_WORDS - 1];
}

static int chosen(int value)
{
    return value + 1;
}

static int (*choose(void))(int)
{
    if (library_probe != 0) {
        library_probe();
    }
    return chosen;
}

int lazily(int value) __attribute__((ifunc("choose")));

void run(void (*probe)(void))
{
    library_probe = probe;
    inner(3);
}

int run_lazily(void (*probe)(void))
{
    library_probe = probe;
    return lazily(FRAME_WORDS);
}
