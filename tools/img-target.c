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
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "tools/img-target.h"

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
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
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

/* Return the name beside @filename by which the image is to be made. NULL: it can only be made in its place. A file
 * that is there is kept open for writing, and so locked, until the end */
static char *name_beside(ImgTarget *target, const char *filename)
{
    struct stat st;
    bool there = lstat(filename, &st) == 0;
    g_autofree char *real = there ? realpath(filename, NULL) : g_strdup(filename);

    if (!real || (there && (stat(real, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1 || !may_own(&st)))) {
        return NULL;
    }
    g_autofree char *folder = g_path_get_dirname(real), *beside = g_strdup_printf("%s.part-%d", real, (int)getpid());

    if (access(folder, W_OK) < 0 || strlen(strrchr(beside, '/') ? strrchr(beside, '/') + 1 : beside) > NAME_MAX ||
        strlen(beside) >= sizeof(unfinished) || access(beside, F_OK) == 0) {
        return NULL;
    }
    if (there) {
        target->held = bdrv_open(real, "driver=file", BDRV_O_RDWR, NULL);
        target->mode = st.st_mode & 07777;
        target->owner = st.st_uid;
        target->group = st.st_gid;
    }
    if (there && !target->held) {       /* to make it in its place will say why not */
        return NULL;
    }
    target->real = g_steal_pointer(&real);
    return g_steal_pointer(&beside);
}

const char *img_target_begin(ImgTarget *target, const char *filename)
{
    *target = (ImgTarget) { .filename = filename };
    target->made = bdrv_is_path(filename) ? name_beside(target, filename) : NULL;
    if (!target->made) {
        return filename;
    }
    catch_signals();
    g_strlcpy(unfinished, target->made, sizeof(unfinished));
    tool_call_it(target->made, filename);
    return target->made;
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
    int ret = fd < 0 ? -1 : fchown(fd, target->owner, target->group);

    ret = ret < 0 ? ret : fchmod(fd, target->mode);
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

bool img_target_end(ImgTarget *target, bool ok)
{
    bool renamed = target->made && ok && (!target->held || follow_held(target) == 0) &&
                   rename(target->made, target->real) == 0;

    if (target->made && ok && !renamed) {
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
