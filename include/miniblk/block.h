/* block.h - open a disk image, read it, write it */
/* SPDX-License-Identifier: MIT
 *
 * A program opens an image with bdrv_open(), makes requests (bdrv_pread(), bdrv_pwrite(), bdrv_flush(), ...) and ends
 * with bdrv_close(). What follows holds for every function below, unless its own comment says otherwise.
 *
 * UNITS
 *
 * Offsets, lengths and sizes are bytes in an int64_t. Offsets count from the start of the disk as the guest sees it;
 * BlockStatus.leaf_offset and BlockCheckCase.offset count from the start of a file, and say so. A request may have any
 * alignment. An "errno number" is positive (EIO); a request returns it negated (-EIO).
 *
 * ERRORS
 *
 * A request returns 0 or -errno. Functions with a parameter @errp return false or NULL on failure and set *@errp,
 * which is to be NULL before the call. Free it with bdrv_error_free(). @errp may be NULL; the text is lost then.
 *
 * Requests fail with
 *   -EIO      the range is not inside the disk; or the image is damaged there, which bdrv_get_warning() explains; or
 *             storage failed
 *   -EINVAL   bad iovecs: @niov is negative, or they are longer than BDRV_MAX_BYTES together
 *   -EPERM    a write, zeroes or a discard on an image that is open for reading only; or a write that
 *             BDRV_O_PROBE_QEMU forbids
 *   -ENOTSUP  BDRV_REQ_NO_FALLBACK was given, and zeroes would have to be written out
 *   -ENOSPC, -EFBIG, -EDQUOT   the file cannot grow
 *   -ENOMEM   there was no memory for a buffer
 *   others    as the host's system call, the NBD server, or the program's BlockStorage gave them. Never -EAGAIN
 * A failed write, zeroes or discard may have changed any byte of its range, and no other byte of the disk.
 *
 * bdrv_error_code() of *@errp is one of
 *   EINVAL    an option or argument is wrong, or the file is no valid image
 *   ENOENT    a file, backing or driver is not there
 *   EACCES    the host or an option forbids it; or BDRV_O_RDWR was given for an image whose format was only guessed
 *   EPERM     the image is open for reading only
 *   EAGAIN    another open file has the image locked
 *   EBUSY     the image says that it is in use: by a suspended machine, or hidden by Xen's tools
 *   ELOOP     the chain of backings leads back to an image that is in it, or is longer than max-depth
 *   ENOTSUP   the driver, or this version of the format, does not have this
 *   EFBIG, ENOSPC   too large for the format or the host
 *   ECANCELED the program's progress function returned false
 *   others    as the host's system calls gave them
 *
 * THREADS
 *
 * Any thread may call any function on an open image at any time, also while another thread is inside one, except
 *   bdrv_close()         no other thread is inside the image, or enters it
 *   bdrv_get_backing()   no bdrv_rebase() runs meanwhile, and none has run since: what was returned is gone then
 * Requests, bdrv_block_status(), bdrv_get_geometry(), bdrv_lie_apart() and bdrv_get_info() run beside each other.
 * bdrv_truncate(), bdrv_grow(), bdrv_resize(), bdrv_commit(), bdrv_rebase(), bdrv_amend(), bdrv_set_read_only() and
 * bdrv_check() wait until nobody else is inside the image, and requests wait until they return: that may take as long
 * as copying a disk. A request that allocates a block does the same for a moment. bdrv_copy() only makes requests;
 * other requests run beside it. bdrv_getlength(), bdrv_is_read_only(), bdrv_get_driver_name(), bdrv_get_filename() and
 * bdrv_get_warning() with its like wait for nothing of this. Two images have nothing in common: two threads may use two
 * images without a lock. The library starts threads in bdrv_copy() only, which ends them before it returns.
 *
 * CALLBACKS
 *
 * Each BlockProgress, salvage() of bdrv_copy(), and the functions of a BlockStorage, run while the library holds locks
 * of the image. They may call on this image (of bdrv_copy(): on both images) only the functions that wait for
 * nothing; any other call may wait for ever. All calls on other images are allowed.
 * find() of a BlockResolver and the functions of BlockCreateArgs run in the thread that opens or creates, before there
 * is a handle. They may open, create and use other images.
 * No callback may longjmp() or throw an exception through the library.
 *
 * OWNERS
 *
 * Arguments stay the caller's. The library copies what it needs and keeps no pointer to them after the call, but for
 * BlockStorage.user, which must live until the image is closed. What the library returns is the library's, and lives
 *   until bdrv_close() (of a backing also: until bdrv_rebase() replaces it)    the strings of bdrv_get_filename(),
 *             bdrv_get_driver_name(), bdrv_get_warning() and its like, BlockInfo.filename, and the node
 *             BlockStatus.leaf
 *   until bdrv_info_free() or bdrv_check_free(), even if the image was closed before    the rest of the struct
 *   until bdrv_error_free()             bdrv_error_message()
 *   until the callback returns          strings given to a callback
 */
