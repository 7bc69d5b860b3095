// The same with libunwind as the shim's unwinder: it defines _Unwind_* as well, and these must stay its own.
//@ set unwind=libunwind
#include "cxx_plugin.c"
