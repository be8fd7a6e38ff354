/* error.c - GError for programs without GLib's headers */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <glib.h>
#include <miniblk/driver.h>

#define MAX_ERRNO 4095

static GQuark error_domain(void)
{
    return g_quark_from_static_string("miniblk-block");
}

void bdrv_set_error(GError **errp, int code, const char *format, ...)
{
    va_list args;

    if (!errp) {
        return;
    }
    va_start(args, format);
    *errp = g_error_new_valist(error_domain(), code, format, args);
    va_end(args);
}

const char *bdrv_error_message(const GError *err)
{
    return err ? err->message : "no error";
}

int bdrv_error_code(const GError *err)
{
    if (!err) {
        return 0;
    }
    return err->domain == error_domain() && err->code > 0 && err->code <= MAX_ERRNO ? err->code : EIO;
}

void bdrv_error_free(GError *err)
{
    if (err) {
        g_error_free(err);
    }
}
