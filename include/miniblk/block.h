/* block.h - open a disk image, read it, write it */
/* SPDX-License-Identifier: MIT */
#ifndef MINIBLK_BLOCK_H
#define MINIBLK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* An open image: a tree of nodes with one way in. Share the handle between threads, not the file between handles, and
 * not the handle between processes: after fork(), one of the two may use it, and the other only _exit() or exec. Both
 * have memory of their own of where the next block goes, and would put two into one place. */
typedef struct BlockDriverState BlockDriverState;

/* GLib's error; no GLib header is needed. NULL for errp: the text is not wanted */
typedef struct _GError GError;

enum {
    BDRV_O_RDWR         = 1 << 0,
    BDRV_O_PROBE        = 1 << 1,   /* no driver= given: guess. Without it a driver must be named */
    BDRV_O_SNAPSHOT     = 1 << 2,   /* writes go to a scratch file, and away on close */
    BDRV_O_NOCACHE      = 1 << 3,   /* O_DIRECT */
    BDRV_O_NO_FLUSH     = 1 << 4,   /* flush does nothing: for images that may be lost */
    BDRV_O_NO_LOCK      = 1 << 5,   /* do not lock files against other programs */
    BDRV_O_WRITETHROUGH = 1 << 6,   /* every write is flushed before it is reported done */
    BDRV_O_UNMAP        = 1 << 7,   /* discards and BDRV_REQ_MAY_UNMAP give space back; ignored without it */
    BDRV_O_NO_BACKING   = 1 << 8,   /* do not look for a parent: reads of what is there give zeroes */
    BDRV_O_CHECK        = 1 << 9,   /* for bdrv_check() and nothing else: the image may be one that can't be opened
                                     * otherwise, and may read as empty. Its parent is opened by bdrv_check(),
                                     * which asks no resolver */
    BDRV_O_SALVAGE      = 1 << 11,  /* read as much of a damaged image as there is, for reading only: as the option salvage=on
                                     * of a driver that has it; others take no notice */
    BDRV_O_PROBE_QEMU   = 1 << 10,  /* BDRV_O_PROBE as QEMU does it: by the first bytes only, and what was guessed may
                                     * be written to. A raw disk then has a warning, and writes that would make
                                     * another format of it fail with -EPERM */
};

/* Set or clear the flags above that @mode stands for, in QEMU's words: writeback, writethrough, none, directsync,
 * unsafe; or "killsafe", which is BDRV_O_WRITETHROUGH | BDRV_O_NO_FLUSH: what was reported done is in the host's page
 * cache, so a killed process loses nothing, and nothing waits for the disk; a power cut may spoil the image, as with
 * unsafe. False, and *@flags as it was, if @mode is none of these. */
bool bdrv_parse_cache_mode(const char *mode, unsigned *flags);

/* @options: "driver=vpc,file.driver=blkdebug,file.image.filename=a.vhd"; a comma in a value is
 * doubled; NULL for none. @filename is given to the lowest node of the chain of "file" children;
 * NULL if the options name it. It may also be "json:{…}", which is options, or begin with a driver's prefix,
 * "nbd://…", and then stands for options: a program that opens what others name gives "file.filename=…"
 * instead, which is a path whatever is in it. What @options has as well counts.
 * NULL and @errp set on failure; the text does not repeat @filename. */
BlockDriverState *bdrv_open(const char *filename, const char *options, unsigned flags, GError **errp);

/* Make an image: "driver=vpc,size=10G,subformat=fixed". An existing file is not touched before all options, also
 * those of the nodes below, were found good, the file could be opened with them and locked, and found to be able to
 * have the length that the image will have, as far as that is known. Then it is emptied: if a write fails after that
 * (there may be no space), what was in it is lost, and it is left empty. A new file is removed again. */
bool bdrv_create(const char *filename, const char *options, GError **errp);

/* Flush, then free all. 0, or -errno if what was written may not have reached the disk; the handle
 * is gone in any case. NULL is allowed. No other thread may be using @bs. */
int bdrv_close(BlockDriverState *bs);

/* Storage of the caller's own, in place of a file. Offsets and lengths are bytes, any alignment,
 * inside the size; functions return 0 or -errno, all the bytes or an error, and may be called from several threads at
 * once. Any other number, such as the count that pread() returns, is an error: -EIO, and a warning that names it. */
