/* img-target.c - a new image that is there as a whole or not at all */
/* SPDX-License-Identifier: MIT
 *
 * A new image is made beside the file that it replaces, and renamed when it is complete. So if the program is
 * interrupted or killed, the old file is unchanged. A signal that ends the program removes the unfinished file; SIGKILL
 * leaves it as "NAME.part-PID".
 *
 * On a device, on an export, and in a file with several names, the image is made in place. A VHD is marked there as
 * unfinished until all is written; a raw disk cannot be marked. After a failure a file is emptied.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-backing.h"
#include "tools/img-create-options.h"
#include "tools/img-paths.h"
#include "tools/img-target.h"
#include "util/keyval.h"

#define MOST_LINKS 40           /* symbolic links, as the kernel limits them */
#define MOST_LEFTOVERS 100      /* files of killed programs that had the same process id */

static char unfinished[PATH_MAX];       /* the file that a signal removes; "": none */
static char emptied[PATH_MAX];          /* the file that a signal empties; "": none */
static char last_words[PATH_MAX + 256]; /* the message that a signal prints */

static void remove_and_die(int number)
{
    if (*unfinished) {
        unlink(unfinished);
    }
    if (*emptied && truncate(emptied, 0) < 0) {
        *emptied = 0;
    }
    tool_print_in_handler(last_words);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_signals(void)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGXCPU, SIGUSR2 };
    struct sigaction old;

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) {      /* nohup ignores SIGHUP */
            sigaction(numbers[i], &(struct sigaction) { .sa_handler = remove_and_die }, NULL);
        }
    }
}

/* Return true if a new file can have the owner and the group of @st */
static bool may_own(const struct stat *st)
{
    return geteuid() == 0 || (st->st_uid == geteuid() && st->st_gid == getegid());
}

/* Make an empty file beside @real, with a name that no file has. NULL: it cannot be made. g_free() it */
static char *make_beside(const char *real, mode_t mode)
{
    g_autofree char *folder = g_path_get_dirname(real), *name = g_path_get_basename(real);

    for (int n = 0; n < MOST_LEFTOVERS; n++) {
        g_autofree char *number = n ? g_strdup_printf("-%d", n) : g_strdup("");
        g_autofree char *part = g_strdup_printf("%.*s.part-%d%s", NAME_MAX - 32, name, (int)getpid(), number);
        g_autofree char *path = g_build_filename(folder, part, NULL);
        int fd = strlen(path) < sizeof(unfinished) ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode) : -1;

        if (fd >= 0) {
            close(fd);
            return g_steal_pointer(&path);
        }
        if (errno != EEXIST) {
            return NULL;
        }
    }
    return NULL;
}

/* Return the path that @filename leads to; the file need not exist. NULL: there is no such path. g_free() it */
static char *find_real(const char *filename)
{
    char *path = g_strdup(filename);

    for (int links = 0; path && links < MOST_LINKS; links++) {
        g_autofree char *link = g_file_read_link(path, NULL), *from = g_steal_pointer(&path);
        char *real = realpath(from, NULL);

        if (real || !link) {
            path = real ? real : g_steal_pointer(&from);
            return path;
        }
        path = img_path_from(from, link);
    }
    g_free(path);
    return NULL;
}

