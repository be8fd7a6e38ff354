/* options.h - fill a driver's options struct from keys and values, by its table */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_OPTIONS_H
#define BLOCK_OPTIONS_H

#include <miniblk/driver.h>
#include "util/keyval.h"

/* Fill the zeroed struct @out: defaults first, then what @kv says; the keys of @table are taken out of
 * @kv, the rest stays. @table NULL: no options. False and @errp set if a value is wrong or a required
 * one is missing; nothing is left to be cleared then. */
bool block_options_fill(const BlockOption *table, KeyVal *kv, void *out, const char *driver_name,
                        GError **errp);

/* Free the strings and lists that block_options_fill() made; @out may be NULL with @table NULL */
void block_options_clear(const BlockOption *table, void *out);

/* True if @kv is empty; else false, and the error names its first key and the options that there are */
bool block_options_unknown(const BlockOption *table, const KeyVal *kv, const char *driver_name,
                           GError **errp);

/* Return a struct of @size bytes, filled from @text, "key=value,…", of which each key must be in @table. NULL and
 * @errp set if one is not. block_options_clear() it, and g_free() it */
void *block_options_read(const BlockOption *table, size_t size, const char *text, const char *driver_name, GError **errp);

#endif
