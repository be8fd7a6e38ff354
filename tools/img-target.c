/* img-target.c - an output that is there as a whole or not at all */
/* SPDX-License-Identifier: MIT
 *
 * A new image is made beside the file that it is to become, and renamed when it is finished: whoever is interrupted or
 * killed meanwhile leaves what was there before. A signal that ends the program removes what was made; of one that was
 * killed outright, "NAME.part-PID" is left.
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
#include "tools/img-target.h"

#define MOST_LEFTOVERS 100      /* of programs that were killed, and had the same number */

static char unfinished[PATH_MAX];       /* what a signal is to remove; "": nothing */

static void remove_and_die(int number)
{
    if (*unfinished) {
        unlink(unfinished);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_signals(void)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGXCPU, SIGUSR2 };
    struct sigaction old;

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) {      /* nohup ignores one */
            sigaction(numbers[i], &(struct sigaction) { .sa_handler = remove_and_die }, NULL);
        }
    }
}

/* Can a new file belong to whom this one does? */
static bool may_own(const struct stat *st)
{
    return geteuid() == 0 || (st->st_uid == geteuid() && st->st_gid == getegid());
}

/* Make an empty file beside @real, under a name that nobody has. NULL: it can't be made. g_free() it */
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

/* Make a file beside @filename, by whose name the image is to be made, and return that. NULL: it can only be made in its
 * place. A file that is there is kept open for writing, and so locked, until the end */
static char *begin_beside(ImgTarget *target, const char *filename)
{
    struct stat st;

    target->there = lstat(filename, &st) == 0;
    g_autofree char *real = target->there ? realpath(filename, NULL) : g_strdup(filename);

    if (!real || (target->there && (stat(real, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1 || !may_own(&st)))) {
        return NULL;
    }
    if (target->there) {
        target->held = bdrv_open(real, "driver=file", BDRV_O_RDWR, NULL);
        target->was = st;
    }
    if (target->there && !target->held) {       /* to make it in its place will say why not */
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
    sigprocmask(SIG_BLOCK, &all, &before);      /* what is made is known to remove_and_die() */
    target->made = bdrv_is_path(filename) ? begin_beside(target, filename) : NULL;
    if (target->made) {
        g_strlcpy(unfinished, target->made, sizeof(unfinished));
        tool_call_it(target->made, filename);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return target->made ? target->made : filename;
}

/* Give @to the extended attributes of @from: ACLs and labels among them. A warning for each that can't be set */
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

/* Let the file that was made have owner and mode of the one that it replaces, and be on stable storage: else a power cut might
 * leave neither. 0 or -1 and errno */
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

/* Give the file that was made the name that it is made for. 0 or -1 and errno: another file has come to have that name */
static int take_name(const ImgTarget *target)
{
    struct stat st;

    if (!target->there) {
        int ret = renameat2(AT_FDCWD, target->made, AT_FDCWD, target->real, RENAME_NOREPLACE);

        return ret < 0 && errno == EINVAL ? rename(target->made, target->real) : ret;     /* a file system without that */
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
        tool_error("'%s' is another file than when this began, and is left as it is: nothing was made", target->filename);
    } else if (target->made && ok && !renamed) {
        tool_error("Could not rename '%s' to '%s': %s", target->made, target->real, g_strerror(errno));
    }
    ok = ok && (renamed || !target->made);
    if (target->made && !renamed) {
        unlink(target->made);
    }
    *unfinished = 0;
    tool_call_it(NULL, NULL);
    bdrv_close(target->held);
    free(target->made);
    free(target->real);
    *target = (ImgTarget) { 0 };
    return ok;
}
