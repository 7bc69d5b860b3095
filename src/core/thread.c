// The one instance of the per-thread state.
#include "core/thread.h"

__thread struct ht_thread ht_thread __attribute__((tls_model("initial-exec")));