#ifndef MINIBLK_BLOCK_H
#define MINIBLK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Of the library that these headers belong to. As one number they can be compared: 1002003 is 1.2.3 */
#define MINIBLK_VERSION_MAJOR   0
#define MINIBLK_VERSION_MINOR   1
#define MINIBLK_VERSION_MICRO   0
#define MINIBLK_VERSION         "0.1.0"
#define MINIBLK_VERSION_NUMBER  (MINIBLK_VERSION_MAJOR * 1000000 + MINIBLK_VERSION_MINOR * 1000 + MINIBLK_VERSION_MICRO)

/* MINIBLK_VERSION and MINIBLK_VERSION_NUMBER of the library that the program runs with, a constant. Any thread may ask
 * at any time */
const char *bdrv_version(void);
int bdrv_version_number(void);

/* An open image: a tree of nodes, entered at its root. Threads share one handle; two handles must not write to one
 * file. Two processes must not share a handle either: after fork() one of them may use it, and the other may only
 * _exit() or exec. Each process remembers by itself where the next block goes, and both would put a block into the
 * same place. */
typedef struct BlockDriverState BlockDriverState;

/* GLib's error, declared here so that no GLib header is needed */
#ifndef __G_ERROR_H__       /* C99 allows a typedef once: there, include GLib's header first, if at all */
typedef struct _GError GError;
#endif

/* A program's function for a long call: @done of @total are done, in the units that the call says. True: go on. False
 * cancels the call: it fails with ECANCELED, and is not asked again. The image is then as after any failed call of its
 * kind: no data is lost, and the call can be made again, as its comment says. The library calls it between two steps,
 * in the thread that makes the call (bdrv_copy(): in any of its threads, one at a time); one step moves some MiB, or
 * zeroes one GiB. A call that is done may have asked never. */
typedef bool BlockProgress(void *user, int64_t done, int64_t total);

enum {
    BDRV_O_RDWR         = 1 << 0,
    BDRV_O_PROBE        = 1 << 1,   /* no driver= given: guess. Without it a driver must be named */
    BDRV_O_SNAPSHOT     = 1 << 2,   /* writes go to a scratch file, which bdrv_close() removes */
    BDRV_O_NOCACHE      = 1 << 3,   /* O_DIRECT */
    BDRV_O_NO_FLUSH     = 1 << 4,   /* flush does nothing: for images that may be lost */
    BDRV_O_NO_LOCK      = 1 << 5,   /* do not lock files against other programs */
    BDRV_O_WRITETHROUGH = 1 << 6,   /* every write is flushed before it is reported done */
    BDRV_O_UNMAP        = 1 << 7,   /* discards and BDRV_REQ_MAY_UNMAP give space back; ignored without it */
    BDRV_O_NO_BACKING   = 1 << 8,   /* open no backing: bytes that only the backing has read as zeroes */
    BDRV_O_CHECK        = 1 << 9,   /* for bdrv_check() only: opens images that are too damaged to be opened otherwise.
                                     * Such an image may have a size of 0. bdrv_check() opens the backing itself, and
                                     * does not ask the resolver */
    BDRV_O_SALVAGE      = 1 << 11,  /* read as much of a damaged image as possible, and do not write to it: the option
                                     * salvage=on of the drivers that have it. Other drivers ignore the flag */
    BDRV_O_PROBE_QEMU   = 1 << 10,  /* BDRV_O_PROBE as QEMU does it: look at the first bytes only, and allow writes to
                                     * an image whose format was guessed. A disk guessed to be raw has a warning, and
                                     * writes that would make it look like another format fail with -EPERM */
};

/* Set or clear the flags above that @mode stands for, in QEMU's words: writeback, writethrough, none, directsync,
 * unsafe; or "killsafe", which is BDRV_O_WRITETHROUGH | BDRV_O_NO_FLUSH: a write is reported done when it is in the
 * host's page cache, so a killed process loses no write, and no write waits for the disk. A power cut may spoil the
 * image, as with unsafe. Returns false and leaves *@flags if @mode is another word. */
