// The form of field 1000 of Profile: standard errors, and the live samples by their births.
//
// The pieces of the field, one after another, are one sequence of varints (LEB128, as in protobuf):
//
//   version      HT_BIRTHS_VERSION; what comes behind another one is unknown
//   flags        HT_BIRTHS_*
//   columns      how many values each sample has, then, without HT_BIRTHS_COLUMNS, what each is
//                (enum ht_column_source)
//   quantum      of all times, in nanoseconds
//   now          CLOCK_MONOTONIC of the snapshot, in quanta
//   floor        cell of the floor of thinning (record/estimate.h), 0: none. Where a floor is not on the grid
//                (older builds), the next cell above
//   rates        how many, then the bits of a float for each: all mean distances that live samples were drawn
//   with
//
// Then for each Sample message (field 2, not those of field 1001), in the order of the file:
//
//   errors       with HT_BIRTHS_COLUMNS: for each column the bits of a float, its variance, NaN: unknown
//                without: the standard error of what was ever counted of the amount, rounded, plus 1; 0:
//                unknown. Then, with HT_BIRTHS_LIVE and without HT_BIRTHS_LISTED, the same of what is in use
//   with HT_BIRTHS_LISTED, of its live samples, sorted by birth:
//   count
//   births       the first as zigzag(now - birth), each other one as the difference to that before
//   sizes        the upper bound of the size class less the size
//   rates        position in the table; left out where that has one
//   ranks        the rank's cell less the larger of the rate's and the floor's; left out for samples that are
//                exact, whose rate and floor are 1 at most
//
// Each of the four comes for all of the sample's live samples before the next one does: alike stands beside
// alike, which packs better.
//
// Errors are bytes (of the heap). With HT_BIRTHS_SIZES a sample holds blocks of one size class, so that the
// variance of its number of blocks follows: variance of bytes / (bytes/count)^2. Each size is within a factor
// of 9/8 of the mean (record/estimate.h), so what follows is within (9/8)^2 = 1.27, and its root
// within 1.125, of what the samples themselves would give. In use the samples are there, and nothing has to
// follow.
#ifndef HT_SNAPSHOT_BIRTHS_FORM_H
#define HT_SNAPSHOT_BIRTHS_FORM_H

#include <stdint.h>

#define HT_BIRTHS_FIELD   1000u
#define HT_BIRTHS_VERSION 1u

#define HT_BIRTHS_LISTED  1u
#define HT_BIRTHS_COLUMNS 2u // written by the command
#define HT_BIRTHS_SIZES   4u
#define HT_BIRTHS_LIVE    8u // the kind has live samples

#define HT_BIRTHS_QUANTUM_NS UINT64_C(10000000)
#define HT_BIRTHS_RATES      64u // more: the live samples are not listed
#define HT_BIRTHS_LIMIT      (256u * 1024u)

static inline uint64_t ht_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t ht_unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ ((value & 1) != 0 ? UINT64_MAX : 0));
}

#endif