typedef struct BlockStorage {
    int64_t size;                   /* when opened */
    void *user;                     /* handed to every function */
    int (*read)(void *user, int64_t offset, void *buf, int64_t bytes);
    int (*write)(void *user, int64_t offset, const void *buf, int64_t bytes);  /* NULL: read-only */
    int (*flush)(void *user);                   /* NULL: nothing to do */
    int (*truncate)(void *user, int64_t size);  /* grown space reads as zeroes. NULL: the size is fixed */
} BlockStorage;

/* bdrv_open() and bdrv_create() over @storage, which is copied; @user must outlive the image */
BlockDriverState *bdrv_open_storage(const BlockStorage *storage, const char *options, unsigned flags,
                                    GError **errp);
bool bdrv_create_storage(const BlockStorage *storage, const char *options, GError **errp);

typedef struct BlockCreateArgs {
    const char *filename;           /* the first three as above */
    const BlockStorage *storage;    /* in place of a file; NULL: none */
    const char *options;
    /* Called with each warning, before the file is made if it is about the options: what a reader will not take, or
     * see. @text is gone when it returns. NULL: warnings are dropped */
    void (*warn)(void *user, const char *text);
    void *user;
} BlockCreateArgs;

/* Make an image, in any of the ways above */
bool bdrv_create_with(const BlockCreateArgs *args, GError **errp);

/* Which image is the parent of this one? The strings are the library's, and good until find() returns. Names
 * and places are what the image says: believe none of it. */
typedef struct BlockParentQuery {
    const char *child;              /* filename of the image whose parent is wanted; "" if it has none */
    const BlockStorage *storage;    /* which storage of the program's that image is in; NULL: none */
    unsigned depth;                 /* of that parent: 1 is behind the image that is opened, and 2 behind that one. What
                                     * BDRV_O_SNAPSHOT puts over it does not count */
    const char *uuid;               /* unique id of the parent, as "01234567-89ab-cdef-0123-456789abcdef"; NULL:
                                     * the image gives none, its parent is raw */
    const char *const *names;       /* what the image calls it, without folders, */
    const char *const *places;      /* and paths where it would be looked for, in this order. Both end in NULL */
} BlockParentQuery;

typedef struct BlockParentAnswer BlockParentAnswer;

/* In find(): the parent may be this. @driver NULL: the same as the child's. What is handed over is copied;
 * the storage's user must outlive the image, or bdrv_open_with() if that fails. */
void bdrv_offer_file(BlockParentAnswer *answer, const char *filename, const char *driver);
void bdrv_offer_storage(BlockParentAnswer *answer, const BlockStorage *storage, const char *driver);

/* A program that knows where parents are. An image whose options name its parent has that one, and find() is
 * not asked. Else it is, once for each image of the chain and before any place is looked at, and may make any
 * number of offers. They are tried in this order, and the first that is right is the parent: as in a place that
 * the image names, it must have the unique id (unless that is to be ignored) and be none of the images that
 * lead to it, and a file must be a regular one or a block device, and inside "parent-root", where that is given: what
 * leads out of it, or is something else, is not touched. If none is right, true: the places are looked at as
 * well; false: they are not, and the image is not opened.
 * It is called by the thread that opens the image, before bdrv_open_with() returns and never afterwards; it may
 * open other images, and must return. It is not asked for an image whose driver was only guessed. */
typedef struct BlockResolver {
    void *user;                     /* handed to find() */
    bool (*find)(void *user, const BlockParentQuery *query, BlockParentAnswer *answer);
} BlockResolver;

typedef struct BlockOpenArgs {
    const char *filename;           /* the first four as above */
    const BlockStorage *storage;    /* in place of a file; NULL: none */
    const char *options;
    unsigned flags;
    const BlockResolver *resolver;  /* asked for parents; NULL: parents are where images say */
} BlockOpenArgs;

/* All ways to open an image in one. What @args points to is not needed afterwards, but for the storage's user */
BlockDriverState *bdrv_open_with(const BlockOpenArgs *args, GError **errp);

/* Requests: 0 or -errno; all the bytes or an error. Offsets and lengths are bytes, any alignment,
 * inside bdrv_getlength(), at most BDRV_MAX_BYTES. Safe from any thread, any number at once.
 * A write that failed may have changed any of its bytes, and nothing else.
 *
 * Requests that overlap and run at the same time have an order for each byte, which all readers of that byte agree
 * on: a request that was made after another was reported done comes after it, and no request comes twice. Two bytes
 * may have two orders. An aligned sector of 512 bytes has one where storage moves sectors whole: disks do, a host's
 * page cache may not while it is read.
 * The disk may become shorter while a request waits for bdrv_truncate(): what is not inside then fails with -EIO. */
