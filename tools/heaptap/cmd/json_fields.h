// Which fields each command writes with --json, for the man pages; tests/e2e/test_docs.py holds the commands
// to it.
#ifndef HT_CMD_JSON_FIELDS_H
#define HT_CMD_JSON_FIELDS_H

#include "view/report_json.h"

// A row of the table: the fields of one kind of object.
struct ht_json_fields {
    const char *commands; // one or more, with spaces between them
    const char *where;    // the path to the object: "" is the outermost, "rows[]" the elements of its rows
    const char *names;    // with spaces between them; those that may be missing end with '?'
};
extern const struct ht_json_fields ht_json_fields[]; // ends with an entry without commands

// Context: tool; pure. Whether this row is about a command.
bool ht_json_fields_match(const struct ht_json_fields *fields, const char *command);

// What a field of a command means: the reports' common word, or the command's own. NULL: it is not described.
const struct ht_json_word *ht_json_field_word(const char *command, const char *name, size_t length);

#endif