bool bdrv_parse_cache_mode(const char *mode, unsigned *flags);

/* Open an image. @options: "driver=vpc,file.driver=blkdebug,file.image.filename=a.vhd"; a comma in a value is doubled;
 * NULL: no options. @filename is the file of the lowest node; NULL if @options name it. It may also stand for options:
 * "json:{…}", or a name that begins with a driver's prefix, such as "nbd://…". A program that opens files named by
 * others passes the option "file.filename=…" instead, whose value is always a path. Where @filename and @options both
 * set an option, @options counts. On failure the text in @errp does not repeat @filename. */
BlockDriverState *bdrv_open(const char *filename, const char *options, unsigned flags, GError **errp);

/* Make an image: "driver=vpc,size=10G,subformat=fixed". Before the library empties an existing file, it checks all
 * options, also those of the nodes below, opens and locks the file with them, and checks that the file can have the
 * length of the new image, as far as that is known. If a write fails later (the disk may be full), the old contents are
 * lost and the file is left empty. A file that did not exist is removed again. */
bool bdrv_create(const char *filename, const char *options, GError **errp);

/* Flush, then close @bs with all of its nodes, also if the flush failed. 0, or -errno of the flush: written data may
 * not have reached the disk. @bs may be NULL. No other thread may be using @bs. */
int bdrv_close(BlockDriverState *bs);

/* Functions of the program in place of a file. The library may call them from several threads at once. Each one moves
 * all @bytes and returns 0, or returns -errno. Any other number, such as the count that pread() returns, makes the
 * request fail with -EIO and a warning that names the number. Offsets have any alignment. Reads and writes are inside
 * the size: the library calls truncate() before it writes past the end. */
typedef struct BlockStorage {
    int64_t size;                   /* of the storage when it is opened */
    void *user;                     /* passed to every function */
    int (*read)(void *user, int64_t offset, void *buf, int64_t bytes);
    int (*write)(void *user, int64_t offset, const void *buf, int64_t bytes);  /* NULL: read-only */
    int (*flush)(void *user);                   /* NULL: nothing to do */
    int (*truncate)(void *user, int64_t size);  /* new bytes read as zeroes. NULL: the size is fixed */
} BlockStorage;

/* Do as bdrv_open() and bdrv_create(), on @storage, which is copied; @storage->user must outlive the image */
BlockDriverState *bdrv_open_storage(const BlockStorage *storage, const char *options, unsigned flags,
                                    GError **errp);
bool bdrv_create_storage(const BlockStorage *storage, const char *options, GError **errp);

/* What a warning is about, for programs. These numbers and words do not change; new ones may be added.
 * miniblk-drivers(7) lists the codes */
typedef enum BlockWarningKind {     /* the code is... */
    BDRV_WARNING_FAULT,         /* the one that bdrv_check() has for this fault of the image, as "F1" */
    BDRV_WARNING_IO,            /* "IO": a part of the file that is not needed to open the image could not be read */
    BDRV_WARNING_GUESS,         /* "guess": the format was guessed, and may be another */
    BDRV_WARNING_SIZE,          /* "size": the disk has another size than was asked for, or some reader sees another */
    BDRV_WARNING_GEOMETRY,      /* "geometry": readers that go by the geometry see less of the disk */
    BDRV_WARNING_CREATOR,       /* "creator": the creator was changed, or readers go by another size for this one */
    BDRV_WARNING_READER,        /* "reader": some reader refuses this image */
    BDRV_WARNING_SPLIT,         /* "split": the image is read from several files */
    BDRV_WARNING_SALVAGE,       /* "salvage": a part of the image is read by a guess, or cannot be read */
    BDRV_WARNING_PARENT,        /* "parent": a child has no parent to be written with */
    BDRV_WARNING_IGNORED,       /* "ignored": an option is without effect here */
    BDRV_WARNING_EMPTIED,       /* "emptied": an image could not be made, and its file is empty now */
    BDRV_WARNING_STALE,         /* "stale": a device or an export holds bytes of an older image, or held them */
    BDRV_WARNING_ROOM,          /* "room": there is no place for a new block */
    BDRV_WARNING_LEFTOVER,      /* "leftover": unused but harmless bytes were left in the file */
    BDRV_WARNING_GROW,          /* "grow": a format below a format could not be made longer */
    BDRV_WARNING_CUT,           /* "cut": another program has made the file shorter */
    BDRV_WARNING_LOCK,          /* "lock": the file is not locked against other programs */
    BDRV_WARNING_DRIVER,        /* "driver": a driver, or the program's own storage, broke its contract */
    BDRV_WARNING_BLKDEBUG,      /* "blkdebug": a rule waits for what never happens */
    BDRV_WARNING_MORE,          /* "more": there were more warnings than are kept */
} BlockWarningKind;

