// Names that a profile's server gives to addresses.
#ifndef HT_INPUT_SERVER_NAMES_H
#define HT_INPUT_SERVER_NAMES_H

#include "profile/profile.h"

// Context: tool; pure. Locations without lines get the names that the answer has for their addresses. The
// text is foreign, and changed.
void ht_server_names_use(struct ht_profile *profile, char *text);

#endif