/* Return true if a file is mounted at @real: it cannot be replaced by rename() */
static bool is_mounted(const char *real)
{
    struct statx stx;

    return statx(AT_FDCWD, real, 0, 0, &stx) == 0 && (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* Make a file beside @filename for the new image, and return its path. NULL: the image must be made in place. An old
 * file is kept open for writing, and so locked, until the end */
static char *begin_beside(ImgTarget *target, const char *filename)
{
    struct stat st;

    g_autofree char *real = find_real(filename);

    target->there = real && stat(real, &st) == 0;
    if (!real || (target->there && (!S_ISREG(st.st_mode) || st.st_nlink > 1 || !may_own(&st) || is_mounted(real)))) {
        return NULL;
    }
    if (target->there) {
        target->held = bdrv_open(real, "driver=file", BDRV_O_RDWR, NULL);
        target->was = st;
    }
    if (target->there && !target->held) {       /* making it in place will report the error */
        return NULL;
    }
    char *beside = make_beside(real, target->there ? 0600 : 0666);
    if (!beside || (target->there && chown(beside, st.st_uid, st.st_gid) < 0)) {
        if (beside) {
            unlink(beside);
        }
        g_free(beside);
        bdrv_close(target->held);
        target->held = NULL;
        return NULL;
    }
    target->real = g_steal_pointer(&real);
    return beside;
}

const char *img_target_begin(ImgTarget *target, const char *filename)
{
    sigset_t all, before;

    *target = (ImgTarget) { .filename = filename };
    catch_signals();
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);      /* remove_and_die() must know the new file */
    target->made = bdrv_is_path(filename) ? begin_beside(target, filename) : NULL;
    if (target->made) {
        g_strlcpy(unfinished, target->made, sizeof(unfinished));
        tool_call_it(target->made, filename);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return target->made ? target->made : filename;
}

/* Return the message about an incomplete image that was made in place. @file: it is a file, and is emptied. g_free()
 * it */
static char *about_part(const ImgTarget *target, bool file)
{
    return g_strdup_printf("'%s' %s", target->filename,
                           file
                           ? "is empty now, as it had a part of the new image only, and is no more what it was before"
                           : target->marked
                           ? "has a part of the new image only, and is marked as unfinished: it is not opened"
                           : "has a part of the new image only, and nothing in it says so");
}

/* Note that the old bytes are being overwritten, for the signal handler and for end_part() */
static void begin_part(ImgTarget *target)
{
    bool file = bdrv_is_path(target->filename) && img_is_regular_file(target->filename);
    g_autofree char *text = about_part(target, file), *printable = tool_printable(text);
    sigset_t all, before;

    target->begun = true;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    if (file) {
        g_strlcpy(emptied, target->filename, sizeof(emptied));
    }
    snprintf(last_words, sizeof(last_words), "%s: %s\n", tool_name, printable);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Empty the file, so that no incomplete image is left, and print the message about it */
static void end_part(const ImgTarget *target)
{
    bool file = *emptied && truncate(emptied, 0) == 0;
    g_autofree char *text = about_part(target, file);

    tool_error("%s", text);
}

static void print_warning(void *filename, const BlockWarning *warning)
{
    tool_warn("%s: %s", (const char *)filename, warning->text);
}

bool img_create_image(const char *filename, const BlockDriver *drv, KeyVal *options, const char *doing)
{
    g_autofree char *text = img_creation_options(options, drv);
    GError *err = NULL;

    const BlockCreateArgs args = {
        .filename = filename, .options = text, .warn = print_warning, .user = (void *)filename,
    };

    if (!bdrv_create_with(&args, &err)) {
        tool_error("%s: %s%s%s", filename, doing, bdrv_error_message(err),
                   img_advice_on_parent(filename, keyval_get(options, "backing_file"),
                                        keyval_get(options, "backing_fmt")));
        bdrv_error_free(err);
        return false;
    }
    return true;
}

bool img_target_create(ImgTarget *target, const BlockDriver *drv, KeyVal *options, const char *doing, char **open)
{
    target->marked = !target->made && img_has_create_option(drv, "unfinished");
    if (target->marked) {
        keyval_set(options, "unfinished", "on");
    } else if (!target->made && img_has_create_option(drv, "clear")) {
        keyval_set(options, "clear", "on");
    }
    *open = g_strdup(target->marked ? "unfinished=on" : "");
    if (!img_create_image(target->made ? target->made : target->filename, drv, options, doing)) {
        return false;
    }
    if (!target->made) {
        begin_part(target);
    }
    return true;
}

bool img_target_finish(ImgTarget *target, BlockDriverState *bs)
{
    GError *err = NULL;

    if (target->marked && !bdrv_amend(bs, "unfinished=off", &err)) {
        tool_error("error while writing %s: %s", target->filename, bdrv_error_message(err));
        bdrv_error_free(err);
        return false;
    }
    target->marked = false;
    return true;
}

/* Copy the extended attributes of @from to @to, with ACLs and security labels. Warn of each that cannot be set */
static void copy_attributes(int from, int to, const char *filename)
{
    ssize_t length = flistxattr(from, NULL, 0);
    g_autofree char *names = g_malloc0((gsize)MAX(length, 0) + 1);

    length = length > 0 ? flistxattr(from, names, (size_t)length) : 0;
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        char value[65536];              /* XATTR_SIZE_MAX */
        ssize_t bytes = fgetxattr(from, name, value, sizeof(value));

        if (bytes < 0 || fsetxattr(to, name, value, (size_t)bytes, 0) < 0) {
            tool_warn("%s: it has its attribute '%s' no more: %s", filename, name, g_strerror(errno));
        }
    }
}

/* Give the new file the owner and the mode of the old one, and flush it: otherwise a power cut after the rename could
 * lose both. 0, or -1 with errno set */
static int follow_held(const ImgTarget *target)
{
    int fd = open(target->made, O_RDONLY | O_CLOEXEC);
    int ret = fd < 0 ? -1 : fchown(fd, target->was.st_uid, target->was.st_gid);

    ret = ret < 0 ? ret : fchmod(fd, target->was.st_mode & 07777);
    if (ret == 0) {
        int from = open(target->real, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

        if (from >= 0) {
            copy_attributes(from, fd, target->filename);
            close(from);
        }
    }
    ret = ret < 0 ? ret : fsync(fd);
    if (fd >= 0) {
        int err = errno;

        close(fd);
        errno = err;
    }
    return ret;
}

/* Rename the new file to its final name. 0, or -1 with errno set; EEXIST: another file has this name now */
static int take_name(const ImgTarget *target)
{
    struct stat st;

    if (!target->there) {
        int ret = renameat2(AT_FDCWD, target->made, AT_FDCWD, target->real, RENAME_NOREPLACE);

        bool unsupported = ret < 0 && errno == EINVAL;      /* the file system does not know RENAME_NOREPLACE */

        return unsupported ? rename(target->made, target->real) : ret;
    }
    if (stat(target->real, &st) < 0 || st.st_dev != target->was.st_dev || st.st_ino != target->was.st_ino) {
        errno = EEXIST;
        return -1;
    }
    return rename(target->made, target->real);
}

bool img_target_end(ImgTarget *target, bool ok)
{
    bool renamed = target->made && ok && (!target->held || follow_held(target) == 0) &&
                   take_name(target) == 0;

    if (target->made && ok && !renamed && errno == EEXIST) {
        tool_error("'%s' is another file than when this began, and is left as it is: nothing was made",
                   target->filename);
    } else if (target->made && ok && !renamed) {
        tool_error("Could not rename '%s' to '%s': %s", target->made, target->real, g_strerror(errno));
    }
    ok = ok && (renamed || !target->made);
    if (target->begun && !ok) {
        end_part(target);
    }
    if (target->made && !renamed) {
        unlink(target->made);
    }
    *unfinished = *emptied = *last_words = 0;
    tool_call_it(NULL, NULL);
    bdrv_close(target->held);
    free(target->made);
    free(target->real);
    *target = (ImgTarget) { 0 };
    return ok;
}
