/* file-locks.c - who may open an image that another handle of this process has, and what if files can't be locked */
/* SPDX-License-Identifier: MIT
 *
 * To the kernel, two handles of one process are what two programs are: a lock belongs to an open file. The
 * library's calls of fcntl() end up here, so that they can be made to fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <miniblk/block.h>
#include "kit.h"

#define VPC "driver=vpc"

/* What becomes of calls that lock */
static struct {
    int err;                    /* they fail with it; 0: they work */
    bool once;                  /* and the next one works, and so in turn */
    bool failed;
    int countdown;              /* when so many files have been locked, */
    void (*surprise)(void);     /* this happens first; NULL: nothing */
    void (*watch)(void);        /* called before each; NULL: not */
} trouble;

static bool is_in_trouble(const struct flock *lock)
{
    void (*watch)(void) = trouble.watch;

    trouble.watch = NULL;       /* what it does itself is not watched */
    if (watch) {
        watch();
    }
    trouble.watch = watch;
    if (trouble.surprise && lock->l_type == F_RDLCK && lock->l_start == 100 && trouble.countdown-- == 0) {
        trouble.surprise();
    }
    trouble.failed = trouble.err && !(trouble.once && trouble.failed);
    errno = trouble.failed ? trouble.err : errno;
    return trouble.failed;
}

