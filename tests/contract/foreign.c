/* foreign.c - functions that are not the library's: what they may return, and what becomes of nonsense */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <miniblk/driver.h>
#include "kit.h"
#include "medium.h"

enum { MIB = 1 << 20, ROOM = 32 * MIB };

static const int nonsense[] = { 1, 512, 65536, INT_MAX, -4096, -100000, INT_MIN };

/* Storage of a program that takes "0 or -errno" for what pread() returns */
typedef struct Program {
    uint8_t *bytes;
    int64_t size;
    int on_read, on_write, on_flush, on_truncate;       /* what they return */
} Program;

static int program_read(void *user, int64_t offset, void *buf, int64_t bytes)
{
    Program *p = user;

    memcpy(buf, p->bytes + offset, (size_t)bytes);
    return p->on_read;
}

static int program_write(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    Program *p = user;

    memcpy(p->bytes + offset, buf, (size_t)bytes);
    return p->on_write;
}

static int program_flush(void *user)
{
    return ((Program *)user)->on_flush;
}

static int program_truncate(void *user, int64_t size)
{
    Program *p = user;

    memset(p->bytes + p->size, 0, (size_t)MAX(size - p->size, 0));
    p->size = size;
    return p->on_truncate;
}

static BlockStorage storage_of(Program *p)
{
    return (BlockStorage) { p->size, p, program_read, program_write, program_flush, program_truncate };
}

static void program_create(Program *p, const char *options)
{
    *p = (Program) { .bytes = g_malloc0(ROOM) };
    BlockStorage storage = storage_of(p);

    g_assert_true(bdrv_create_storage(&storage, options, NULL));
}

static BlockDriverState *program_open(Program *p, const char *options, GError **errp)
{
    BlockStorage storage = storage_of(p);

    return bdrv_open_storage(&storage, options, BDRV_O_RDWR, errp);
}

static bool has_warning(BlockDriverState *bs, const char *text)
{
    unsigned n = 0;

    while (bdrv_get_warning(bs, n) && !strstr(bdrv_get_warning(bs, n), text)) {
        n++;
    }
    return bdrv_get_warning(bs, n) != NULL;
}

static void assert_warned(BlockDriverState *bs, const char *function, int number)
{
    g_autofree char *text = g_strdup_printf("%s returned %d", function, number);

    if (!has_warning(bs, text)) {
        g_error("no warning says '%s'", text);
    }
}

static const char *const kinds[][2] = {
    { "driver=vpc,size=4M,block_size=64k", "driver=vpc" },
    { "driver=vpc,size=4M,subformat=fixed", "driver=vpc" },
    { "driver=raw,size=4M", "driver=raw" },
    { "driver=raw,size=4M", "driver=raw,file.driver=blkdebug,file.align=512" },
};

static void check_requests(BlockDriverState *bs, Program *p, int number)
{
    struct iovec iov[3];
    uint8_t buf[3000] = { 1 };

    for (int i = 0; i < 3; i++) {
        iov[i] = (struct iovec) { buf + i * 1000, 1000 };
    }
    p->on_write = number;
    g_assert_cmpint(bdrv_pwritev(bs, 5000, iov, 3, 0), ==, -EIO);
    assert_warned(bs, "write function", number);
    p->on_write = 0;
    g_assert_cmpint(bdrv_pwritev(bs, 5000, iov, 3, 0), ==, 0);
    p->on_flush = number;
    g_assert_cmpint(bdrv_flush(bs), ==, -EIO);
    assert_warned(bs, "flush function", number);
    p->on_flush = 0;
    p->on_read = number;
    g_assert_cmpint(bdrv_preadv(bs, 5000, iov, 3, 0), ==, -EIO);
    assert_warned(bs, "read function", number);
    p->on_read = 0;
    g_assert_cmpint(bdrv_preadv(bs, 5000, iov, 3, 0), ==, 0);
    g_assert_cmpint(buf[0], ==, 1);
}

static void test_storage_counts(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(nonsense); k++) {
            Program p;

            program_create(&p, kinds[i][0]);
            BlockDriverState *bs = program_open(&p, kinds[i][1], NULL);
            check_requests(bs, &p, nonsense[k]);
            g_assert_cmpint(bdrv_close(bs), ==, 0);
            g_free(p.bytes);
        }
    }
}

