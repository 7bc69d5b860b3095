// libplace_a with larger frames.
#define PLACE_FRAME "88"
#include "libplace_a.c"
