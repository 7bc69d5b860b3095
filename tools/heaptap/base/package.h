// The package of a distribution that has the debug info of a file.
#ifndef HT_BASE_PACKAGE_H
#define HT_BASE_PACKAGE_H

// Context: tool. Goes by what dpkg has written down, and runs nothing. The name is to be freed; NULL: no
// package has the file, or this is no Debian.
char *ht_package_with_debug(const char *path);

#endif