typedef struct BlockWarning {
    BlockWarningKind kind;
    const char *code;           /* in words, as tools print it in JSON */
    const char *text;           /* for people. That of an image behind this one begins with "parent 'FILENAME': " */
} BlockWarning;

typedef struct BlockCreateArgs {
    const char *filename;           /* as for bdrv_create() */
    const BlockStorage *storage;    /* used instead of a file; NULL: none */
    const char *options;
    /* Called with each warning, such as a size that some reader will refuse or see in part. A warning about options
     * comes before the file is made. NULL: warnings are dropped */
    void (*warn)(void *user, const BlockWarning *warning);
    void *user;
    /* Of preallocation, in bytes. If it is cancelled, a new file is removed again, and an old one is empty. NULL: not
     * called */
    BlockProgress *progress;
    /* Make a differencing image over this open image, of the same driver or raw, which needs no name: it may be in
     * storage of the program's. It stays the caller's, and open. The new image remembers its unique id; of its names
     * the option backing_file, or else its filename; without any name, a BlockResolver or the option "backing" has to
     * find it. Requests may run on it meanwhile; bdrv_close(), bdrv_amend(), bdrv_rebase() and changes of its length
     * may not, also in warn(). NULL: the options name the backing, or there is none. Error codes: ENOTSUP: images of
     * the driver have no backings; EINVAL: the new image would be written over it, or over an image behind it */
    BlockDriverState *backing;
} BlockCreateArgs;

/* Make an image, in a file or a storage */
bool bdrv_create_with(const BlockCreateArgs *args, GError **errp);

/* The question to find(): which image is the backing of @overlay? @names and @places are copied from the image file, so
 * a hostile image can put anything there. */
typedef struct BlockBackingQuery {
    const char *overlay;            /* filename of the image whose backing is wanted; "" if it has none */
    const BlockStorage *storage;    /* the program's storage that holds the overlay; NULL: it is in a file */
    unsigned depth;                 /* of the backing: 1 for the backing of the image that is opened, 2 for the backing
                                     * of that one. The scratch file of BDRV_O_SNAPSHOT does not count */
    const char *uuid;               /* unique id of the backing, as "01234567-89ab-cdef-0123-456789abcdef"; NULL:
                                     * the image gives none, its backing is raw */
    const char *const *names;       /* names of the backing in the overlay, without folders, */
    const char *const *places;      /* and the paths of these names, in the order of trying. Both end in NULL */
} BlockBackingQuery;

typedef struct BlockBackingAnswer BlockBackingAnswer;

/* Offer an image as the backing; find() calls it. @driver NULL: the overlay's driver. The library copies the arguments;
 * @storage->user must outlive the image, or, if opening fails, the call of bdrv_open_with(). */
void bdrv_offer_file(BlockBackingAnswer *answer, const char *filename, const char *driver);
void bdrv_offer_storage(BlockBackingAnswer *answer, const BlockStorage *storage, const char *driver);

/* The program's search for backings. The library calls find() once for each image of the chain, in the thread that
 * calls bdrv_open_with(), before it looks at any place that the image names. It does not call find() if options name
 * the backing, or if the driver of the image was only guessed. find() makes any number of offers. The library tries
 * them in this order, and the first one that fits is the backing. It fits if it has the unique id that the overlay
 * expects (unless "ignore-parent-id" is on), is none of the images above it in the chain, is a regular file or a block
 * device, and is inside "parent-root", if that option is given. Other files are not opened. If no offer fits: after
 * true the library looks at the places that the image names; after false opening fails. */
typedef struct BlockResolver {
    void *user;                     /* passed to find() */
    bool (*find)(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer);
} BlockResolver;

typedef struct BlockOpenArgs {
    const char *filename;           /* as for bdrv_open() */
    const BlockStorage *storage;    /* used instead of a file; NULL: none */
    const char *options;
    unsigned flags;
    const BlockResolver *resolver;  /* asked for backings; NULL: backings are where images say */
} BlockOpenArgs;

/* Open an image, in a file or a storage */
BlockDriverState *bdrv_open_with(const BlockOpenArgs *args, GError **errp);

