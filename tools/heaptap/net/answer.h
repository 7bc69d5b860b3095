// What a server answers, as far as we read it ourselves: the status line, the type, the words for people.
#ifndef HT_NET_ANSWER_H
#define HT_NET_ANSWER_H

#include <stddef.h>

// Context: tool; pure. The bytes are foreign and end without a NUL; results are cut to fit.

// Of a header line "HTTP/1.1 404 Not Found" what is behind the first blank; other lines change nothing.
void ht_answer_status(const char *bytes, size_t length, char *ret_status, size_t size);

// Lower case, without parameters; NULL: "".
void ht_answer_type(const char *type, char *ret_type, size_t size);

// The first line of a body.
void ht_answer_said(const char *bytes, size_t length, char *ret_said, size_t size);

#endif
