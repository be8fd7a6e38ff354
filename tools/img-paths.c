/* img-paths.c - compares paths by the files that they lead to */
/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib.h>
#include <linux/loop.h>
#include "tools/common.h"
#include "tools/img-paths.h"
#include "util/keyval.h"

/* The identity of a file or a device */
typedef struct Place {
    bool device;
    uint64_t dev, ino;          /* for a device: its number, and 0 */
} Place;

/* Find the place of @path. A loop device has the place of the file that it shows. False: there is no such file */
static bool find_place(const char *path, Place *place)
{
    struct loop_info64 loop;
    struct stat st;

    if (stat(path, &st) < 0) {
        return false;
    }
    *place = S_ISBLK(st.st_mode) ? (Place) { true, st.st_rdev, 0 } : (Place) { false, st.st_dev, st.st_ino };
    int fd = S_ISBLK(st.st_mode) ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;

    if (fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &loop) == 0) {
        *place = loop.lo_rdevice ? (Place) { true, loop.lo_rdevice, 0 }
                                 : (Place) { false, loop.lo_device, loop.lo_inode };
    }
    if (fd >= 0) {
        close(fd);
    }
    return true;
}

bool img_is_same_file(const char *a, const char *b)
{
    Place first, second;

    return find_place(a, &first) && find_place(b, &second) && first.device == second.device &&
           first.dev == second.dev && first.ino == second.ino;
}

char *img_path_from(const char *image, const char *path)
{
    g_autofree char *folder = g_path_get_dirname(image);

    return g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(folder, path, NULL);
}

bool img_is_regular_file(const char *filename)
{
    struct stat st;

    return lstat(filename, &st) == 0 && S_ISREG(st.st_mode);
}

bool img_is_file_of(BlockDriverState *bs, const char *path)
{
    while (bs && !img_is_same_file(bdrv_get_filename(bs), path)) {
        bs = bdrv_get_backing(bs);
    }
    return bs != NULL;
}

static bool option_is_file_of(BlockDriverState *bs, const KeyVal *options)
{
    bool found = false;

    for (size_t i = 0; i < keyval_count(options) && !found; i++) {
        const char *key = keyval_key(options, i);

        found = (g_str_equal(key, "filename") || g_str_has_suffix(key, ".filename")) &&
                img_is_file_of(bs, keyval_value(options, i));
    }
    return found;
}

bool img_is_input(BlockDriverState *bs, const char *filename, const KeyVal *options)
{
    g_autofree char *text = bdrv_is_path(filename) ? NULL : bdrv_name_options(filename, NULL);
    g_autoptr(KeyVal) named = keyval_parse(text, NULL);
    bool found = img_is_file_of(bs, filename) || (named && option_is_file_of(bs, named)) ||
                 option_is_file_of(bs, options);

    if (found) {
        tool_error("'%s' is both input and output", filename);
    }
    return found;
}