/* A request moves all of its bytes or fails. Its range lies inside bdrv_getlength(); a read or write has at most
 * BDRV_MAX_BYTES.
 *
 * Requests that overlap and run at the same time take effect, byte by byte, in some order that all readers of this byte
 * agree on; two bytes may have different orders. A request made after another one was reported done comes after it. No
 * request takes effect twice. An aligned sector of 512 bytes has a single order if the storage writes sectors whole:
 * disks do, but a host's page cache may not while the sector is read.
 * If bdrv_truncate() makes the disk shorter while a request waits for it, bytes outside fail with -EIO. */
#define BDRV_MAX_BYTES ((int64_t)0x7fffffff & -512)

enum {
    BDRV_REQ_FUA       = 1 << 0,    /* writes and zeroes: on stable storage before they are reported done */
    BDRV_REQ_MAY_UNMAP = 1 << 1,    /* zeroes: may give the space back, see BDRV_O_UNMAP; no effect on writes */
    BDRV_REQ_NO_FALLBACK = 1 << 2,  /* zeroes: fail with -ENOTSUP rather than write them out; no effect on writes */
};

int bdrv_pread(BlockDriverState *bs, int64_t offset, void *buf, int64_t bytes, unsigned flags);
int bdrv_pwrite(BlockDriverState *bs, int64_t offset, const void *buf, int64_t bytes, unsigned flags);
int bdrv_preadv(BlockDriverState *bs, int64_t offset, const struct iovec *iov, int niov, unsigned flags);
int bdrv_pwritev(BlockDriverState *bs, int64_t offset, const struct iovec *iov, int niov, unsigned flags);

/* Write zeroes, up to the end of the disk in one call. Holes stay holes. */
int bdrv_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags);

/* Discard bytes: their contents are no longer needed. Each byte is zero afterwards, or keeps its value. Does nothing
 * without BDRV_O_UNMAP. */
int bdrv_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes);

/* Put all writes that were reported done before the call on stable storage, also writes of other programs to the files
 * before @bs was opened. If the image is open for reading only, return 0 and do nothing.
 *
 * If the process is killed without a flush, a raw, fixed or dynamic image loses nothing. A differencing image may lose
 * the writes since the last flush. The option "flush-after" makes the library flush: "flush-after=16M" when 16 MiB
 * were written since the last flush, "flush-after=5s" at the first request that comes 5 seconds after the first write
 * that no flush covers. The library has no thread for that: while no request comes, it does not flush. */
int bdrv_flush(BlockDriverState *bs);

typedef struct BlockStatus {
    int64_t bytes;              /* the answer is for so many bytes, from the offset of the call */
    bool zero;                  /* reads as zeroes */
    bool data;                  /* has a place in storage, even if that is a hole. Neither zero nor data: not known */
    bool here;                  /* the bytes are in this image, not in a backing */
    unsigned depth;             /* of the image that has the bytes: 0 this image, 1 its backing, and so on */
    BlockDriverState *leaf;     /* the node that has the bytes, for bdrv_get_filename(); NULL: none */
    int64_t leaf_offset;        /* offset of the bytes in the file of @leaf */
} BlockStatus;

enum {
    BDRV_STATUS_WANT_ZERO = 1 << 0, /* look for holes inside blocks that have a place, too; may ask the file system */
};

/* Describe [@offset, @offset + @bytes), or the first st->bytes of it. On failure, if st->bytes is not 0, none of the
 * first st->bytes can be read */
int bdrv_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);

int64_t bdrv_getlength(BlockDriverState *bs);           /* bytes, as the guest sees the disk */
bool bdrv_is_read_only(BlockDriverState *bs);
/* Change an open image between reading and writing, without a moment in which it is closed or not locked. This waits
 * until nobody else is inside the image. Backings stay as they are. To read only: the image is flushed, and gives back
 * the room that bdrv_close() gives back. For writing: it is judged as by bdrv_open() with BDRV_O_RDWR, and the option
 * read-only, or a guess of the format, keeps it from being written to. True also if nothing had to change. False and
 * @errp set: the image is open as it was. Error codes, beside those of bdrv_open() and bdrv_flush(): ENOTSUP: a driver
 * of the image cannot change; EAGAIN: another program uses the file, or has changed it in spite of the lock */
bool bdrv_set_read_only(BlockDriverState *bs, bool read_only, GError **errp);
const char *bdrv_get_driver_name(BlockDriverState *bs);
const char *bdrv_get_filename(BlockDriverState *bs);    /* of the lowest file; "" if it has none */
/* Return the backing of @bs: the image that has the bytes which @bs does not have; NULL: none. It may be given to
 * bdrv_get_info() and the functions above. bdrv_close() and bdrv_rebase() of @bs close it. */
