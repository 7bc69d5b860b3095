// Plugin of stdio_lock, preloaded behind the shim: its destructor ends the process, after the shim's, where
// the program asked for it.
#include "self.h"

extern int last_status;
int last_status = -1;

__attribute__((destructor)) static void leave(void)
{
    if (last_status >= 0)
        _exit(last_status);
}
