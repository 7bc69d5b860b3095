// What was judged against a limit, as a table, as JSON, and as JUnit's XML.
#ifndef HT_VIEW_TEXT_GATE_H
#define HT_VIEW_TEXT_GATE_H

#include "stats/gate.h"

struct ht_gate_form {
    const char *trim_path; // prefixes that file names are shown without (base/path.h), NULL: none
    size_t limit;          // rows that do not fail, at the most; and stacks
    int columns;           // names are cut to fit; 0: never
    bool is_one_process;
};

// Context: tool. Of two profiles: old, new, change and error of each row.
void ht_gate_text(const struct ht_gate *gate, const struct ht_gate_form *form, struct ht_buffer *out);
void ht_gate_json(const struct ht_gate *gate, const struct ht_gate_form *form, struct ht_buffer *out);

// A test suite: a test case for the total and for each call site, failed ones with message and stack. It is
// well-formed whatever names hold.
void ht_gate_junit(const struct ht_gate *gate, const struct ht_gate_form *form, struct ht_buffer *out);

// Of one profile: what is held, by call site, with the callers of each.
void ht_gate_held(const struct ht_gate *gate, const struct ht_gate_form *form, struct ht_buffer *out);

// "the total and 2 call sites": what fails.
void ht_gate_failing(const struct ht_gate *gate, struct ht_buffer *out);

// "1.50MB", "1.50MB ±0.20MB" where it is an estimate.
void ht_gate_amount(const struct ht_gate *gate, double value, double error, bool with_sign,
                    struct ht_buffer *out);

#endif
