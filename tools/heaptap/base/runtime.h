// Language runtimes with memory that does not come from malloc, or with functions that stacks do not show.
#ifndef HT_BASE_RUNTIME_H
#define HT_BASE_RUNTIME_H

#include <stdbool.h>

// Texts are parts of sentences; NULL where there is nothing of the kind.
struct ht_runtime {
    const char *name;
    const char *programs[3];      // patterns (fnmatch) of executables' base names
    const char *libraries[2];     // beginnings of libraries' base names
    const char *symbols[3];       // a function that its program or its library exports
    const char *unseen;           // "what ... is not malloc's"
    const char *advice;           // what to do about that: "set ...", "use ..."
    const char *variable, *value; // an environment in which all of it comes from malloc
    const char *frames;           // whose functions stacks do not show
    const char *interpreter;      // a function that stands for them in stacks
    const char *frames_advice;
    const char *names_variable, *names_word; // with the word in that variable or the arguments they are shown
};

// Context: tool; no state.

// The runtime whose program or library has this base name; NULL: none that is known.
const struct ht_runtime *ht_runtime_of(const char *name);

// All of them, by number; NULL behind the last one.
const struct ht_runtime *ht_runtime_at(unsigned number);

// Whether a word stands in a text, alone or as the beginning of a longer one: "malloc" in "malloc_debug", not
// in "pymalloc". A NULL text has none.
bool ht_runtime_says(const char *text, const char *word);

#endif
