// The messages of google/pprof's profile.proto (proto/profile.proto here), a row for each field.
#include "profile/fields.h"

#include "snapshot/births_form.h"

#include <assert.h>

#define MESSAGE(name, rows, record)                                                                          \
    const struct ht_wire_message name = {rows, sizeof(rows) / sizeof(rows)[0], sizeof(record)};              \
    static_assert(sizeof(record) <= HT_WIRE_RECORD_BYTES || sizeof(record) == sizeof(struct ht_profile),     \
                  "a record of this size is never an element")

#define AT(member) offsetof(struct ht_value_type, member)
static const struct ht_wire_field value_type_fields[] = {
    {1, HT_WIRE_STRING, AT(type), NULL},
    {2, HT_WIRE_STRING, AT(unit), NULL},
};
MESSAGE(ht_fields_value_type, value_type_fields, struct ht_value_type);
#undef AT

#define AT(member) offsetof(struct ht_label, member)
static const struct ht_wire_field label_fields[] = {
    {1, HT_WIRE_STRING, AT(key), NULL},
    {2, HT_WIRE_STRING, AT(text), NULL},
    {3, HT_WIRE_NUMBER, AT(number), NULL},
    {4, HT_WIRE_STRING, AT(unit), NULL},
};
MESSAGE(ht_fields_label, label_fields, struct ht_label);
#undef AT

static const struct ht_wire_field sample_fields[] = {
    {1, HT_WIRE_NUMBERS, HT_ELEMENT_FRAME, NULL},
    {2, HT_WIRE_NUMBERS, HT_ELEMENT_VALUE, NULL},
    {3, HT_WIRE_MESSAGES, HT_ELEMENT_LABEL, &ht_fields_label},
};
MESSAGE(ht_fields_sample, sample_fields, struct ht_sample_record);

#define AT(member) offsetof(struct ht_mapping_record, member)
static const struct ht_wire_field mapping_fields[] = {
    {1, HT_WIRE_NUMBER, AT(id), NULL},
    {2, HT_WIRE_NUMBER, AT(mapping.start), NULL},
    {3, HT_WIRE_NUMBER, AT(mapping.limit), NULL},
    {4, HT_WIRE_NUMBER, AT(mapping.offset), NULL},
    {5, HT_WIRE_STRING, AT(mapping.file), NULL},
    {6, HT_WIRE_STRING, AT(mapping.build_id), NULL},
    {7, HT_WIRE_FLAG, AT(mapping.has_functions), NULL},
    {8, HT_WIRE_FLAG, AT(mapping.has_filenames), NULL},
    {9, HT_WIRE_FLAG, AT(mapping.has_line_numbers), NULL},
    {10, HT_WIRE_FLAG, AT(mapping.has_inline_frames), NULL},
};
MESSAGE(ht_fields_mapping, mapping_fields, struct ht_mapping_record);
#undef AT

#define AT(member) offsetof(struct ht_line_record, member)
static const struct ht_wire_field line_fields[] = {
    {1, HT_WIRE_NUMBER, AT(function_id), NULL},
    {2, HT_WIRE_NUMBER, AT(line.line), NULL},
    {3, HT_WIRE_NUMBER, AT(line.column), NULL},
};
MESSAGE(ht_fields_line, line_fields, struct ht_line_record);
#undef AT

#define AT(member) offsetof(struct ht_location_record, member)
static const struct ht_wire_field location_fields[] = {
    {1, HT_WIRE_NUMBER, AT(id), NULL},
    {2, HT_WIRE_NUMBER, AT(mapping_id), NULL},
    {3, HT_WIRE_NUMBER, AT(location.address), NULL},
    {4, HT_WIRE_MESSAGES, HT_ELEMENT_LINE, &ht_fields_line},
    {5, HT_WIRE_FLAG, AT(location.is_folded), NULL},
};
MESSAGE(ht_fields_location, location_fields, struct ht_location_record);
#undef AT

#define AT(member) offsetof(struct ht_function_record, member)
static const struct ht_wire_field function_fields[] = {
    {1, HT_WIRE_NUMBER, AT(id), NULL},
    {2, HT_WIRE_STRING, AT(function.name), NULL},
    {3, HT_WIRE_STRING, AT(function.system_name), NULL},
    {4, HT_WIRE_STRING, AT(function.file), NULL},
    {5, HT_WIRE_NUMBER, AT(function.start_line), NULL},
};
MESSAGE(ht_fields_function, function_fields, struct ht_function_record);
#undef AT

#define AT(member) offsetof(struct ht_profile, member)
static const struct ht_wire_field profile_fields[] = {
    {1, HT_WIRE_MESSAGES, HT_ELEMENT_SAMPLE_TYPE, &ht_fields_value_type},
    {2, HT_WIRE_MESSAGES, HT_ELEMENT_SAMPLE, &ht_fields_sample},
    {3, HT_WIRE_MESSAGES, HT_ELEMENT_MAPPING, &ht_fields_mapping},
    {4, HT_WIRE_MESSAGES, HT_ELEMENT_LOCATION, &ht_fields_location},
    {5, HT_WIRE_MESSAGES, HT_ELEMENT_FUNCTION, &ht_fields_function},
    {7, HT_WIRE_STRING, AT(drop_frames), NULL},
    {8, HT_WIRE_STRING, AT(keep_frames), NULL},
    {HT_FIELD_TIME, HT_WIRE_NUMBER, AT(time_ns), NULL},
    {10, HT_WIRE_NUMBER, AT(duration_ns), NULL},
    {11, HT_WIRE_INSIDE, AT(period_type), &ht_fields_value_type},
    {12, HT_WIRE_NUMBER, AT(period), NULL},
    {13, HT_WIRE_NUMBERS, HT_ELEMENT_COMMENT, NULL},
    {14, HT_WIRE_STRING, AT(default_sample_type), NULL},
    {15, HT_WIRE_STRING, AT(doc_url), NULL},
    {HT_BIRTHS_FIELD, HT_WIRE_TEXTS, HT_ELEMENT_BIRTHS, NULL},
    {1001, HT_WIRE_MESSAGES, HT_ELEMENT_INHERITED, &ht_fields_sample},
    {6, HT_WIRE_TEXTS, HT_ELEMENT_STRING, NULL}, // last: a string has its number once it is used
};
MESSAGE(ht_fields_profile, profile_fields, struct ht_profile);
#undef AT
