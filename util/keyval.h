/* keyval.h - an ordered list of dotted keys and their values: "driver=vpc,file.filename=a.vhd" */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_KEYVAL_H
#define UTIL_KEYVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <glib.h>

/* Every key is there once; a second value replaces the first. Keys and values that are handed out as
 * const live until that key is changed or the list is freed. */
typedef struct KeyVal KeyVal;

KeyVal *keyval_new(void);

/* A comma in a value is doubled; a key without "=" is "on"; @text empty or NULL: an empty list.
 * NULL and @errp set (EINVAL) where a key, or a part of it between dots, is empty. */
KeyVal *keyval_parse(const char *text, GError **errp);

/* Options as a JSON object, strings in single quotes allowed: what is in objects and lists gets dotted keys, and
 * numbers, true and false are as keyval_parse() would have them. NULL and @errp set (EINVAL) */
KeyVal *keyval_parse_json(const char *text, GError **errp);

/* Can it be written as a key? */
bool keyval_is_key(const char *key);

/* NULL is allowed */
void keyval_free(KeyVal *kv);

/* Replace in place, or append */
void keyval_set(KeyVal *kv, const char *key, const char *value);

/* NULL: there is no such key */
const char *keyval_get(const KeyVal *kv, const char *key);

/* The value, to be g_free()d, and the key is gone; NULL: there is no such key */
char *keyval_take(KeyVal *kv, const char *key);

/* Move every "@prefix.x" to a list of its own as "x"; never NULL */
KeyVal *keyval_take_subtree(KeyVal *kv, const char *prefix);
bool keyval_has_subtree(const KeyVal *kv, const char *prefix);

size_t keyval_count(const KeyVal *kv);
const char *keyval_key(const KeyVal *kv, size_t i);
const char *keyval_value(const KeyVal *kv, size_t i);

/* The text that keyval_parse() would read; g_free() it */
char *keyval_format(const KeyVal *kv);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyVal, keyval_free)

#endif
