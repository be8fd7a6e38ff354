/* options.h - fill a driver's options struct from keys and values, by the driver's table */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_OPTIONS_H
#define BLOCK_OPTIONS_H

#include <miniblk/driver.h>
#include "util/keyval.h"

/* Fill the zeroed struct @out: first with the defaults, then with the values of @kv. The keys of @table are removed
 * from @kv, other keys stay. @table NULL: there are no options. False and @errp set if a value is wrong or a required
 * one is missing; then @out needs no block_options_clear(). */
bool block_options_fill(const BlockOption *table, KeyVal *kv, void *out, const char *driver_name,
                        GError **errp);

/* Free the strings and lists that block_options_fill() made; @out may be NULL with @table NULL */
void block_options_clear(const BlockOption *table, void *out);

/* Return true if @kv is empty. Else set an error that names its first key and the options of @table */
bool block_options_unknown(const BlockOption *table, const KeyVal *kv, const char *driver_name,
                           GError **errp);

/* Return a struct of @size bytes, filled from @text, "key=value,…". NULL and @errp set if a key is not in @table or a
 * value is wrong. Call block_options_clear() and g_free() for it */
void *block_options_read(const BlockOption *table, size_t size, const char *text, const char *driver_name,
                         GError **errp);

#endif
