// Seams: places in lock-free code where a test lets other work happen, on purpose and every time.
#ifndef HT_SYS_SEAM_H
#define HT_SYS_SEAM_H

// HT_SEAM(name) stands between two steps that belong together. It is nothing at all in what is installed; the
// race tests have a second set of the room's objects, built with HT_SEAMS, and their own ht_seam.
#if defined(HT_SEAMS)
void ht_seam(const char *name);
#define HT_SEAM(name) ht_seam(#name)
#else
#define HT_SEAM(name) ((void)0)
#endif

#endif
