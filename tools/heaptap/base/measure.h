// Numbers with units the way pprof's reports write them: 2.50MB, 465.45kB, 83.33%.
#ifndef HT_BASE_MEASURE_H
#define HT_BASE_MEASURE_H

#include <stddef.h>
#include <stdint.h>

// Context: tool; pure. Units are those of pprof's reports (bytes and time by their many names, GCU);
// "minimum" and "auto" choose the largest unit that leaves at least 1. The rules were read off `go tool
// pprof` of Go 1.19 and are checked against it by the golden tests.

// Converts; *ret_unit is a constant string or one of the arguments ("" for units that are not shown).
double ht_measure_scale(int64_t value, const char *from_unit, const char *to_unit, const char **ret_unit);

enum { HT_MEASURE_TEXT_BYTES = 512 };

// value with two decimals (".00" removed) and its unit; "0" alone for zero.
void ht_measure_label(int64_t value, const char *from_unit, const char *to_unit,
                      char text[HT_MEASURE_TEXT_BYTES]);

// |value / total| as a percentage, 6 wide: "  100%", "83.33%", "  0.5%".
void ht_measure_percent(int64_t value, int64_t total, char text[HT_MEASURE_TEXT_BYTES]);

// True if this is a unit of bytes, of time or of GCU, by any of its names.
int ht_measure_is_unit(const char *name);

// True if values of the two units can be converted into each other.
int ht_measure_compatible(const char *unit_a, const char *unit_b);

// For heaptap's own tables: bytes as pprof writes them ("2.50MB"), with a sign in front when `with_sign` and
// not zero.
void ht_measure_bytes(int64_t bytes, int with_sign, char text[HT_MEASURE_TEXT_BYTES]);

// A length of time for people: "45s", "3m20s", "2h05m", "3d04h".
void ht_measure_age(int64_t ns, char text[HT_MEASURE_TEXT_BYTES]);

#endif