BlockDriverState *bdrv_get_backing(BlockDriverState *bs);

/* Change the length of the disk to @size. If the format cannot have this size, the disk becomes a little longer, with
 * a warning. Added bytes read as zeroes. If the call fails or the process is killed, the disk has the old length or
 * the new one, and the call can be repeated. */
bool bdrv_truncate(BlockDriverState *bs, int64_t size, GError **errp);

typedef enum BlockPreallocation {
    BDRV_PREALLOC_OFF,          /* leave a hole */
    BDRV_PREALLOC_FALLOC,       /* reserve the space in the file */
    BDRV_PREALLOC_FULL,         /* write zeroes */
} BlockPreallocation;

/* Do as bdrv_truncate(), and preallocate the added bytes. If @how is not BDRV_PREALLOC_OFF, @size must not be smaller
 * than the present length. If there is not enough space, the disk has its old length afterwards */
bool bdrv_grow(BlockDriverState *bs, int64_t size, BlockPreallocation how, GError **errp);

typedef struct BlockResizeOptions {
    BlockPreallocation preallocation;   /* as for bdrv_grow() */
    const char *options;        /* for the driver, "key=value,…", see miniblk-drivers(7); NULL: none */
    /* In bytes that are moved or preallocated. There may be several such works, and each begins again at 0. Cancelled,
     * the disk has its old length. A disk that was made shorter has its new length already when blocks are moved to the
     * front of the file: if that is cancelled, the call succeeds, and warns that space was not given back. NULL: not
     * called */
    BlockProgress *progress;
    void *user;
} BlockResizeOptions;

/* Do as bdrv_grow(), with @how, which may be NULL: all of it 0 */
bool bdrv_resize(BlockDriverState *bs, int64_t size, const BlockResizeOptions *how, GError **errp);

typedef struct BlockCopyOptions {
    unsigned workers;           /* threads; 0: two */
    bool unordered;             /* write pieces as soon as they are read: faster, but the order of blocks varies */
    int64_t sparse;             /* runs of zeroes that are shorter are written as data; 0: 4096; -1: all are */
    bool target_is_zero;        /* @to is known to read as zeroes: zeroes are not written */
    int64_t from_offset, to_offset;     /* where the copy begins in each of them */
    int64_t bytes;              /* how many bytes to copy; 0: up to the end of @from */
    /* If salvage() is set: sectors of 512 bytes that cannot be read become zeroes, and salvage() is called for each
     * range of them, from front to back. In the first pass @doing is "reading block status"; such a range may still
     * be readable, and is read unless its status rules that out. In the second pass @doing is "reading". @err is an
     * errno number. There is one worker only */
    void (*salvage)(void *user, const char *doing, int64_t offset, int64_t bytes, int err);
    /* In bytes of data; while those are counted, @done is 0 and @total grows. Cancelled, @to has a part of them. NULL:
     * not called */
    BlockProgress *progress;
    void *user;
} BlockCopyOptions;

/* Copy @from to @to: all of it to the start, or the ranges in @opts. @to must be long enough (else ENOSPC). @opts may
 * be NULL. @from and @to may be one image, or in one file, if the two ranges do not overlap there (else EINVAL). */
bool bdrv_copy(BlockDriverState *from, BlockDriverState *to, const BlockCopyOptions *opts, GError **errp);

/* Return whether @bytes at @start of @from, and @bytes at @at of @to, lie apart in the files of the lowest nodes. False
 * with @errp set if they overlap, or if a format may have its tables there. */
bool bdrv_lie_apart(BlockDriverState *from, int64_t start, BlockDriverState *to, int64_t at, int64_t bytes,
                    GError **errp);

/* Write the data of @bs, and of the images between, into the backing at depth @depth (1: the backing of @bs, 2: the
 * backing of that one). This backing must be open for writing ("backing.read-only=off"). Afterwards the images between,
 * and other children of this backing, read differently. @bs itself is not changed, so the call can be repeated after an
 * interruption. @progress counts bytes of the disk, and may be NULL; cancelled, the backing has a part of the data, and
 * @bs reads as before. */
bool bdrv_commit(BlockDriverState *bs, unsigned depth, BlockProgress *progress, void *user, GError **errp);

