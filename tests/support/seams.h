// What happens at the seams of src (sys/seam.h) in a test: other work, run there on purpose.
#ifndef HT_TESTS_SEAMS_H
#define HT_TESTS_SEAMS_H

#include <stdbool.h>

// Context: any thread of a test; a plan is of the thread that makes it.

// At the `nth` seam from now on (0: the very next), of this name or (NULL) of any, `work` runs once, on this
// thread, and makes plans of its own if it likes. Of seams with one name only the first SEAM_REPEATS count.
#define SEAM_REPEATS 3
void seams_plan(const char *name, unsigned nth, void (*work)(void *arg), void *arg);
// Whether it has run; the plan is over then.
bool seams_end(void);
// Name of the seam at which the last plan of this thread ran.
const char *seams_where(void);

// From now on every thread gives up the processor at one in so many of its seams; 0: at none.
void seams_yield(unsigned one_in);

// How often a byte of the filter was to be counted below zero, in all threads.
unsigned seams_below_zero(void);

#endif