static void test_storage_truncate(void)
{
    for (size_t k = 0; k < G_N_ELEMENTS(nonsense); k++) {
        Program p;
        GError *err = NULL;

        program_create(&p, "driver=raw,size=4M");
        BlockDriverState *bs = program_open(&p, "driver=raw", NULL);
        p.on_truncate = nonsense[k];
        g_assert_false(bdrv_truncate(bs, 5 * MIB, &err));
        g_assert_cmpint(bdrv_error_code(err), ==, EIO);
        g_assert_cmpint(bdrv_getlength(bs), ==, 4 * MIB);
        assert_warned(bs, "truncate function", nonsense[k]);
        bdrv_error_free(err);
        g_assert_cmpint(bdrv_close(bs), ==, 0);
        g_free(p.bytes);
    }
}

/* A new block makes the storage longer */
static void test_storage_truncate_for_block(void)
{
    Program p;
    uint8_t byte = 1;

    program_create(&p, "driver=vpc,size=4M,block_size=64k");
    BlockDriverState *bs = program_open(&p, "driver=vpc", NULL);
    p.on_truncate = 1;
    g_assert_cmpint(bdrv_pwrite(bs, MIB, &byte, 1, 0), ==, -EIO);
    assert_warned(bs, "truncate function", 1);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    g_free(p.bytes);
}

static void test_storage_open_says_why(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds) - 2; i++) {
        Program p;
        GError *err = NULL;

        program_create(&p, kinds[i][0]);
        p.on_read = 512;
        g_assert_null(program_open(&p, kinds[i][1], &err));
        g_assert_cmpint(bdrv_error_code(err), ==, EIO);
        g_assert_nonnull(strstr(bdrv_error_message(err), "read function returned 512, must be 0 or -errno"));
        bdrv_error_free(err);
        g_free(p.bytes);
    }
}

static void test_storage_create_says_why(void)
{
    for (int which = 0; which < 3; which++) {
        static const char *const said[] = { "truncate function returned 7", "write function returned 7",
                                            "flush function returned 7" };
        Program p = { .bytes = g_malloc0(ROOM), .on_truncate = which == 0 ? 7 : 0, .on_write = which == 1 ? 7 : 0,
                      .on_flush = which == 2 ? 7 : 0 };
        BlockStorage storage = storage_of(&p);
        GError *err = NULL;

        g_assert_false(bdrv_create_storage(&storage, "driver=vpc,size=4M", &err));
        g_assert_cmpint(bdrv_error_code(err), ==, EIO);
        if (!strstr(bdrv_error_message(err), said[which])) {
            g_error("'%s' does not say '%s'", bdrv_error_message(err), said[which]);
        }
        bdrv_error_free(err);
        g_free(p.bytes);
    }
}

/* A driver that somebody else wrote: one of ours, with a function of its table replaced */

static BlockDriver *table_of(const char *name)
{
    const BlockDriver *drv = bdrv_find_driver(name);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)drv & -page;
    uintptr_t to = ((uintptr_t)(drv + 1) + page - 1) & -page;

    g_assert_cmpint(mprotect((void *)from, to - from, PROT_READ | PROT_WRITE), ==, 0);
    return (BlockDriver *)drv;
}

static int answer;                  /* of all of these */
static int64_t told;                /* by status() and open() */

static int bad_vec(BlockDriverState *bs, int64_t offset, BlockVec vec)
{
    return answer;
}

static int bad_flush(BlockDriverState *bs)
{
    return answer;
}

static int bad_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags)
{
    return answer;
}

static int bad_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st)
{
    *st = (BlockStatus) { .bytes = told, .data = true };
    return answer;
}

static int bad_map(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext)
{
    *ext = (BlockExtent) { 0, told, bs->file, 0, 0 };
    return answer;
}

static int bad_map_done(BlockDriverState *bs, const BlockExtent *ext)
{
    return answer;
}

static bool bad_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    return false;
}

static bool bad_open(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    bs->size = told;
    return told != 0;
}

static bool bad_alignment(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp)
{
    bs->size = MIB;
    bs->request_alignment = told;
    return true;
}

static bool bad_create(BlockDriverState *bs, const void *opts, GError **errp)
{
    return false;
}

static bool bad_open_backing(BlockDriverState *bs, GError **errp)
{
    return false;
}

static bool bad_info(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp)
{
    return false;
}