#define BDRV_MAX_BYTES ((int64_t)0x7fffffff & -512)

enum {
    BDRV_REQ_FUA       = 1 << 0,    /* on stable storage before it is reported done */
    BDRV_REQ_MAY_UNMAP = 1 << 1,    /* pwrite_zeroes may give the space back, see BDRV_O_UNMAP */
    BDRV_REQ_NO_FALLBACK = 1 << 2,  /* pwrite_zeroes fails with -ENOTSUP where zeroes would have to be written out */
};

int bdrv_pread(BlockDriverState *bs, int64_t offset, void *buf, int64_t bytes, unsigned flags);
int bdrv_pwrite(BlockDriverState *bs, int64_t offset, const void *buf, int64_t bytes, unsigned flags);
int bdrv_preadv(BlockDriverState *bs, int64_t offset, const struct iovec *iov, int niov, unsigned flags);
int bdrv_pwritev(BlockDriverState *bs, int64_t offset, const struct iovec *iov, int niov, unsigned flags);

/* Zeroes, of any length up to the end of the image. Holes stay holes. */
int bdrv_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags);

/* These bytes are no longer needed: each of them is zero afterwards, or what it was. */
int bdrv_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes);

/* What was reported done before the call is on stable storage after it: also what other programs wrote to the files
 * before @bs was opened.
 *
 * Without it, a killed process loses nothing of a raw, fixed or dynamic image. Of a differencing one it may lose what was
 * written since the last flush; the option "flush-after" has the library flush by itself: "flush-after=16M" when so
 * much was written, "flush-after=5s" when a request comes so long after the first write that no flush covers. The
 * library has no thread for that: while no request comes, it does not flush. */
int bdrv_flush(BlockDriverState *bs);

typedef struct BlockStatus {
    int64_t bytes;              /* how far this answer holds, from the offset asked for */
    bool zero;                  /* reads as zeroes */
    bool data;                  /* has a place in storage, even if that is a hole there. Neither: not known */
    bool here;                  /* held by this image, not by a parent */
    unsigned depth;             /* whose it is: 0 this image, 1 its parent, and so on */
    BlockDriverState *leaf;     /* who has the bytes; NULL if nobody */
    int64_t leaf_offset;
} BlockStatus;

enum {
    BDRV_STATUS_WANT_ZERO = 1 << 0, /* look for holes under allotted blocks, too; may ask the file system */
};

/* Describe [@offset, @offset + @bytes), or the first part of it. 0 or -errno: then nothing of the first @st->bytes, as
 * far as that is known, can be read */
int bdrv_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);

int64_t bdrv_getlength(BlockDriverState *bs);           /* bytes, as the guest sees the disk */
bool bdrv_is_read_only(BlockDriverState *bs);
const char *bdrv_get_driver_name(BlockDriverState *bs);
const char *bdrv_get_filename(BlockDriverState *bs);    /* of the lowest file; "" if it has none */
/* The image that has what this one does not; NULL: none. It is for bdrv_get_info() and the functions
 * above only, and goes with @bs, or when bdrv_rebase() gives that another. */
BlockDriverState *bdrv_get_backing(BlockDriverState *bs);

/* Give the disk another length: @size, or a little more, with a warning, where the format can't have that. What is
 * added reads as zeroes. If it is interrupted, or fails, the disk has the old length or the new one, and can be
 * truncated again. */
bool bdrv_truncate(BlockDriverState *bs, int64_t size, GError **errp);

typedef enum BlockPreallocation {
    BDRV_PREALLOC_OFF,          /* leave a hole, */
    BDRV_PREALLOC_FALLOC,       /* have the space reserved in the file, */
    BDRV_PREALLOC_FULL,         /* or write zeroes */
} BlockPreallocation;

/* The same for images that are not to be shorter. If there is no such space, they have the old length afterwards */
bool bdrv_grow(BlockDriverState *bs, int64_t size, BlockPreallocation how, GError **errp);
/* Do as bdrv_grow(), with @options for the driver, "key=value,…", see miniblk-drivers(7); NULL: none */
bool bdrv_resize(BlockDriverState *bs, int64_t size, BlockPreallocation how, const char *options, GError **errp);