typedef struct BlockRebaseOptions {
    const char *driver;         /* of the new backing; NULL: vpc */
    const char *options;        /* to open the new backing, as for bdrv_open(); NULL: none */
    bool names_only;            /* the backing was moved: change only its names in @bs, and compare and copy nothing.
                                 * @bs may be open with BDRV_O_NO_BACKING */
    BlockProgress *progress;    /* in bytes of the disk; cancelled, @bs has its old backing. NULL: not called */
    void *user;
} BlockRebaseOptions;

/* Give @bs another backing: @backing is a path, relative to the folder of the image; NULL: no backing, the image stands
 * alone. Bytes that would read differently are first copied from the old backing into @bs, so that the disk reads the
 * same at every moment. After an interruption the call can be repeated. @opts may be NULL. After a failure this handle
 * keeps the old backing; open the image again to see which backing the file names. */
bool bdrv_rebase(BlockDriverState *bs, const char *backing, const BlockRebaseOptions *opts, GError **errp);

/* Change fields of the image in place: its unique id, creator, time or geometry. @options are those options of
 * bdrv_create() that the driver can change. The children of an image find it by its unique id: after a change of the id
 * they do not find it any more, and the library cannot list them. On success the change is on stable storage. After a
 * failure, open the image again to see its fields. ENOTSUP: the driver cannot change any field. */
bool bdrv_amend(BlockDriverState *bs, const char *options, GError **errp);

/* For tests: stop a request at an event, and let it go on later. The image must have a blkdebug node; the first one
 * from the root down is used. @event is one of its events, @tag any name. A stopped request stays inside the image, and
 * other requests may have to wait for it. These functions may be called while requests run. 0, or -ENOTSUP: there is no
 * blkdebug node, or the event never happens; -ENOENT: there is no such event, or tag. */
int bdrv_debug_breakpoint(BlockDriverState *bs, const char *event, const char *tag);    /* stops the next request */
int bdrv_debug_resume(BlockDriverState *bs, const char *tag);   /* if there are several: the latest breakpoint */
int bdrv_debug_remove_breakpoint(BlockDriverState *bs, const char *tag);    /* all of @tag; stopped requests go on */
bool bdrv_debug_is_suspended(BlockDriverState *bs, const char *tag);        /* is a request stopped there? */

typedef enum BlockGeometryOrigin {
    BDRV_GEOMETRY_IMAGE,        /* the image says so, as the footer of a VHD does */
    BDRV_GEOMETRY_PARTITIONS,   /* the partition table of the disk was written for it */
    BDRV_GEOMETRY_SIZE,         /* neither says anything: 16 heads and 63 sectors, and cylinders by the size */
} BlockGeometryOrigin;

/* Cylinders, heads and sectors of 512 bytes a track. Their product need not be the length of the disk: it may be
 * smaller by any amount (a geometry cannot say large sizes), and larger, too, where an image or its partition table
 * says so or the disk is shorter than 2 x 16 x 63 sectors. Requests are bound by bdrv_getlength() alone */
typedef struct BlockGeometry {
    BlockGeometryOrigin origin;     /* of the next three */
    int cylinders;              /* 1 to 65535; not of BDRV_GEOMETRY_IMAGE: to 16383 */
    int heads;                  /* 1 to 255; not of BDRV_GEOMETRY_IMAGE: to 16, as an ATA disk tells its own */
    int sectors;                /* 1 to 255; not of BDRV_GEOMETRY_IMAGE: to 63 */
    /* With these the BIOS counted that wrote the partition table, whatever the origin is. All 0: there is no table, or
     * it does not tell. More than 16 heads: the BIOS translated */
    int bios_cylinders;         /* 1 to 16383 */
    int bios_heads;             /* 2 to 256 */
    int bios_sectors;           /* 1 to 63 */
} BlockGeometry;

/* Find the geometry that a disk controller shows to the guest. What the image says comes first (filters, overlays of
 * BDRV_O_SNAPSHOT and raw nodes say what the image below says, if they show all of it), then the partition table (MBR)
 * in the first sector, which is read; then the size. Runs beside requests, as a read does. 0, or -errno of that read;
 * *@geometry is all 0 then. */
int bdrv_get_geometry(BlockDriverState *bs, BlockGeometry *geometry);