static bool code_truncate(BlockDriverState *bs, int64_t size, GError **errp)
{
    bdrv_set_error(errp, answer, "no");
    return false;
}

static void test_driver_requests(void)
{
    BlockDriver *drv = table_of("null"), was = *drv;
    BlockStatus st;
    uint8_t buf[512] = { 0 };

    for (size_t k = 0; k < G_N_ELEMENTS(nonsense); k++) {
        BlockDriverState *bs = bdrv_open(NULL, "driver=null,size=1M", BDRV_O_RDWR | BDRV_O_UNMAP, NULL);

        answer = nonsense[k];
        told = 512;
        drv->read = drv->write = bad_vec;
        g_assert_cmpint(bdrv_pread(bs, 0, buf, 512, 0), ==, -EIO);
        assert_warned(bs, "read()", answer);
        g_assert_cmpint(bdrv_pwrite(bs, 0, buf, 512, 0), ==, -EIO);
        assert_warned(bs, "write()", answer);
        drv->flush = bad_flush;
        g_assert_cmpint(bdrv_flush(bs), ==, -EIO);
        assert_warned(bs, "flush()", answer);
        drv->zero = bad_zero;
        g_assert_cmpint(bdrv_pwrite_zeroes(bs, 0, 512, 0), ==, -EIO);
        assert_warned(bs, "zero()", answer);
        drv->status = bad_status;
        g_assert_cmpint(bdrv_block_status(bs, 0, 512, 0, &st), ==, -EIO);
        assert_warned(bs, "status()", answer);
        *drv = was;
        g_assert_cmpint(bdrv_close(bs), ==, 0);
    }
}

/* Nothing is no part, and more than all is all */
static void test_driver_status_bytes(void)
{
    BlockDriver *drv = table_of("null"), was = *drv;
    BlockDriverState *bs = bdrv_open(NULL, "driver=null,size=1M", 0, NULL);
    BlockStatus st;

    answer = 0;
    drv->status = bad_status;
    for (told = -1; told <= 0; told++) {
        g_assert_cmpint(bdrv_block_status(bs, 0, 4096, 0, &st), ==, -EIO);
    }
    told = 4097;
    g_assert_cmpint(bdrv_block_status(bs, 0, 4096, 0, &st), ==, 0);
    g_assert_cmpint(st.bytes, ==, 4096);
    *drv = was;
    bdrv_close(bs);
}

static void test_driver_map(void)
{
    BlockDriver *drv = table_of("raw"), was = *drv;
    BlockDriverState *bs = bdrv_open(NULL, "driver=raw,file.driver=null,file.size=1M", BDRV_O_RDWR, NULL);
    uint8_t buf[512] = { 0 };
    BlockStatus st;

    drv->map = bad_map;
    told = MIB;
    for (size_t k = 0; k < G_N_ELEMENTS(nonsense); k++) {
        answer = nonsense[k];
        g_assert_cmpint(bdrv_pread(bs, 0, buf, 512, 0), ==, -EIO);
        g_assert_cmpint(bdrv_pwrite(bs, 0, buf, 512, 0), ==, -EIO);
        g_assert_cmpint(bdrv_pwrite_zeroes(bs, 0, 512, 0), ==, -EIO);
        g_assert_cmpint(bdrv_block_status(bs, 0, 512, 0, &st), ==, -EIO);
        assert_warned(bs, "map()", answer);
    }
    *drv = was;
    bdrv_close(bs);
}

static void test_driver_commit(void)
{
    BlockDriver *drv = table_of("vpc"), was = *drv;
    Medium medium = medium_on_disk();
    uint8_t buf[512] = { 1 };

    medium_create(&medium, "driver=vpc,size=1M");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);

    drv->map_done = bad_map_done;
    answer = 512;
    g_assert_cmpint(bdrv_pwrite(bs, 0, buf, 512, 0), ==, -EIO);
    assert_warned(bs, "map_done()", answer);
    *drv = was;
    bdrv_close(bs);
    medium_clear(&medium);
}

