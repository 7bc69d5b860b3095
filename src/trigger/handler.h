// Signal handlers of ours: which one the kernel has, taking a signal that is left at its default, and giving
// it back.
#ifndef HT_TRIGGER_HANDLER_H
#define HT_TRIGGER_HANDLER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

// The handler that the kernel has for a signal. False: it does not tell. Any context.
bool ht_handler_of(int signal, uintptr_t *ret_handler);

// Whether it is this one.
bool ht_handler_is(int signal, void (*handler)(int, siginfo_t *, void *));

// Installs the handler where the disposition is the default. Context: load.
void ht_handler_install(int signal, void (*handler)(int, siginfo_t *, void *));

// Puts the default back. Context: signal handler.
void ht_handler_put_default(int signal);

#endif
