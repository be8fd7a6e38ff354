/* io-image.c - the image that is open: opens, closes, prints its warnings */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <glib.h>
#include "tools/io.h"

BlockDriverState *io_bs;

static IoOpenArgs opened;           /* the arguments with which it was opened, copied; without copy_on_read */
static unsigned warnings_seen;
static pthread_mutex_t warnings_lock = PTHREAD_MUTEX_INITIALIZER;

void io_print_warnings(void)
{
    const char *name = opened.filename ? opened.filename : bdrv_get_filename(io_bs);

    pthread_mutex_lock(&warnings_lock);
    tool_print_warnings(io_bs, name, &warnings_seen);
    pthread_mutex_unlock(&warnings_lock);
}

bool io_check_result(const char *name, int ret)
{
    if (ret < 0) {
        tool_print("%s failed: %s\n", name, g_strerror(-ret));
        io_print_warnings();
    }
    return ret == 0;
}

static void forget_image(void)
{
    g_free((char *)opened.filename);
    g_free((char *)opened.format);
    g_free((char *)opened.options);
    opened = (IoOpenArgs) { 0 };
}

static void remember_image(const IoOpenArgs *args)
{
    opened.filename = g_strdup(args->filename);
    opened.format = g_strdup(args->format);
    opened.options = g_strdup(args->options);
    opened.flags = args->flags;
}

bool io_image_open(const IoOpenArgs *args, GError **errp)
{
    if (args->copy_on_read && !(args->flags & BDRV_O_RDWR)) {
        bdrv_set_error(errp, EINVAL, "Can't use copy-on-read on read-only device");
        return false;
    }
    /* an image that is open for reading only needs no scratch file */
    unsigned flags = args->flags & BDRV_O_RDWR ? args->flags : args->flags & ~(unsigned)BDRV_O_SNAPSHOT;

    io_bs = tool_open(args->filename, args->format, args->options, false, flags, NULL, errp);
    if (!io_bs) {
        return false;
    }
    if (args->copy_on_read && bdrv_get_backing(io_bs) && !(flags & BDRV_O_SNAPSHOT)) {
        bdrv_close(io_bs);
        io_bs = NULL;
        bdrv_set_error(errp, ENOTSUP, "copy-on-read of what a parent has is not supported");
        return false;
    }
    remember_image(args);
    warnings_seen = 0;
    io_print_warnings();
    return true;
}

void io_image_set_flags(unsigned flags)
{
    opened.flags = flags;
}

const IoOpenArgs *io_image_args(void)
{
    return &opened;
}

bool io_image_close(void)
{
    io_print_warnings();
    int ret = bdrv_close(io_bs);

    io_bs = NULL;
    if (ret < 0) {
        tool_error("what was written may not have reached the disk: %s", g_strerror(-ret));
    }
    forget_image();
    return ret == 0;
}