__attribute__((visibility("default")))
int fcntl(int fd, int cmd, ...)
{
    va_list ap;

    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    if ((cmd == F_OFD_SETLK || cmd == F_OFD_GETLK) && is_in_trouble(arg)) {
        return -1;
    }
    return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

static char *new_image(const char *name, const char *more)
{
    char *path = kit_path(name);
    g_autofree char *options = g_strconcat("driver=vpc,block_size=64k", more, NULL);
    GError *err = NULL;

    if (!bdrv_create(path, options, &err)) {
        g_error("create %s: %s", options, bdrv_error_message(err));
    }
    return path;
}

static void gone(char **path)
{
    unlink(*path);
    g_clear_pointer(path, g_free);
}

static BlockDriverState *must_open(const char *path, const char *options, unsigned flags)
{
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open(path, options, flags, &err);

    if (!bs) {
        g_error("open %s: %s", path, bdrv_error_message(err));
    }
    return bs;
}

static void must_close(BlockDriverState *bs)
{
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

/* Fails the test if @err is another error than that of a lock; @path is the file's that is locked */
static void assert_is_about_lock(GError *err, const char *path)
{
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *pattern = g_strdup_printf("*lock: another process is using '*/%s'", name);

    if (!g_pattern_match_simple(pattern, bdrv_error_message(err))) {
        g_error("%s: another error, \"%s\"", path, bdrv_error_message(err));
    }
    g_assert_cmpint(bdrv_error_code(err), ==, EAGAIN);
    bdrv_error_free(err);
}

static bool can_open(const char *path, unsigned flags)
{
    GError *err = NULL;
    BlockDriverState *bs = bdrv_open(path, "driver=vpc", flags | BDRV_O_NO_BACKING, &err);

    if (!bs) {
        assert_is_about_lock(err, path);
        return false;
    }
    must_close(bs);
    return true;
}

static bool is_locked_shared(const char *path)
{
    return can_open(path, 0) && !can_open(path, BDRV_O_RDWR);
}

static bool is_locked_alone(const char *path)
{
    return !can_open(path, 0) && !can_open(path, BDRV_O_RDWR);
}

/* Two handles of one image */

typedef struct Pair {
    const char *name;
    unsigned first, second;
    bool works;
} Pair;

static const Pair pairs[] = {
    { "write-write", BDRV_O_RDWR, BDRV_O_RDWR, false },
    { "write-read", BDRV_O_RDWR, 0, false },
    { "read-write", 0, BDRV_O_RDWR, false },
    { "read-read", 0, 0, true },
    { "write-unlocked", BDRV_O_RDWR, BDRV_O_NO_LOCK, true },
    { "unlocked-write", BDRV_O_NO_LOCK, BDRV_O_RDWR, true },
    { "scratch-read", BDRV_O_SNAPSHOT | BDRV_O_RDWR, 0, true },
    { "scratch-write", BDRV_O_SNAPSHOT | BDRV_O_RDWR, BDRV_O_RDWR, false },
};

static void test_pair(const void *data)
{
    const Pair *pair = data;
    g_autofree char *path = new_image("pair.vhd", ",size=1M");
    BlockDriverState *bs = must_open(path, VPC, pair->first);

    g_assert_true(can_open(path, pair->second) == pair->works);
    g_assert_true(can_open(path, pair->second) == pair->works);
    must_close(bs);
    g_assert_true(can_open(path, pair->second));
    gone(&path);
}

static void test_formats(void)
{
    g_autofree char *path = new_image("formats.vhd", ",size=1M");
    BlockDriverState *bs = must_open(path, "driver=raw", BDRV_O_RDWR);

    g_assert_true(is_locked_alone(path));
    must_close(bs);
    gone(&path);
}

static void assert_same_file(const char *path, const char *other)
{
    BlockDriverState *bs = must_open(path, VPC, BDRV_O_RDWR);

    g_assert_true(is_locked_alone(other));
    must_close(bs);
    bs = must_open(other, VPC, 0);
    g_assert_true(is_locked_shared(path));
    must_close(bs);
}

static void test_hard_link(void)
{
    g_autofree char *path = new_image("file.vhd", ",size=1M"), *other = kit_path("link.vhd");

    g_assert_cmpint(link(path, other), ==, 0);
    assert_same_file(path, other);
    gone(&other);
    gone(&path);
}

static void test_symbolic_link(void)
{
    g_autofree char *path = new_image("file.vhd", ",size=1M"), *other = kit_path("link.vhd");

    g_assert_cmpint(symlink("file.vhd", other), ==, 0);
    assert_same_file(path, other);
    gone(&other);
    gone(&path);
}

static void test_renamed(void)
{
    g_autofree char *path = new_image("file.vhd", ",size=1M"), *other = kit_path("renamed.vhd");
    BlockDriverState *bs = must_open(path, VPC, BDRV_O_RDWR);

    g_assert_cmpint(rename(path, other), ==, 0);
    g_assert_true(is_locked_alone(other));
    must_close(bs);
    gone(&other);
}

/* With locks of the older kind, which belong to a process, the first close() would be the end of all of them */
static void test_other_reader_leaves(void)
{
    g_autofree char *path = new_image("image.vhd", ",size=1M");
    BlockDriverState *one = must_open(path, VPC, 0), *two = must_open(path, VPC, 0);

    must_close(two);
    g_assert_true(is_locked_shared(path));
    must_close(one);
    g_assert_true(can_open(path, BDRV_O_RDWR));
    gone(&path);
}

static void test_direct(void)
{
    g_autofree char *path = new_image("image.vhd", ",size=1M");
    BlockDriverState *bs = bdrv_open(path, VPC, BDRV_O_RDWR | BDRV_O_NOCACHE, NULL);

    if (!bs) {
        g_test_skip("no O_DIRECT here");
    } else {
        g_assert_cmpint(bdrv_pwrite(bs, 12345, "x", 1, 0), ==, 0);
        g_assert_true(is_locked_alone(path));
        must_close(bs);
        g_assert_true(can_open(path, BDRV_O_RDWR));
    }
    gone(&path);
}

static void test_failed_open(void)
{
    g_autofree char *path = new_image("image.vhd", ",size=1M");

    g_assert_null(bdrv_open(path, "driver=vpc,force_size_calc=nonsense", BDRV_O_RDWR, NULL));
    g_assert_null(bdrv_open(path, "driver=raw,offset=1T", BDRV_O_RDWR, NULL));
    g_assert_true(can_open(path, BDRV_O_RDWR));
    gone(&path);
}

/* Chains */

typedef struct Chain {
    char *root, *middle, *top, *other;      /* the other one is the middle one's child, too */
} Chain;

static Chain new_chain(void)
{
    return (Chain) {
        new_image("root.vhd", ",size=1M"), new_image("middle.vhd", ",backing_file=root.vhd"),
        new_image("top.vhd", ",backing_file=middle.vhd"), new_image("other.vhd", ",backing_file=middle.vhd"),
    };
}

static void chain_gone(Chain *chain)
{
    gone(&chain->root);
    gone(&chain->middle);
    gone(&chain->top);
    gone(&chain->other);
}

static void test_chain_for_writing(void)
{
    Chain chain = new_chain();
    BlockDriverState *bs = must_open(chain.top, VPC, BDRV_O_RDWR);

    g_assert_true(is_locked_alone(chain.top));
    g_assert_true(is_locked_shared(chain.middle));
    g_assert_true(is_locked_shared(chain.root));
    BlockDriverState *other = must_open(chain.other, VPC, BDRV_O_RDWR);

    must_close(bs);
    g_assert_true(is_locked_shared(chain.middle));
    must_close(other);
    g_assert_true(can_open(chain.middle, BDRV_O_RDWR));
    g_assert_true(can_open(chain.root, BDRV_O_RDWR));
    chain_gone(&chain);
}

static void test_chain_for_reading(void)
{
    Chain chain = new_chain();
    BlockDriverState *bs = must_open(chain.top, VPC, 0);

    g_assert_true(is_locked_shared(chain.top));
    g_assert_true(is_locked_shared(chain.middle));
    g_assert_true(is_locked_shared(chain.root));
    must_close(bs);
    chain_gone(&chain);
}

static void test_chain_unlocked(void)
{
    Chain chain = new_chain();
    BlockDriverState *bs = must_open(chain.top, VPC, BDRV_O_NO_LOCK);

    g_assert_true(can_open(chain.top, BDRV_O_RDWR));
    g_assert_true(can_open(chain.middle, BDRV_O_RDWR));
    g_assert_true(can_open(chain.root, BDRV_O_RDWR));
    must_close(bs);
    chain_gone(&chain);
}

static void test_chain_without_parents(void)
{
    Chain chain = new_chain();
    BlockDriverState *bs = must_open(chain.top, VPC, BDRV_O_NO_BACKING);

    g_assert_true(is_locked_shared(chain.top));
    g_assert_true(can_open(chain.middle, BDRV_O_RDWR));
    must_close(bs);
    chain_gone(&chain);
}

/* The option is that of one file */
static void test_parent_unlocked(void)
{
    Chain chain = new_chain();
    BlockDriverState *bs = must_open(chain.top, "driver=vpc,backing.file.locking=off", BDRV_O_RDWR);

    g_assert_true(is_locked_alone(chain.top));
    g_assert_true(can_open(chain.middle, BDRV_O_RDWR));
    g_assert_true(is_locked_shared(chain.root));
    must_close(bs);
    chain_gone(&chain);
}

static void test_commit(void)
{
    Chain chain = new_chain();
    BlockDriverState *bs = must_open(chain.top, "driver=vpc,backing.read-only=off", 0);
    GError *err = NULL;

    g_assert_true(is_locked_shared(chain.top));
    g_assert_true(is_locked_alone(chain.middle));
    g_assert_true(is_locked_shared(chain.root));
    g_assert_true(bdrv_commit(bs, 1, NULL, NULL, &err));
    g_assert_true(is_locked_alone(chain.middle));
    must_close(bs);
    g_assert_true(can_open(chain.middle, BDRV_O_RDWR));
    chain_gone(&chain);
}

static void test_commit_deep(void)
{
    Chain chain = new_chain();
    BlockDriverState *bs = must_open(chain.top, "driver=vpc,backing.backing.read-only=off", 0);

    g_assert_true(is_locked_shared(chain.middle));
    g_assert_true(is_locked_alone(chain.root));
    must_close(bs);
    chain_gone(&chain);
}

static void refuse(const char *path, const char *options, unsigned flags, const char *locked)
{
    GError *err = NULL;

    g_assert_null(bdrv_open(path, options, flags, &err));
    assert_is_about_lock(err, locked);
}

/* Its other children would see it change */
static void test_commit_beside_child(void)
{
    Chain chain = new_chain();
    BlockDriverState *other = must_open(chain.other, VPC, BDRV_O_RDWR);

    refuse(chain.top, "driver=vpc,backing.read-only=off", 0, chain.middle);
    refuse(chain.top, "driver=vpc,backing.backing.read-only=off", 0, chain.root);
    must_close(other);
    chain_gone(&chain);
}

static void test_parent_is_written(void)
{
    Chain chain = new_chain();

    for (unsigned flags = 0; flags <= BDRV_O_RDWR; flags += BDRV_O_RDWR) {
        BlockDriverState *bs = must_open(chain.middle, VPC, BDRV_O_RDWR);

        refuse(chain.top, VPC, flags, chain.middle);
        must_close(bs);
        bs = must_open(chain.root, VPC, BDRV_O_RDWR);
        refuse(chain.top, VPC, flags, chain.root);
        g_assert_true(can_open(chain.top, BDRV_O_RDWR));
        must_close(bs);
    }
    chain_gone(&chain);
}

/* A copy of the parent, where the image says to look next, may be an old one */
static void test_no_second_best_parent(void)
{
    g_autofree char *real = new_image("real.vhd", ",size=1M");
    g_autofree char *child = new_image("child.vhd", ",backing_file=real.vhd");
    g_autofree char *folder = kit_path("copies"), *copy = g_build_filename(folder, "real.vhd", NULL), *bytes = NULL;
    g_autofree char *options = g_strconcat("driver=vpc,parent-search=", folder, NULL);
    gsize length;

    g_assert_cmpint(mkdir(folder, 0755), ==, 0);
    g_assert_true(g_file_get_contents(real, &bytes, &length, NULL));
    g_assert_true(g_file_set_contents(copy, bytes, (gssize)length, NULL));
    BlockDriverState *bs = must_open(real, VPC, BDRV_O_RDWR);

    refuse(child, options, 0, real);
    must_close(bs);
    gone(&real);
    must_close(must_open(child, options, 0));
    gone(&copy);
    rmdir(folder);
    gone(&child);
}

static void test_rebase(void)
{
    Chain chain = new_chain();
    g_autofree char *new = new_image("new.vhd", ",size=1M");
    BlockDriverState *bs = must_open(chain.top, VPC, BDRV_O_RDWR);

    g_assert_true(bdrv_rebase(bs, "new.vhd", NULL, NULL));
    g_assert_true(is_locked_shared(new));
    g_assert_true(can_open(chain.middle, BDRV_O_RDWR));
    g_assert_true(can_open(chain.root, BDRV_O_RDWR));
    must_close(bs);
    g_assert_true(can_open(new, BDRV_O_RDWR));
    gone(&new);
    chain_gone(&chain);
}

static void test_rebase_onto_written(void)
{
    Chain chain = new_chain();
    g_autofree char *new = new_image("new.vhd", ",size=1M");
    BlockDriverState *writer = must_open(new, VPC, BDRV_O_RDWR), *bs = must_open(chain.top, VPC, BDRV_O_RDWR);
    GError *err = NULL;

    g_assert_false(bdrv_rebase(bs, "new.vhd", NULL, &err));
    assert_is_about_lock(err, new);
    g_assert_true(is_locked_shared(chain.middle));
    g_assert_true(is_locked_shared(chain.root));
    must_close(writer);
    g_assert_true(can_open(new, BDRV_O_RDWR));
    must_close(bs);
    gone(&new);
    chain_gone(&chain);
}

static void test_rebase_fails_later(void)
{
    Chain chain = new_chain();
    g_autofree char *base = new_image("base.vhd", ",size=1M"), *new = new_image("new.vhd", ",backing_file=base.vhd");
    BlockDriverState *writer = must_open(base, VPC, BDRV_O_RDWR), *bs = must_open(chain.top, VPC, BDRV_O_RDWR);
    GError *err = NULL;

    g_assert_false(bdrv_rebase(bs, "new.vhd", NULL, &err));
    assert_is_about_lock(err, base);
    g_assert_true(can_open(new, BDRV_O_RDWR));
    g_assert_true(is_locked_shared(chain.middle));
    must_close(writer);
    must_close(bs);
    gone(&new);
    gone(&base);
    chain_gone(&chain);
}

/* To create */

static bool exists(const char *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void refuse_create(const char *path, const char *options, const char *locked)
{
    GError *err = NULL;

    g_assert_false(bdrv_create(path, options, &err));
    assert_is_about_lock(err, locked);
}

static void test_create_over(const void *data)
{
    g_autofree char *path = new_image("image.vhd", ",size=1M"), *before = NULL, *after = NULL;
    const unsigned *flags = data;
    gsize length, now;

    g_assert_true(g_file_get_contents(path, &before, &length, NULL));
    BlockDriverState *bs = must_open(path, VPC, *flags);

    refuse_create(path, "driver=vpc,size=2M", path);
    refuse_create(path, "driver=raw,size=2M", path);
    g_assert_true(g_file_get_contents(path, &after, &now, NULL));
    g_assert_cmpmem(before, length, after, now);
    must_close(bs);
    gone(&path);
}

static void test_create_child_of_written(void)
{
    g_autofree char *parent = new_image("parent.vhd", ",size=1M"), *child = kit_path("child.vhd");
    BlockDriverState *bs = must_open(parent, VPC, BDRV_O_RDWR);

    refuse_create(child, "driver=vpc,backing_file=parent.vhd", parent);
    g_assert_false(exists(child));
    must_close(bs);
    gone(&parent);
}

/* The library has a file locked while it makes it, and locks it again to fill it; between, others may come */
static void test_create_loses(void)
{
    g_autofree char *path = kit_path("image.vhd");
    GError *err = NULL;

    trouble.err = EAGAIN;       /* another had it as soon as it was there */
    g_assert_false(bdrv_create(path, "driver=vpc,size=1M", &err));
    trouble.err = 0;
    assert_is_about_lock(err, path);
    g_assert_true(exists(path));
    gone(&path);
}

static const char *taken_path;
static int taken_fd;

static void take_file(void)
{
    struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 203, .l_len = 1 };

    taken_fd = open(taken_path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(syscall(SYS_fcntl, taken_fd, F_OFD_SETLK, &lock), ==, 0);
    trouble.surprise = NULL;
}

static void test_create_loses_later(void)
{
    g_autofree char *path = kit_path("image.vhd");
    GError *err = NULL;

    taken_path = path;
    trouble.countdown = 1;
    trouble.surprise = take_file;
    g_assert_false(bdrv_create(path, "driver=vpc,size=1M", &err));
    g_assert_null(trouble.surprise);
    assert_is_about_lock(err, path);
    g_assert_true(exists(path));
    close(taken_fd);
    gone(&path);
}

/* File systems, and kernels, that know no locks */

static const int lockless[] = { EINVAL, ENOLCK, EOPNOTSUPP, ENOSYS };

static void assert_warned_once(BlockDriverState *bs, const char *path, int err)
{
    const char *text = bdrv_get_warning(bs, 0);

    g_assert_nonnull(text);
    g_assert_nonnull(strstr(text, "is not locked"));
    g_assert_nonnull(strstr(text, path));
    g_assert_nonnull(strstr(text, g_strerror(err)));
    g_assert_null(bdrv_get_warning(bs, 1));
}

static void test_lockless_auto(const void *data)
{
    g_autofree char *path = kit_path("image.vhd");
    char byte = 0;

    trouble.err = *(const int *)data;
    g_assert_true(bdrv_create(path, "driver=vpc,size=1M", NULL));
    BlockDriverState *bs = must_open(path, VPC, BDRV_O_RDWR), *other = must_open(path, VPC, 0);

    g_assert_cmpint(bdrv_pwrite(bs, 1000, "x", 1, 0), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 1000, &byte, 1, 0), ==, 0);
    g_assert_cmpint(byte, ==, 'x');
    assert_warned_once(bs, path, *(const int *)data);
    assert_warned_once(other, path, *(const int *)data);
    must_close(other);
    must_close(bs);
    trouble.err = 0;
    gone(&path);
}

static void test_lockless_on(const void *data)
{
    g_autofree char *path = new_image("image.vhd", ",size=1M");
    const int *want = data;

    for (unsigned flags = 0; flags <= BDRV_O_RDWR; flags += BDRV_O_RDWR) {
        GError *err = NULL;

        trouble.err = *want;
        g_assert_null(bdrv_open(path, "driver=vpc,file.locking=on", flags, &err));
        trouble.err = 0;
        g_assert_cmpint(bdrv_error_code(err), ==, *want);
        g_assert_nonnull(strstr(bdrv_error_message(err), "can't be locked"));
        bdrv_error_free(err);
        must_close(must_open(path, "driver=vpc,file.locking=on", flags));
    }
    gone(&path);
}

/* Each file of a chain that is not locked is named */
static void test_lockless_chain(void)
{
    Chain chain = new_chain();

    trouble.err = ENOLCK;
    BlockDriverState *bs = must_open(chain.top, "driver=vpc,backing.file.locking=off", 0);
    trouble.err = 0;
    g_assert_nonnull(strstr(bdrv_get_warning(bs, 0), "top.vhd"));
    g_assert_nonnull(strstr(bdrv_get_warning(bs, 1), "root.vhd"));
    g_assert_null(bdrv_get_warning(bs, 2));
    must_close(bs);
    chain_gone(&chain);
}

/* Nobody else knows of the scratch file */
static void test_lockless_scratch(void)
{
    g_autofree char *path = new_image("image.vhd", ",size=1M");

    trouble.err = ENOLCK;
    BlockDriverState *bs = must_open(path, VPC, BDRV_O_RDWR | BDRV_O_SNAPSHOT);
    trouble.err = 0;
    assert_warned_once(bs, path, ENOLCK);
    must_close(bs);
    gone(&path);
}

static void assert_opens_silently(const char *path, const char *options, unsigned flags)
{
    BlockDriverState *bs = must_open(path, options, flags);

    g_assert_null(bdrv_get_warning(bs, 0));
    must_close(bs);
}

static void test_lockless_off(void)
{
    g_autofree char *path = new_image("image.vhd", ",size=1M");

    trouble.err = ENOLCK;
    assert_opens_silently(path, "driver=vpc,file.locking=off", BDRV_O_RDWR);
    assert_opens_silently(path, "driver=vpc,file.locking=on", BDRV_O_NO_LOCK);
    assert_opens_silently(path, "driver=vpc,file.force-share=on", 0);
    trouble.err = 0;
    gone(&path);
}

static void test_lockless_create(void)
{
    g_autofree char *path = kit_path("image.vhd"), *after = NULL;
    GError *err = NULL;
    gsize length;

    trouble.err = ENOLCK;
    g_assert_false(bdrv_create(path, "driver=vpc,size=1M,file.locking=on", &err));
    g_assert_cmpint(bdrv_error_code(err), ==, ENOLCK);
    bdrv_error_free(err);
    g_assert_false(exists(path));
    g_assert_true(g_file_set_contents(path, "what was here", 13, NULL));
    g_assert_false(bdrv_create(path, "driver=vpc,size=1M,file.locking=on", NULL));
    trouble.err = 0;
    g_assert_true(g_file_get_contents(path, &after, &length, NULL));
    g_assert_cmpstr(after, ==, "what was here");
    gone(&path);
}

/* A signal, while a server far away was asked */
/* bdrv_set_read_only() */

static struct {
    const char *path;
    int count;
} watched;

static void refuse_writers(void)
{
    g_assert_false(can_open(watched.path, BDRV_O_RDWR));
    watched.count++;
}

/* Fails the test if another handle can write at any moment, or if @want is not what comes of it */
static void turn(BlockDriverState *bs, const char *path, bool read_only, bool want)
{
    GError *err = NULL;

    watched.path = path;
    watched.count = 0;
    trouble.watch = refuse_writers;
    bool ok = bdrv_set_read_only(bs, read_only, &err);

    trouble.watch = NULL;
    g_assert_cmpint(watched.count, >, 4);
    g_assert_true(ok == want);
    if (!ok) {
        assert_is_about_lock(err, path);
    }
    g_assert_true(bdrv_is_read_only(bs) == (read_only == ok));
}

static void test_turn(void)
{
    g_autofree char *path = new_image("turn.vhd", ",size=1M");
    BlockDriverState *bs = must_open(path, VPC, 0);

    for (int i = 0; i < 3; i++) {
        g_assert_true(is_locked_shared(path));
        turn(bs, path, false, true);
        g_assert_true(is_locked_alone(path));
        turn(bs, path, true, true);
    }
    g_assert_true(is_locked_shared(path));
    must_close(bs);
    g_assert_true(can_open(path, BDRV_O_RDWR));
    gone(&path);
}

static void test_turn_beside_reader(void)
{
    g_autofree char *path = new_image("turn.vhd", ",size=1M");
    BlockDriverState *bs = must_open(path, VPC, 0), *other = must_open(path, VPC, 0);

    turn(bs, path, false, false);
    turn(bs, path, false, false);
    must_close(other);
    g_assert_true(is_locked_shared(path));
    turn(bs, path, false, true);
    g_assert_true(is_locked_alone(path));
    must_close(bs);
    gone(&path);
}

static void test_interrupted(void)
{
    g_autofree char *path = new_image("image.vhd", ",size=1M");

    trouble.err = EINTR;
    trouble.once = true;
    BlockDriverState *bs = must_open(path, VPC, BDRV_O_RDWR);

    g_assert_true(is_locked_alone(path));
    trouble.err = 0;
    g_assert_true(is_locked_alone(path));
    must_close(bs);
    gone(&path);
}

static void add_tables(void)
{
    static const unsigned modes[] = { 0, BDRV_O_RDWR };

    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree char *path = g_strconcat("/handles/", pairs[i].name, NULL);

        g_test_add_data_func(path, &pairs[i], test_pair);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lockless); i++) {
        g_autofree char *path = g_strdup_printf("/lockless/auto/%d", lockless[i]);
        g_autofree char *other = g_strdup_printf("/lockless/on/%d", lockless[i]);

        g_test_add_data_func(path, &lockless[i], test_lockless_auto);
        g_test_add_data_func(other, &lockless[i], test_lockless_on);
    }
    g_test_add_data_func("/create/over-read", &modes[0], test_create_over);
    g_test_add_data_func("/create/over-written", &modes[1], test_create_over);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    add_tables();
    g_test_add_func("/handles/formats", test_formats);
    g_test_add_func("/handles/hard-link", test_hard_link);
    g_test_add_func("/handles/symbolic-link", test_symbolic_link);
    g_test_add_func("/handles/renamed", test_renamed);
    g_test_add_func("/handles/other-reader-leaves", test_other_reader_leaves);
    g_test_add_func("/handles/direct", test_direct);
    g_test_add_func("/handles/failed-open", test_failed_open);
    g_test_add_func("/chain/for-writing", test_chain_for_writing);
    g_test_add_func("/chain/for-reading", test_chain_for_reading);
    g_test_add_func("/chain/unlocked", test_chain_unlocked);
    g_test_add_func("/chain/without-parents", test_chain_without_parents);
    g_test_add_func("/chain/parent-unlocked", test_parent_unlocked);
    g_test_add_func("/chain/parent-is-written", test_parent_is_written);
    g_test_add_func("/chain/no-second-best-parent", test_no_second_best_parent);
    g_test_add_func("/chain/commit", test_commit);
    g_test_add_func("/chain/commit-deep", test_commit_deep);
    g_test_add_func("/chain/commit-beside-child", test_commit_beside_child);
    g_test_add_func("/chain/rebase", test_rebase);
    g_test_add_func("/chain/rebase-onto-written", test_rebase_onto_written);
    g_test_add_func("/chain/rebase-fails-later", test_rebase_fails_later);
    g_test_add_func("/create/child-of-written", test_create_child_of_written);
    g_test_add_func("/create/loses", test_create_loses);
    g_test_add_func("/create/loses-later", test_create_loses_later);
    g_test_add_func("/lockless/chain", test_lockless_chain);
    g_test_add_func("/lockless/scratch", test_lockless_scratch);
    g_test_add_func("/lockless/off", test_lockless_off);
    g_test_add_func("/lockless/create", test_lockless_create);
    g_test_add_func("/turn/alone", test_turn);
    g_test_add_func("/turn/beside-reader", test_turn_beside_reader);
    g_test_add_func("/interrupted", test_interrupted);
    return kit_run();
}
