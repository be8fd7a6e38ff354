/* io-breakpoints.c - the breakpoints that are set, and whether a request is stopped at one */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include "tools/io.h"

static GPtrArray *tags;             /* char *, of all breakpoints since the image was opened; NULL: none */

void io_break_remember(const char *tag)
{
    if (!tags) {
        tags = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(tags, g_strdup(tag));
}

bool io_break_any(void)
{
    return tags != NULL;
}

const char *io_break_stopped(void)
{
    for (guint i = 0; tags && i < tags->len; i++) {
        if (bdrv_debug_is_suspended(io_bs, tags->pdata[i])) {
            return tags->pdata[i];
        }
    }
    return NULL;
}

void io_break_clear(void)
{
    for (guint i = 0; tags && i < tags->len; i++) {
        bdrv_debug_remove_breakpoint(io_bs, tags->pdata[i]);
    }
    if (tags) {
        g_ptr_array_free(tags, TRUE);
    }
    tags = NULL;
}