typedef struct BlockCopyOptions {
    unsigned workers;           /* threads; 0: two */
    bool unordered;             /* write as read, in any order: faster, but images come out different */
    int64_t sparse;             /* shorter runs of zeroes are written as data; 0: 4096; -1: write all zeroes */
    bool target_is_zero;        /* @to is known to read as zeroes: leave zeroes out */
    int64_t from_offset, to_offset;     /* where in each of them to begin */
    int64_t bytes;              /* how many; 0: up to the end of @from */
    /* Not NULL: what can't be read, in units of 512 bytes, becomes zeroes, and each range of it is told of, from
     * front to back: in a first pass "reading block status", after which it is read all the same if it may be
     * anywhere, and then "reading". @err is an errno */
    void (*salvage)(void *user, const char *doing, int64_t offset, int64_t bytes, int err);
    void (*progress)(void *user, int64_t done, int64_t total);  /* bytes of data; from any worker, one at a time */
    void *user;
} BlockCopyOptions;

/* Copy all of @from to the start of @to, or what @opts say; there must be room for it. @opts may be NULL. Both may be
 * in one file, or one image, if the two places have no byte in common; EINVAL if they have, or may have. */
bool bdrv_copy(BlockDriverState *from, BlockDriverState *to, const BlockCopyOptions *opts, GError **errp);

/* Have @bytes at @start of @from, and at @at of @to, no byte in common in the files at the bottom? Where a format has tables,
 * they may be anywhere in its file, and the answer is false. @errp says where they overlap */
bool bdrv_lie_apart(BlockDriverState *from, int64_t start, BlockDriverState *to, int64_t at, int64_t bytes, GError **errp);

/* Write into the @depth-th image behind @bs, 1 its parent, what @bs and those between have of their own. That
 * image must be open for writing, "backing.read-only=off"; what lies between, and its other children, if there
 * are any, see a changed parent afterwards. @bs itself is not changed: the call can be made again after it was
 * interrupted. @progress may be NULL. */
bool bdrv_commit(BlockDriverState *bs, unsigned depth, void (*progress)(void *user, int64_t done, int64_t total),
                 void *user, GError **errp);

typedef struct BlockRebaseOptions {
    const char *driver;         /* of the new parent; NULL: vpc */
    const char *options;        /* to open it with, as bdrv_open()'s; NULL: none */
    bool names_only;            /* compare and copy nothing: where the parent was moved. @bs may have been opened
                                 * with BDRV_O_NO_BACKING */
    void (*progress)(void *user, int64_t done, int64_t total);
    void *user;
} BlockRebaseOptions;

/* Give @bs another parent: @parent, a path as from the image's folder; NULL: none, it stands alone then. First,
 * what the image has from the old parent and would not have from the new one is copied into it, so that it reads
 * the same at every moment: also after the call was interrupted, and made again. @opts may be NULL. After a
 * failure @bs still has the parent that it had; open it anew to be sure of what is on disk. */
bool bdrv_rebase(BlockDriverState *bs, const char *parent, const BlockRebaseOptions *opts, GError **errp);

/* Change what @bs says of itself, in place: @options as bdrv_create() has them, those that the driver can change.
 * Children of an image know it by its unique id: with another one they do not find it any more, and no image knows
 * its children. All is changed on stable storage, or, after an error, perhaps nothing: open it anew to be sure.
 * ENOTSUP: the driver changes nothing. */
bool bdrv_amend(BlockDriverState *bs, const char *options, GError **errp);

/* For tests: stop a request at a point of its way, and let it go on. The image must have a blkdebug node below; the
 * first on the way down is meant. @event is one that happens there, @tag any name. Stopped requests are still inside
 * the image, and others may have to wait for them. Requests may run meanwhile. 0, or -ENOTSUP: there is no such
 * node, or the event never happens; -ENOENT: there is no such event, or tag. */
int bdrv_debug_breakpoint(BlockDriverState *bs, const char *event, const char *tag);    /* for the next request */
int bdrv_debug_resume(BlockDriverState *bs, const char *tag);   /* of several, the one with the latest breakpoint */
int bdrv_debug_remove_breakpoint(BlockDriverState *bs, const char *tag);    /* all of them; who was stopped goes on */
bool bdrv_debug_is_suspended(BlockDriverState *bs, const char *tag);        /* is a request stopped there? */

/* What an image says of itself. Keys are lower case with '-', as in JSON. */
typedef struct BlockInfoItem {
    const char *key;
    enum { BLOCK_INFO_TEXT, BLOCK_INFO_INT, BLOCK_INFO_BOOL } type;
    const char *text;           /* TEXT; else NULL */
    int64_t number;             /* INT, BOOL */
} BlockInfoItem;

