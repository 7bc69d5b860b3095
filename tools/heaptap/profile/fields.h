// The messages of profile.proto as tables of fields, and the records that they are read into and written
// from.
#ifndef HT_PROFILE_FIELDS_H
#define HT_PROFILE_FIELDS_H

#include "profile/profile.h"
#include "profile/wire.h"

// The record of a Profile is struct ht_profile itself; those of ValueType and Label are struct ht_value_type
// and struct ht_label. The others have what a profile in memory does not: ids. What it does have comes first,
// so that the table fits that as well.
struct ht_sample_record {
    struct ht_sample sample;
    size_t value_count; // read so far
    size_t position;    // in the profile
};

struct ht_mapping_record {
    struct ht_profile_mapping mapping;
    uint64_t id;
};

struct ht_location_record {
    struct ht_location location;
    uint64_t id, mapping_id;
};

struct ht_line_record {
    struct ht_line line;
    uint64_t function_id;
};

struct ht_function_record {
    struct ht_function function;
    uint64_t id;
};

// Repeated fields.
enum ht_profile_element {
    HT_ELEMENT_SAMPLE_TYPE,
    HT_ELEMENT_SAMPLE,
    HT_ELEMENT_INHERITED, // samples with HT_INHERITED_LABEL, which stands for the field
    HT_ELEMENT_MAPPING,
    HT_ELEMENT_LOCATION,
    HT_ELEMENT_FUNCTION,
    HT_ELEMENT_BIRTHS, // pieces of one sequence
    HT_ELEMENT_STRING,
    HT_ELEMENT_COMMENT,
    HT_ELEMENT_FRAME, // of a sample
    HT_ELEMENT_VALUE,
    HT_ELEMENT_LABEL,
    HT_ELEMENT_LINE, // of a location
};

enum { HT_FIELD_TIME = 9 }; // of Profile

extern const struct ht_wire_message ht_fields_profile, ht_fields_value_type, ht_fields_sample,
    ht_fields_label, ht_fields_mapping, ht_fields_location, ht_fields_line, ht_fields_function;

#endif