/* A filter's 1 says that the child is not to be flushed, a format's says nothing */
static void test_driver_format_flush(void)
{
    BlockDriver *drv = table_of("vpc"), was = *drv;
    Medium medium = medium_on_disk();
    uint8_t buf[512] = { 1 };

    medium_create(&medium, "driver=vpc,size=1M");
    BlockDriverState *bs = medium_open(&medium, "driver=vpc", BDRV_O_RDWR);

    g_assert_cmpint(bdrv_pwrite(bs, 0, buf, 512, 0), ==, 0);
    drv->flush = bad_flush;
    for (answer = 1; answer <= 2; answer++) {
        bs->needs_flush = true;
        g_assert_cmpint(bdrv_flush(bs), ==, -EIO);
        assert_warned(bs, "flush()", answer);
    }
    *drv = was;
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    medium_clear(&medium);
}

static void assert_said(GError *err, int code, const char *text)
{
    g_assert_nonnull(err);
    g_assert_cmpint(bdrv_error_code(err), ==, code);
    if (!strstr(bdrv_error_message(err), text)) {
        g_error("'%s' does not say '%s'", bdrv_error_message(err), text);
    }
    bdrv_error_free(err);
}

/* One that fails has a reason, even if the driver gives none */
static void test_driver_without_reason(void)
{
    BlockDriver *drv = table_of("null"), was = *drv, *vpc = table_of("vpc"), vpc_was = *vpc;
    BlockDriverState *bs = bdrv_open(NULL, "driver=null,size=1M", BDRV_O_RDWR, NULL);
    Medium medium = medium_on_disk();
    GError *err = NULL;

    drv->truncate = bad_truncate;
    g_assert_false(bdrv_truncate(bs, 2 * MIB, &err));
    assert_said(g_steal_pointer(&err), EIO, "driver 'null': truncate() failed, and did not say why");
    g_assert_false(bdrv_truncate(bs, 2 * MIB, NULL));
    drv->info = bad_info;
    g_assert_null(bdrv_get_info(bs, &err));
    assert_said(g_steal_pointer(&err), EIO, "info() failed, and");
    *drv = was;
    bdrv_close(bs);
    drv->open = bad_open;
    told = 0;
    g_assert_null(bdrv_open(NULL, "driver=null,size=1M", 0, &err));
    assert_said(g_steal_pointer(&err), EIO, "open() failed, and");
    *drv = was;
    vpc->create = bad_create;
    g_assert_false(medium_try_create(&medium, "driver=vpc,size=1M", &err));
    assert_said(g_steal_pointer(&err), EIO, "create() failed, and");
    *vpc = vpc_was;
    medium_create(&medium, "driver=vpc,size=1M");
    vpc->open_backing = bad_open_backing;
    g_assert_null(medium_try_open(&medium, "driver=vpc", 0, &err));
    assert_said(g_steal_pointer(&err), EIO, "open_backing() failed, and");
    *vpc = vpc_was;
    medium_clear(&medium);
}

/* A write that has a format grow takes the number of the error */
static void test_driver_error_codes(void)
{
    static const int codes[] = { 0, -5, 5000, INT_MIN };
    BlockDriver *drv = table_of("null"), was = *drv;
    BlockDriverState *bs = bdrv_open(NULL, "driver=null,size=1M", BDRV_O_RDWR, NULL);

    drv->truncate = code_truncate;
    for (size_t k = 0; k < G_N_ELEMENTS(codes); k++) {
        GError *err = NULL;

        answer = codes[k];
        g_assert_false(bdrv_truncate(bs, 2 * MIB, &err));
        assert_said(err, EIO, "no");
    }
    *drv = was;
    bdrv_close(bs);
}

static void test_driver_opened_badly(void)
{
    static const struct { int64_t told; bool size; int code; } cases[] = {
        { -1, true, EINVAL }, { INT64_MIN, true, EINVAL }, { INT64_MAX, true, EFBIG },
        { BLOCK_MAX_SIZE + 1, true, EFBIG }, { 3, false, EINVAL }, { INT64_MAX, false, EINVAL },
        { (int64_t)1 << 62, false, EINVAL }, { 2 << 20, false, EINVAL },
    };
    BlockDriver *drv = table_of("null"), was = *drv;

    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        GError *err = NULL;

        told = cases[k].told;
        drv->open = cases[k].size ? bad_open : bad_alignment;
        g_assert_null(bdrv_open(NULL, "driver=null", 0, &err));
        assert_said(err, cases[k].code, "driver 'null'");
    }
    *drv = was;
}

/* Storage as long as numbers go; all of it is zero */

static int64_t highest;             /* end of what was read or written */

