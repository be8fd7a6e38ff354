/* guard.c - the scratch folder, and a guard that keeps the library's calls inside it */
/* SPDX-License-Identifier: MIT
 *
 * The linker sends the calls to these functions: --wrap=open and so on, see meson.build.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <miniblk/driver.h>
#include "fuzz.h"

FuzzGuard fuzz_guard;
char *fuzz_folder;

int __real_open(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__real_fopen64(const char *path, const char *mode);
int __real_unlink(const char *path);
int __real_truncate(const char *path, off_t size);
int __real_truncate64(const char *path, off_t size);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);
int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left);
int __wrap_unlink(const char *path);
int __wrap_truncate(const char *path, off_t size);
int __wrap_truncate64(const char *path, off_t size);

/* Return whether @path is inside the folder; a file that does not exist yet is where its folder is */
static bool is_inside(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    char real[PATH_MAX];
    size_t length = strlen(fuzz_guard.inside);

    if (!realpath(path, real) && !realpath(folder, real)) {
        return true;        /* it does not exist, and cannot be opened */
    }
    return !strncmp(real, fuzz_guard.inside, length) && (real[length] == '/' || !real[length]);
}

static bool refuse(const char *path, bool write)
{
    if (!fuzz_guard.on || g_str_has_prefix(path, "/proc/self/fd/")) {
        return false;
    }
    fuzz_guard.written += write;
    if (is_inside(path)) {
        return false;
    }
    if (fuzz_guard.strict) {
        fprintf(stderr, "asked for '%s', which is not inside '%s'\n", path, fuzz_guard.inside);
        abort();
    }
    fuzz_guard.outside++;
    errno = EACCES;
    return true;
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return refuse(path, (flags & O_ACCMODE) != O_RDONLY) ? -1 : __real_open(path, flags, mode);
}

int __wrap_open64(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return refuse(path, (flags & O_ACCMODE) != O_RDONLY) ? -1 : __real_open64(path, flags, mode);
}

/* Guard reads only: libFuzzer writes its findings while the guard is on */
FILE *__wrap_fopen(const char *path, const char *mode)
{
    return *mode == 'r' && refuse(path, false) ? NULL : __real_fopen(path, mode);
}

FILE *__wrap_fopen64(const char *path, const char *mode)
{
    return *mode == 'r' && refuse(path, false) ? NULL : __real_fopen64(path, mode);
}

/* Do not wait: options may ask for long delays */
int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
    return 0;
}

int __wrap_unlink(const char *path)
{
    return refuse(path, true) ? -1 : __real_unlink(path);
}

int __wrap_truncate(const char *path, off_t size)
{
    return refuse(path, true) ? -1 : __real_truncate(path, size);
}

int __wrap_truncate64(const char *path, off_t size)
{
    return refuse(path, true) ? -1 : __real_truncate64(path, size);
}

/* Refuse connections: no input may reach another machine, or a server on this one */
int __wrap_nbd_aio_connect_tcp(void *handle, const char *host, const char *port);
int __wrap_nbd_aio_connect_unix(void *handle, const char *path);

int __wrap_nbd_aio_connect_tcp(void *handle, const char *host, const char *port)
{
    return -1;
}

int __wrap_nbd_aio_connect_unix(void *handle, const char *path)
{
    return -1;
}

static void remove_tree(const char *path)
{
    GDir *dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *below = g_build_filename(path, name, NULL);

        remove_tree(below);
    }
    g_clear_pointer(&dir, g_dir_close);
    g_remove(path);
}

static void clean_up(void)
{
    fuzz_guard.on = false;
    remove_tree(fuzz_folder);
}

void fuzz_put_file(const char *name, const uint8_t *data, size_t size)
{
    g_autofree char *path = g_build_filename(fuzz_folder, name, NULL);
    int fd = __real_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) < 0) {
        perror(path);
        exit(2);
    }
}

/* Register the driver that would else be in a module */
static void add_nbd(void)
{
#ifdef FUZZ_NBD
    extern const BlockDriver bdrv_nbd;

    if (!bdrv_register(&bdrv_nbd, sizeof(bdrv_nbd), NULL)) {
        abort();
    }
#endif
}

void fuzz_make_folder(void)
{
    static const char *const folders[] = { "in", "in/sub", "out" };
    static uint8_t base[FUZZ_BASE_BYTES];
    const char *below = getenv("MINIBLK_TEST_DIR");

    if (!below || !*below) {
        below = g_file_test("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : g_get_tmp_dir();
    }
    g_autofree char *template = g_build_filename(below, "miniblk-fuzz-XXXXXX", NULL);

    fuzz_folder = mkdtemp(template) ? realpath(template, NULL) : NULL;
    if (!fuzz_folder) {
        perror(template);
        exit(2);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_build_filename(fuzz_folder, folders[i], NULL);

        g_mkdir(path, 0755);
    }
    fuzz_fill(base, 0, sizeof(base), FUZZ_BASE_STAMP);
    memset(base + 8192, 0, 4096);
    fuzz_put_file("base.raw", base, sizeof(base));
    fuzz_guard.inside = fuzz_folder;
    g_setenv("TMPDIR", fuzz_folder, TRUE);
    g_setenv("SOURCE_DATE_EPOCH", "1700000000", TRUE);
    atexit(clean_up);
    add_nbd();
}
