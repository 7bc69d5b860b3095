// Threads that a test moves by hand: each does one thing after the other when it is told to, and stops in the
// seams that it is told. One of them runs at a time, or the test: what they share needs no other order.
#ifndef HT_TESTS_ACTORS_H
#define HT_TESTS_ACTORS_H

#include <stdbool.h>

#define ACTORS 3u

// Fixtures of a group of tests.
int actors_begin(void **state);
int actors_end(void **state);

// Lets actor `number` begin `work` and run to its nth seam of this name (NULL: of any). True: it waits there;
// else the work is done.
bool actors_work(unsigned number, void (*work)(void), const char *seam, unsigned nth);
// Lets one that waits go on, to its next seam of this name or (NULL) to the end of the work. One that does
// not wait has nothing to do.
bool actors_go_on(unsigned number, const char *seam);
// Which one the calling thread is; others are 0.
unsigned actors_self(void);

#endif
