// The snapshot signal.
#ifndef HT_TRIGGER_SIGNAL_H
#define HT_TRIGGER_SIGNAL_H

// Installs the handler where the disposition is the default; 0: none. Context: load.
void ht_signal_install(int signal);

#endif