/* One fact about an image. Keys have lower case letters and '-', as in QEMU's JSON. */
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
    int64_t actual_size;        /* bytes that the file occupies; -1: not known */
    int64_t cluster_size;       /* unit of allocation; 0: none */
    int probe;                  /* 0: the driver was named; else the score of the guess, 1 to 100 */
    uint64_t io_errors;         /* number of requests that failed since the image was opened; */
    int io_errno;               /* of the first of them: its errno number, */
    int64_t io_offset;          /* its offset, */
    const char *io_operation;   /* and its kind: "read", "write", "flush" …; NULL: none failed */
    int count;
    const BlockInfoItem *items; /* @count facts that the driver adds */
} BlockInfo;

BlockInfo *bdrv_get_info(BlockDriverState *bs, GError **errp);   /* NULL and @errp set on failure */
void bdrv_info_free(BlockInfo *info);
const BlockInfoItem *bdrv_info_find(const BlockInfo *info, const char *key);    /* NULL if it has none */

/* How serious a finding is */
typedef enum BlockCheckLevel {
    BLOCK_CHECK_NOTE,           /* unusual, but harmless */
    BLOCK_CHECK_LEAK,           /* space in the file that no block or table uses */
    BLOCK_CHECK_CORRUPTION,     /* data is lost, or may be lost later */
    BLOCK_CHECK_ERROR,          /* a part of the file could not be read, and was not checked */
} BlockCheckLevel;

typedef struct BlockCheckCase {
    const char *text;           /* describes the case, with the numbers */
    int64_t offset;             /* in the file; -1: it has no place */
    int64_t cluster;            /* number of the cluster or block; -1: of none */
} BlockCheckCase;

/* All findings of one kind */
typedef struct BlockFinding {
    const char *code;           /* for programs: it does not change; miniblk-drivers(7) lists the codes */
    BlockCheckLevel level;
    const char *name;           /* of the kind of damage, in a few words */
    const char *advice;         /* what a repair does, or what a user can do; NULL: nothing has to be done */
    unsigned fix;               /* the BDRV_CHECK_FIX_… that repairs it; 0: none, or others must be repaired first */
    int64_t count;              /* how many there are now */
    int64_t fixed;              /* how many were repaired */
    int cases_count;
    const BlockCheckCase *cases;    /* the first few of them */
} BlockFinding;

/* The result of a check. Clusters, or blocks, are the format's unit of allocation */
typedef struct BlockCheck {
    int64_t image_end_offset;   /* bytes behind it are not used; 0: not known */
    int64_t total_clusters, allocated_clusters, fragmented_clusters;    /* 0 if the format has no clusters */
    int64_t notes, leaks, corruptions, errors;                  /* findings that are there now */
    int64_t notes_fixed, leaks_fixed, corruptions_fixed;        /* findings that were repaired */
    int count;
    const BlockFinding *findings;   /* @count of them, in the order of repairs */
} BlockCheck;

enum {
    BDRV_CHECK_FIX_LEAKS  = 1 << 0,     /* give space back; no byte of the disk changes */
    BDRV_CHECK_FIX_ERRORS = 1 << 1,     /* repair what can be repaired; blocks that cannot be rescued are given up */
};

/* Check @bs, which must be open with BDRV_O_CHECK. @fix: repair findings of these kinds, too; @bs must then also be
 * open for writing. An interrupted repair leaves the image no worse than before, and can be repeated. NULL on failure;
 * error code ENOTSUP: the format has no checks. */
BlockCheck *bdrv_check(BlockDriverState *bs, unsigned fix, GError **errp);
/* Do as bdrv_check(), and call @progress with the number of clusters checked so far. After each kind of repair all
 * clusters are checked again, and the number starts again. Cancelled, whole kinds are repaired, or none. NULL: not
 * called */
BlockCheck *bdrv_check_telling(BlockDriverState *bs, unsigned fix, BlockProgress *progress, void *user, GError **errp);
void bdrv_check_free(BlockCheck *check);

/* Return the @n-th warning, from 0 on: about a fault that did not keep the image from being opened, or that explains an
 * -EIO. NULL after the last one. Any call may add warnings; there are at most 64. */
const char *bdrv_get_warning(BlockDriverState *bs, unsigned n);
/* Fill *@warning with that warning, for programs. False past the last one */
bool bdrv_get_warning_facts(BlockDriverState *bs, unsigned n, BlockWarning *warning);
/* Return its code only. NULL past the last one. miniblk-drivers(7) lists the codes */
const char *bdrv_get_warning_code(BlockDriverState *bs, unsigned n);

/* For all three @err may be NULL: no error */
const char *bdrv_error_message(const GError *err);      /* NULL: "no error" */
int bdrv_error_code(const GError *err);                 /* an errno number; NULL: 0 */
void bdrv_error_free(GError *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
