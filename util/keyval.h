/* keyval.h - an ordered list of dotted keys and their values: "driver=vpc,file.filename=a.vhd" */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_KEYVAL_H
#define UTIL_KEYVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <glib.h>

/* A list of options. Each key is there once; a second value replaces the first. A returned key or value that is const
 * lives until that key is changed or the list is freed. */
typedef struct KeyVal KeyVal;

KeyVal *keyval_new(void);

/* Parse "key=value,…". A comma in a value is doubled; a key without "=" has the value "on"; @text empty or NULL: an
 * empty list. NULL and @errp set (EINVAL) if a key, or a part of it between dots, is empty. */
KeyVal *keyval_parse(const char *text, GError **errp);

/* Parse a JSON object; single quotes are allowed. Values in objects and lists get dotted keys; numbers, true and false
 * become values as keyval_parse() has them. NULL and @errp set (EINVAL) on failure */
KeyVal *keyval_parse_json(const char *text, GError **errp);

/* Return whether @key is a valid key */
bool keyval_is_key(const char *key);

/* Free a list; @kv may be NULL */
void keyval_free(KeyVal *kv);

/* Replace the value of @key, or append the pair */
void keyval_set(KeyVal *kv, const char *key, const char *value);

/* Return the value of @key; NULL: there is no such key */
const char *keyval_get(const KeyVal *kv, const char *key);

/* Remove @key, and return its value, to be g_free()d; NULL: there is no such key */
char *keyval_take(KeyVal *kv, const char *key);

/* Move each "@prefix.x" to a new list, as "x". Does not return NULL */
KeyVal *keyval_take_subtree(KeyVal *kv, const char *prefix);
bool keyval_has_subtree(const KeyVal *kv, const char *prefix);

size_t keyval_count(const KeyVal *kv);
const char *keyval_key(const KeyVal *kv, size_t i);
const char *keyval_value(const KeyVal *kv, size_t i);

/* Return the text that keyval_parse() would read; g_free() it */
char *keyval_format(const KeyVal *kv);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyVal, keyval_free)

#endif
