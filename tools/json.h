/* json.h - JSON on standard output, in QEMU's layout */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_TOOLS_JSON_H
#define MINIBLK_TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <miniblk/block.h>

/* Where the output is; begin with zeroes */
typedef struct Json {
    int depth;                  /* four spaces for each level */
    bool first;                 /* nothing was printed at this level yet */
} Json;

/* Begin a line: a comma behind the line before, spaces, and the key. A value must follow */
void json_key(Json *json, const char *key);
void json_begin(Json *json);
void json_end(Json *json);

/* Begin a list. json_begin_item() begins an object in it, and json_end() ends that */
void json_begin_list(Json *json);
void json_begin_item(Json *json);
void json_end_list(Json *json);

/* Print a text in ASCII only. Bytes that are not UTF-8 become U+FFFD */
void json_text(Json *json, const char *key, const char *text);
void json_int(Json *json, const char *key, int64_t number);
void json_bool(Json *json, const char *key, bool on);

/* Print the warnings of @bs, if there are any, each with its code */
void json_warnings(Json *json, BlockDriverState *bs);

#endif
