// Another malloc interposer behind the shim sees each call of the host exactly once: the shim forwards all of
// them, and allocates nothing itself.
//@ preload after libforward
//@ skip jemalloc: it stands in front of the interposer
#include "preload_before.c"