typedef struct BlockInfo {
    const char *driver;
    const char *filename;
    int64_t virtual_size;
    int64_t actual_size;        /* bytes that the storage really uses; -1: not known */
    int64_t cluster_size;       /* unit of allocation; 0: none */
    int probe;                  /* 0: the driver was named; else how sure the guess was, to 100 */
    uint64_t io_errors;         /* requests that failed since the image was opened, */
    int io_errno;               /* and the first of them: its errno, */
    int64_t io_offset;          /* offset */
    const char *io_operation;   /* and kind: "read", "write", "flush"; NULL: none */
    int count;
    const BlockInfoItem *items; /* the driver's own facts, @count of them */
} BlockInfo;

BlockInfo *bdrv_get_info(BlockDriverState *bs, GError **errp);   /* NULL and @errp set on failure */
void bdrv_info_free(BlockInfo *info);
const BlockInfoItem *bdrv_info_find(const BlockInfo *info, const char *key);    /* NULL if it has none */

/* How bad it is */
typedef enum BlockCheckLevel {
    BLOCK_CHECK_NOTE,           /* harms nobody */
    BLOCK_CHECK_LEAK,           /* space that nobody uses */
    BLOCK_CHECK_CORRUPTION,     /* data is lost, or may come to be */
    BLOCK_CHECK_ERROR,          /* could not be read, so that nobody knows what is wrong there */
} BlockCheckLevel;

typedef struct BlockCheckCase {
    const char *text;           /* what is wrong, with the numbers */
    int64_t offset;             /* in the file; -1: at no place in particular */
    int64_t cluster;            /* number of the cluster or block; -1: of none */
} BlockCheckCase;

/* All that was found of one kind */
typedef struct BlockFinding {
    const char *code;           /* for programs; the driver's manual lists them, and they do not change */
    BlockCheckLevel level;
    const char *name;           /* of the kind, in a few words */
    const char *advice;         /* what a repair does, or what people can do; NULL: nothing is to be done */
    unsigned fix;               /* the BDRV_CHECK_FIX_… that repairs it; 0: none does, or not before others are gone */
    int64_t count;              /* how many there are, */
    int64_t fixed;              /* and how many there were before they were repaired */
    int cases_count;
    const BlockCheckCase *cases;    /* the first few of them */
} BlockFinding;

/* Clusters, or blocks, are the format's unit of allocation */
typedef struct BlockCheck {
    int64_t image_end_offset;   /* what lies behind it in the file is of no use; 0: not known */
    int64_t total_clusters, allocated_clusters, fragmented_clusters;    /* 0 where there are none */
    int64_t notes, leaks, corruptions, errors;                  /* that are there now, */
    int64_t notes_fixed, leaks_fixed, corruptions_fixed;        /* and those that were repaired */
    int count;
    const BlockFinding *findings;   /* @count of them, in the order in which they would be repaired */
} BlockCheck;

enum {
    BDRV_CHECK_FIX_LEAKS  = 1 << 0,     /* give space back; no byte of the disk changes */
    BDRV_CHECK_FIX_ERRORS = 1 << 1,     /* all that is repairable. Where a block is beyond rescue, it is lost then */
};

/* Look for all that is wrong with @bs, opened with BDRV_O_CHECK; with @fix, repair it as well, for which it must
 * be open for writing. A repair that is interrupted leaves the image no worse than it was, and can be done again.
 * NULL and @errp set on failure; with code ENOTSUP, the format has no checks. */
BlockCheck *bdrv_check(BlockDriverState *bs, unsigned fix, GError **errp);
/* Do as bdrv_check(), and call @progress with how many of the clusters were looked at: from the first on again after
 * each repair. NULL: not called */
BlockCheck *bdrv_check_telling(BlockDriverState *bs, unsigned fix, void (*progress)(void *user, int64_t done, int64_t total),
                               void *user, GError **errp);
void bdrv_check_free(BlockCheck *check);

/* The @n-th thing found wrong that did not stop the image from being opened, or that explains an
 * -EIO; NULL past the last. More may be added by any request; each text lives as long as @bs. */
const char *bdrv_get_warning(BlockDriverState *bs, unsigned n);
/* Its code, for programs: of what bdrv_check() knows the code there, else a word that stays; miniblk-drivers(7) lists them */
const char *bdrv_get_warning_code(BlockDriverState *bs, unsigned n);

/* NULL, where nothing failed, is allowed in all three */
const char *bdrv_error_message(const GError *err);      /* NULL: "no error" */
int bdrv_error_code(const GError *err);                 /* an errno number; NULL: 0 */
void bdrv_error_free(GError *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