static int long_read(void *user, int64_t offset, void *buf, int64_t bytes)
{
    g_assert_cmpint(offset, >=, 0);
    g_assert_cmpint(offset, <=, INT64_MAX - bytes);
    highest = MAX(highest, offset + bytes);
    memset(buf, 0, (size_t)bytes);
    return 0;
}

static int long_write(void *user, int64_t offset, const void *buf, int64_t bytes)
{
    g_assert_cmpint(offset, >=, 0);
    g_assert_cmpint(offset, <=, INT64_MAX - bytes);
    highest = MAX(highest, offset + bytes);
    return 0;
}

static int long_truncate(void *user, int64_t size)
{
    return 0;
}

static const char *const long_options[] = {
    "driver=raw", "driver=mem", "driver=raw,file.driver=blkdebug", "driver=raw,file.driver=blkdebug,file.align=512",
    "driver=raw,file.driver=blkdebug,file.align=65536", "driver=blkdebug,align=4096",
    "driver=raw,offset=512,file.driver=blkdebug,file.align=4096", "driver=raw,file.driver=raw,file.offset=512",
};

/* Requests at the end of the node, and over it */
static void use_end(BlockDriverState *bs)
{
    int64_t size = bdrv_getlength(bs);
    uint8_t buf[3000] = { 0 };
    BlockStatus st;

    g_assert_cmpint(bdrv_pread(bs, size - 700, buf, 700, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(bs, size - 700, buf, 700, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(bs, size - 1, buf, 1, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite_zeroes(bs, size - 700, 700, BDRV_REQ_MAY_UNMAP), ==, 0);
    g_assert_cmpint(bdrv_pdiscard(bs, size - 700, 700), ==, 0);
    g_assert_cmpint(bdrv_block_status(bs, size - 700, 700, BDRV_STATUS_WANT_ZERO, &st), ==, 0);
    g_assert_cmpint(bdrv_pwrite(bs, size - 700, buf, 701, 0), ==, -EIO);
    g_assert_cmpint(bdrv_pread(bs, INT64_MAX - 700, buf, 701, 0), ==, -EIO);
    g_assert_cmpint(bdrv_pwrite_zeroes(bs, size - 700, INT64_MAX, 0), ==, -EIO);
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
}

static void assert_no_longer(BlockDriverState *bs)
{
    static const int64_t sizes[] = { BLOCK_MAX_SIZE + 1, BLOCK_MAX_SIZE + 512, INT64_MAX - 511, INT64_MAX };

    for (size_t k = 0; k < G_N_ELEMENTS(sizes); k++) {
        GError *err = NULL;

        g_assert_false(bdrv_truncate(bs, sizes[k], &err));
        g_assert_cmpint(bdrv_error_code(err), ==, EFBIG);
        bdrv_error_free(err);
    }
}

static void test_longest_storage(void)
{
    static const int64_t sizes[] = { BLOCK_MAX_SIZE, BLOCK_MAX_SIZE - 65536, BLOCK_MAX_SIZE - 1, BLOCK_MAX_SIZE - 300 };

    for (size_t k = 0; k < G_N_ELEMENTS(sizes); k++) {
        for (size_t i = 0; i < G_N_ELEMENTS(long_options); i++) {
            const BlockStorage storage = { sizes[k], NULL, long_read, long_write, NULL, long_truncate };
            BlockDriverState *bs = bdrv_open_storage(&storage, long_options[i], BDRV_O_RDWR | BDRV_O_UNMAP, NULL);

            g_assert_nonnull(bs);
            use_end(bs);
            assert_no_longer(bs);
            g_assert_cmpint(bdrv_close(bs), ==, 0);
        }
    }
    g_assert_cmpint(highest, <=, BLOCK_MAX_SIZE);
}

static void test_storage_too_long(void)
{
    static const int64_t sizes[] = { BLOCK_MAX_SIZE + 1, INT64_MAX - 511, INT64_MAX - 1, INT64_MAX, -1, INT64_MIN };

    for (size_t k = 0; k < G_N_ELEMENTS(sizes); k++) {
        for (size_t i = 0; i < G_N_ELEMENTS(long_options); i++) {
            const BlockStorage storage = { sizes[k], NULL, long_read, long_write, NULL, long_truncate };
            GError *err = NULL;

            g_assert_null(bdrv_open_storage(&storage, long_options[i], 0, &err));
            g_assert_cmpint(bdrv_error_code(err), ==, sizes[k] < 0 ? EINVAL : EFBIG);
            bdrv_error_free(err);
        }
    }
}

/* tmpfs and XFS have such files */
static void test_file_too_long(void)
{
    Medium medium = medium_on_file("long");
    int fd = open(medium.file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    GError *err = NULL;

    g_assert_cmpint(fd, >=, 0);
    if (ftruncate(fd, INT64_MAX) < 0) {
        g_test_skip("the file system has no file of that length");
    } else {
        g_assert_null(medium_try_open(&medium, "driver=raw", 0, &err));
        g_assert_cmpint(bdrv_error_code(err), ==, EFBIG);
        bdrv_error_free(err);
    }
    close(fd);
    medium_clear(&medium);
}

/* A resolver's */

static const char *offered_driver, *offered_file;
static const BlockStorage *offered_storage;
static bool go_on;                  /* what it returns */

static bool find(void *user, const BlockBackingQuery *query, BlockBackingAnswer *parent)
{
    if (offered_storage) {
        bdrv_offer_storage(parent, offered_storage, offered_driver);
    } else {
        bdrv_offer_file(parent, offered_file, offered_driver);
    }
    return go_on;
}

static void test_resolver_offers(void)
{
    static const BlockStorage nothing = { .size = 512 }, negative = { .size = -1, .read = program_read };
    static const BlockStorage longest = { .size = INT64_MAX, .read = program_read };
    static const struct { const char *file, *driver; const BlockStorage *storage; } offers[] = {
        { NULL, NULL, NULL }, { "", NULL, NULL }, { "/nosuch", "nosuch", NULL }, { "/dev/zero", NULL, NULL },
        { "/", NULL, NULL }, { NULL, "vpc", &nothing }, { NULL, NULL, &negative }, { NULL, NULL, &longest },
        { NULL, "raw", NULL }, { "/nosuch", "", NULL }, { "json:{", "vpc", NULL },
    };
    Medium parent = medium_on_file("parent.vhd"), child = medium_on_file("child.vhd");
    const BlockResolver resolver = { NULL, find };
    const BlockOpenArgs args = { .filename = child.file, .options = "driver=vpc", .resolver = &resolver };

    medium_create(&parent, "driver=vpc,size=1M");
    medium_create(&child, "driver=vpc,backing_file=parent.vhd");
    for (size_t k = 0; k < G_N_ELEMENTS(offers); k++) {
        GError *err = NULL;

        offered_file = offers[k].file;
        offered_driver = offers[k].driver;
        offered_storage = offers[k].storage;
        go_on = false;
        g_assert_null(bdrv_open_with(&args, &err));
        g_assert_nonnull(err);
        g_assert_cmpint(bdrv_error_code(err), !=, 0);
        bdrv_error_free(err);
        go_on = true;
        BlockDriverState *bs = bdrv_open_with(&args, NULL);
        g_assert_nonnull(bs);
        g_assert_cmpint(bdrv_close(bs), ==, 0);
    }
    medium_clear(&child);
    medium_clear(&parent);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/storage/counts-are-errors", test_storage_counts);
    g_test_add_func("/storage/truncate-that-counts", test_storage_truncate);
    g_test_add_func("/storage/truncate-that-counts-under-a-new-block", test_storage_truncate_for_block);
    g_test_add_func("/storage/open-says-why", test_storage_open_says_why);
    g_test_add_func("/storage/create-says-why", test_storage_create_says_why);
    g_test_add_func("/driver/requests", test_driver_requests);
    g_test_add_func("/driver/status-of-nothing-or-too-much", test_driver_status_bytes);
    g_test_add_func("/driver/map", test_driver_map);
    g_test_add_func("/driver/commit", test_driver_commit);
    g_test_add_func("/driver/flush-of-a-format", test_driver_format_flush);
    g_test_add_func("/driver/without-a-reason", test_driver_without_reason);
    g_test_add_func("/driver/error-codes", test_driver_error_codes);
    g_test_add_func("/driver/size-and-alignment", test_driver_opened_badly);
    g_test_add_func("/sizes/longest-storage", test_longest_storage);
    g_test_add_func("/sizes/storage-too-long", test_storage_too_long);
    g_test_add_func("/sizes/file-too-long", test_file_too_long);
    g_test_add_func("/resolver/offers-nonsense", test_resolver_offers);
    return kit_run();
}
