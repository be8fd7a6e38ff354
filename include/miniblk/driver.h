/* driver.h - write a block driver. See docs/writing-a-driver.md */
/* SPDX-License-Identifier: MIT
 *
 * A driver is a table, BlockDriver, of functions that the layer calls. docs/writing-a-driver.md explains each field,
 * with an example. Units, errors and owners are those of block.h; this page has what is different for a driver.
 *
 * UNITS
 *
 * Offsets count from the start of the node that a function gets, in bytes. BlockExtent.node_offset counts from the
 * start of the child.
 *
 * ERRORS
 *
 * Functions that return int return 0 or -errno (probe(), and status() and flush() with their 1, excepted). A function
 * with @errp that fails sets it with bdrv_set_error(). Only a format may return -EAGAIN, from map(), map_done(), read(),
 * write(), zero() and flush(): it means that nothing was changed by this call, or that a change stopped at a place that
 * the layer knows, and the layer makes the rest of the request again, alone. repair() has a meaning of its own for it.
 * The layer turns any other -EAGAIN, and any positive number, into -EIO.
 *
 * THREADS
 *
 * open(), open_backing(), close() and create() of a node run in one thread, with no other call on the node. Afterwards
 *   beside other calls         read(), write(), zero(), write_end() of a driver that is parallel; status(), info();
 *                              flush() of a protocol, and of a filter with no format below
 *   one at a time for a node   read(), write(), zero(), write_end() of a driver that neither is parallel nor has map();
 *                              map() and map_done(), under the node's map lock
 *   alone in the image         map() with BLOCK_MAP_EXCL; flush() of a format; write(), zero() and flush() of a filter
 *                              with a format below; truncate(), resize(), preallocate(), amend(), check(), repair(),
 *                              open_other_backing(), change_backing()
 *   at any time                probe(), suspect(), identify(), parse_name(), the functions of BlockDebug
 * "Alone" means that no other request is inside the image.
 *
 * WHAT A DRIVER CALLS
 *
 * On its children, bdrv_node_...(); from map(), map_done() and flush() also bdrv_meta_...(). Never the functions of
 * block.h on its own image: they would wait for the request that the driver is called for. bdrv_warn(),
 * bdrv_set_error() and bdrv_node_size() are allowed everywhere.
 *
 * OWNERS
 *
 * The layer allocates bs->state, zeroed, and frees it after close(). @opts, and strings in it, live until the function
 * returns: copy what is kept. The bytes of a BlockVec are the caller's; they are gone when the function returns. Text
 * given to bdrv_warn(), bdrv_info_text() and bdrv_check_found() is copied; codes, names and advice are not: they must be
 * constants.
 * A driver closes the nodes that it opened with bdrv_open_child(); the layer closes bs->file and bs->backing.
 */
#ifndef MINIBLK_DRIVER_H
#define MINIBLK_DRIVER_H

#include <stddef.h>
#include <miniblk/block.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* A part of an iovec that belongs to the caller. It is passed by value, and a slice of it needs no allocation.
 * iov NULL: @bytes zeroes, for bdrv_mapped_write() and bdrv_node_writev(); a driver's write() gets no such vector
 * unless it is bdrv_mapped_write(). */
typedef struct BlockVec {
    const struct iovec *iov;
    size_t skip;                /* into iov[0] */
    int64_t bytes;
} BlockVec;

BlockVec block_vec(const struct iovec *iov, int niov);
/* [@start, @start + @bytes) of @vec */
BlockVec block_vec_slice(BlockVec vec, int64_t start, int64_t bytes);
/* All of @vec to or from flat memory */
void block_vec_to_buf(BlockVec vec, void *buf);
void block_vec_from_buf(BlockVec vec, const void *buf);
void block_vec_zero(BlockVec vec);
/* The first @max pieces as plain iovecs; how many, and in *@bytes how long they are together */
int block_vec_iov(BlockVec vec, struct iovec *iov, int max, int64_t *bytes);

/* Where [@offset, @offset + @bytes) of a format's disk is: at @node_offset of another @node */
typedef struct BlockExtent {
    int64_t offset, bytes;
    BlockDriverState *node;     /* bs->file; for reading also bs->backing, or what bdrv_open_child() opened; NULL: the bytes
                                 * are nowhere, and read as zeroes */
    int64_t node_offset;
    unsigned flags;
} BlockExtent;

enum {
    BLOCK_EXTENT_NEW    = 1 << 0,   /* reserved for this write: the layer calls map_done() when the bytes are there */
    BLOCK_EXTENT_ZEROED = 1 << 1,   /* new, and already zero in the child: no need to fill the rest */
    BLOCK_EXTENT_WINDOW = 1 << 2,   /* the bytes are the child's, one to one: its holes are holes of this node */
};

enum {                              /* open()'s flags, beside BDRV_O_… */
    BLOCK_OPEN_TO_CREATE = 1 << 30, /* to see if create() would find the file, and all nodes above it, in order; it is
                                     * closed again, untouched */
};

enum {                              /* map()'s mode */
    BLOCK_MAP_WRITE = 1 << 0,       /* bytes will be written there: not a hole, not a backing */
    BLOCK_MAP_WAIT  = 1 << 1,       /* may wait for metadata to be read */
    BLOCK_MAP_EXCL  = 1 << 2,       /* nobody else is in this image: may allocate */
};

enum {                              /* zero()'s flags */
    BLOCK_ZERO_PUNCH   = 1 << 0,    /* give the space back if that can be done */
    BLOCK_ZERO_DISCARD = 1 << 1,    /* advice only: -ENOTSUP is a good answer */
    BLOCK_ZERO_NO_FALLBACK = 1 << 2,    /* BDRV_REQ_NO_FALLBACK: after -ENOTSUP the layer writes no zeroes */
};

/* The first and last bytes of what may be an image */
typedef struct BlockProbe {
    const uint8_t *head, *tail;     /* @len bytes each, zero padded; tail ends where the file ends */
    size_t len;
    int64_t size;
    const char *filename;           /* "" if there is none */
} BlockProbe;

#define BLOCK_PROBE_BYTES   2048        /* @len for probe() */
#define BLOCK_SUSPECT_BYTES (66 << 10)  /* and for suspect(), where the file can be read so far */

/* Identifies the file that a protocol opened: equal for two names of one file */
typedef struct BlockIdentity {
    uint64_t where, which;          /* as a file system and an inode; compared within one driver */
} BlockIdentity;

/* What the host says of a file that is open */
typedef struct BlockFileFacts {
    int64_t modified;               /* time of the last change of its contents, Unix time */
    char *path;                     /* absolute, without symbolic links; NULL: not known. free() it */
} BlockFileFacts;

/* One option of a driver, filled into its options struct by the layer.
 * Where it was not given and @def is "", a string is NULL, a number, enum or on-off -1, a bool false. */
typedef struct BlockOption {
    const char *name;               /* NULL ends the table */
    enum {
        BLOCK_OPT_STRING,           /* char * */
        BLOCK_OPT_SIZE,             /* int64_t: "10G" */
        BLOCK_OPT_INT,              /* int64_t */
        BLOCK_OPT_BOOL,             /* bool: on, off; a name alone is on */
        BLOCK_OPT_ENUM,             /* int: index into @values */
        BLOCK_OPT_LIST,             /* BlockOptionList: "name.0.key=…,name.1.key=…" */
        BLOCK_OPT_NODE,             /* char *: "name.key=…", all of another node's options, for bdrv_open_child() */
        BLOCK_OPT_ON_OFF,           /* int: as BOOL, 1 or 0, for a driver that wants to know whether it was given */
    } type;
    size_t at;                      /* offsetof the field in the driver's options struct */
    const char *def;                /* as the user would write it; "": may be left out; NULL: required */
    const char *const *values;      /* ENUM: the words, NULL-terminated */
    const struct BlockOption *items;/* LIST: the table of one item */
    size_t item_size;               /* LIST: sizeof the struct of one item */
    const char *help;               /* a phrase, no full stop */
} BlockOption;

typedef struct BlockOptionList {
    size_t count;
    void *items;                    /* @count structs of the item's type */
} BlockOptionList;

/* The longest file that is used. Sums and rounded values of offsets below it fit into an int64_t */
#define BLOCK_MAX_SIZE (INT64_MAX - (1 << 30) + 1)

typedef struct BlockInfoBuilder BlockInfoBuilder;
typedef struct BlockCheckBuilder BlockCheckBuilder;

/* One kind of thing that may be wrong with an image of a format */
typedef struct BlockCheckKind {
    const char *code;               /* stable; several rows may share one. NULL ends the table */
    BlockCheckLevel level;
    unsigned fix;                   /* the BDRV_CHECK_FIX_… that it takes for repair() to be called; 0: nobody can */
    bool stops;                     /* as long as there is one, nothing further down in the table is repaired */
    const char *name, *advice;      /* as in BlockFinding */
} BlockCheckKind;

/* What bdrv_debug_breakpoint() and its like do to a node; all are required, and are called at any time */
typedef struct BlockDebug {
    /* The layer changes a part of a unit of request_alignment, and is about to read the unit that a write begins in
     * ("pwritev_rmw_head") or ends in ("pwritev_rmw_tail"), or has ("pwritev_rmw_after_head", "…_after_tail") */
    void (*event)(BlockDriverState *bs, const char *event);
    int (*breakpoint)(BlockDriverState *bs, const char *event, const char *tag);
    int (*remove_breakpoint)(BlockDriverState *bs, const char *tag);
    int (*resume)(BlockDriverState *bs, const char *tag);
    bool (*is_suspended)(BlockDriverState *bs, const char *tag);
} BlockDebug;

/* A driver. Required: name, open, read; for a format map, for writing write (and commit, where
 * map may answer NEW). The rest is optional. Fields are only ever appended. */
typedef struct BlockDriver {
    const char *name;               /* "vpc": driver=vpc */
    const char *alias;              /* another name it answers to; NULL: none */
    const char *description;
    bool is_protocol;               /* has bytes of its own: opens a filename, not a child */
    bool parallel;                  /* read, write and zero may run at once (mapped drivers: ignored) */
    const char *file_key;           /* the options of its child are "KEY.…"; NULL: "file" */
    size_t state_size;              /* bs->state: allocated zeroed, freed by the layer */
    size_t open_size, create_size, amend_size;  /* sizeof the structs that the option tables fill */
    const BlockOption *open_options, *create_options, *amend_options;

    /* How sure is the driver that the image is its own, 0 to 100? Only looks at @probe */
    int (*probe)(const BlockProbe *probe);
    /* Called where no driver's probe() knows an image, which is about to be taken for a raw disk. If it looks like a
     * damaged one of yours, say how, as a clause that follows "though"; the layer will free() it. NULL: it does not */
    char *(*suspect)(const BlockProbe *probe);
    /* bs->file is open (unless a protocol); set bs->size; @opts is your options struct, gone when
     * open returns. On failure the layer calls close() */
    bool (*open)(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp);
    /* Change what the image says of itself, by @opts, a struct that amend_options fill. Called alone in the image */
    bool (*amend)(BlockDriverState *bs, const void *opts, GError **errp);
    /* After open(): if bytes of this image are in another one, open that as bs->backing with
     * bdrv_open_backing(). Not called with BDRV_O_NO_BACKING */
    bool (*open_backing)(BlockDriverState *bs, GError **errp);
    /* @offset and @vec are inside the node's size, 0 < vec.bytes, aligned to bs->request_alignment. Where a filter
     * has a format below, its write(), zero() and flush() are called alone in the image. Only a format may answer
     * -EAGAIN, with what map() or bdrv_mapped_write() said; the layer makes -EIO of another's */
    int (*read)(BlockDriverState *bs, int64_t offset, BlockVec vec);
    int (*write)(BlockDriverState *bs, int64_t offset, BlockVec vec);
    /* Write back what you keep in memory, alone in the image; the layer then flushes your children.
     * A protocol: what was written is on stable storage. A filter may return 1: the child is not to be flushed */
    int (*flush)(BlockDriverState *bs);
    /* Free what bs->state holds, also after an open() that failed half-way; children are still open */
    void (*close)(BlockDriverState *bs);
    /* open()'s twin. Check @opts first, then bdrv_create_file(), then leave a valid image in bs->file: before it
     * empties a file, the layer opens what is there with all options of all nodes below.
     * A protocol: make the file, empty, and close it again; an existing one keeps its contents if this fails */
    bool (*create)(BlockDriverState *bs, const void *opts, GError **errp);

    /* Formats: see the ten rules in docs/writing-a-driver.md. With -EIO, *@ext may say how far that reaches; the layer
     * hands it over zeroed where it wants to know */
    int (*map)(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext);
    int (*map_done)(BlockDriverState *bs, const BlockExtent *ext);

    /* Fill *@st for the first st->bytes of [@offset, @offset + @bytes), with @flags of bdrv_block_status(), and return
     * 0; or return 1: st->leaf, a child, is to be asked for st->bytes at st->leaf_offset; or -errno, and st->bytes
     * says how far that reaches, 0: not known. Formats: bdrv_mapped_status(). Filters: bdrv_filter_status() where the
     * child's zeroes are zeroes here, too. Without this callback all is data */
    int (*status)(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);
    /* Formats: bdrv_mapped_zero(). -ENOTSUP: the layer writes zeroes instead */
    int (*zero)(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags);
    /* With request_alignment, where a file may end in mid-unit: write() for a @vec that ends there, where the
     * file ends or shall end. Only @offset is aligned, and the file must not come out longer */
    int (*write_end)(BlockDriverState *bs, int64_t offset, BlockVec vec);
    /* Protocols: remove the file again, after a create that failed */
    void (*remove)(BlockDriverState *bs);

    /* Anyone */
    bool (*truncate)(BlockDriverState *bs, int64_t size, GError **errp);
    /* Protocols: the identity of what is open here, of bdrv_get_place() if that is set or, with @bs NULL, of what would
     * be open by the name @filename. False: not known. Without it a backing may be opened that leads to itself, down to
     * the depth allowed */
    bool (*identify)(BlockDriverState *bs, const char *filename, BlockIdentity *id);
    bool (*info)(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp);
    const BlockDebug *debug;        /* stops requests where a test wants it; NULL: can't */

    /* Formats, to have their backing changed. As open_backing() another image, @filename as from this one's
     * folder; it is returned and not made bs->backing */
    BlockDriverState *(*open_other_backing)(BlockDriverState *bs, const char *filename, GError **errp);
    /* The backing is @backing from now on, NULL: none; the layer then makes it bs->backing. Alone, under the map
     * lock, with nothing dirty. After a cut at any moment the image has the old one or the new one */
    bool (*change_backing)(BlockDriverState *bs, BlockDriverState *backing, GError **errp);

    /* Formats, with BDRV_O_CHECK. What may be wrong, in the order in which it is safe to repair */
    const BlockCheckKind *check_kinds;
    /* Look, do not touch: bdrv_check_found() for all that is wrong, and fill @check as far as its clusters. False if
     * the image can't be made out at all. Alone in the image, as repair() */
    bool (*check)(BlockDriverState *bs, BlockCheck *check, BlockCheckBuilder *found, GError **errp);
    /* Put right all that the last check() found of this kind, an index into the table: the layer flushes, and
     * calls check() again. After a cut at any write the image is no worse than before, and a check finds what
     * is left to do. 0 or -errno; -EAGAIN: something that check() could not read can be read now, and nothing was
     * changed */
    int (*repair)(BlockDriverState *bs, int kind);

    /* Names of images that begin with one of these and a colon are this driver's; NULL after the last. parse_name()
     * gives the options that one stands for, "key=value,…", which the layer will free(); *@rest: the name of the
     * child, in @name, if there is one */
    const char *const *prefixes;
    char *(*parse_name)(const char *name, const char **rest, GError **errp);

    /* Formats whose disk is a window on a file: see that [@offset, @offset + @bytes), which are new and zero, have
     * a place in storage, by bdrv_node_preallocate(); @bytes 0: could that be done? Only after truncate(), and in
     * the same way alone */
    bool (*preallocate)(BlockDriverState *bs, int64_t offset, int64_t bytes, bool full, GError **errp);

    /* Protocols whose filenames are paths: fill *@facts. False: the host can't tell */
    bool (*get_facts)(BlockDriverState *bs, BlockFileFacts *facts);

    /* Do as truncate(), by @opts, a struct of resize_size bytes that resize_options fill */
    const BlockOption *resize_options;
    size_t resize_size;
    bool (*resize)(BlockDriverState *bs, int64_t size, const void *opts, GError **errp);
} BlockDriver;

struct BlockDriverState {
    const BlockDriver *drv;
    void *state;                    /* drv->state_size bytes, zeroed before open() */
    char *filename;                 /* of the lowest file; "" if it has none. Set by the layer; a protocol's
                                     * create() may set its own, for remove() */
    unsigned flags;                 /* BDRV_O_… as this node was opened */
    int64_t size;                   /* bytes. Set it in open() and truncate(); the layer keeps it true as
                                     * a protocol's file grows. Elsewhere read it with bdrv_node_size() */
    int64_t request_alignment;      /* power of two: read() and write() want offset, length and memory so
                                     * aligned, and the layer sees to it. 0 and 1: any. Set it in open() */
    BlockDriverState *file, *backing;
    struct BlockPrivate *priv;       /* the layer's own */
    bool fixed_length;              /* it never grows: writes past the end fail with ENOSPC. Set it in open() */
    bool needs_flush;               /* flush() has more to do than to write dirty pages. A format sets it where that comes
                                     * up, under the map lock, and clears it when it is done */
};

/* A format's read(), write(), zero() and status(): the layer moves the bytes, map() says where they are. -EAGAIN is
 * for the layer, which knows how far the write came and has the rest made again, alone: a write() that calls this one
 * hands it on at once. They go as far as map() does, also past bs->size: a truncate() may call them for bytes that are
 * not yet part of the disk */
int bdrv_mapped_read(BlockDriverState *bs, int64_t offset, BlockVec vec);
int bdrv_mapped_write(BlockDriverState *bs, int64_t offset, BlockVec vec);
int bdrv_mapped_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags);
int bdrv_mapped_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);
/* A filter's status(): what the child answers is true here, too */
int bdrv_filter_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);

/* For drivers, on their children: requests of any alignment; reads past the end give zeroes, writes
 * past the end make a file grow. 0 or -errno */
int bdrv_node_readv(BlockDriverState *node, int64_t offset, BlockVec vec);
int bdrv_node_writev(BlockDriverState *node, int64_t offset, BlockVec vec);
int bdrv_node_pread(BlockDriverState *node, int64_t offset, void *buf, int64_t bytes);
int bdrv_node_pwrite(BlockDriverState *node, int64_t offset, const void *buf, int64_t bytes);
int bdrv_node_zero(BlockDriverState *node, int64_t offset, int64_t bytes, unsigned flags);
int bdrv_node_flush(BlockDriverState *node);
int bdrv_node_status(BlockDriverState *node, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);
bool bdrv_node_truncate(BlockDriverState *node, int64_t size, GError **errp);
bool bdrv_node_preallocate(BlockDriverState *node, int64_t offset, int64_t bytes, bool full, GError **errp);
int64_t bdrv_node_size(BlockDriverState *node);
bool bdrv_node_can_grow(BlockDriverState *node);        /* is neither it nor what is below of a fixed length? */

/* In a protocol's open(): the file that was found by the name filename, and that is to be opened whatever has this name
 * by now. An O_PATH descriptor of a regular file or block device, the layer's own; -1: open what has the name */
int bdrv_get_place(BlockDriverState *bs);
/* What the host says of the file at the bottom of @node. False: it is none */
bool bdrv_get_file_facts(BlockDriverState *node, BlockFileFacts *facts);

/* In create(): make the file below, empty, and open it as bs->file */
bool bdrv_create_file(BlockDriverState *bs, GError **errp);
/* What is known of a file before it is made */
typedef struct BlockFilePlan {
    int64_t bytes;              /* it is going to be at least so long: if it can't be, an existing one is not emptied */
    int64_t extent_size_hint;   /* bytes that the file system is asked to allocate at once; 0: it is not asked */
} BlockFilePlan;
/* The same with a plan. The file may have its length now, of zeroes */
bool bdrv_create_file_for(BlockDriverState *bs, const BlockFilePlan *plan, GError **errp);

/* In open(): open a node of the driver's own beside bs->file, by @options, as a BLOCK_OPT_NODE has them; with
 * no driver= among them it is a file. @flags: BDRV_O_…. The driver flushes it, and close() closes it */
BlockDriverState *bdrv_open_child(BlockDriverState *bs, const char *options, unsigned flags, GError **errp);
/* In open(): put a node of @driver, with its default options, between this one and bs->file. On failure there is no
 * bs->file, and open() is to fail, too */
bool bdrv_wrap_file(BlockDriverState *bs, const char *driver, GError **errp);
void bdrv_close_child(BlockDriverState *child);     /* NULL is allowed */
/* Make the file at the bottom of such a node, or empty it if it is there */
bool bdrv_create_child(BlockDriverState *bs, const char *options, GError **errp);

/* In open_backing(): open an image for reading, by the user's "backing.…" options and, where these say
 * nothing, by @options; @filename may be NULL if they name it. Refuses a file that is open already in one
 * of the images that lead here. NULL and @errp set on failure: with EMFILE or ENFILE, other places are not
 * worth a try. What is not made bs->backing is to be closed */
BlockDriverState *bdrv_open_backing(BlockDriverState *bs, const char *filename, const char *options, GError **errp);
void bdrv_close_backing(BlockDriverState *backing);
/* A name that a user gives may be a path, or stand for options: "json:{…}", "nbd://…". These are they, to be free()d */
bool bdrv_is_path(const char *name);
char *bdrv_name_options(const char *name, GError **errp);

/* What may be a backing, as the program's resolver offers it, an image or a user */
typedef struct BlockBackingOffer {
    char *filename;                 /* NULL: it is in @storage */
    BlockStorage *storage;          /* NULL: it is a file */
    char *driver;                   /* NULL: not said */
    const char *root;               /* a folder: neither this backing nor one behind it is opened outside of it, and
                                     * nothing out there is looked at. NULL: as @bs itself was opened */
    bool by_image;                  /* an image has the filename: it is opened if it leads to a regular file or a block
                                     * device, without magic links of /proc, and not to what the kernel makes up */
    bool only_read;                 /* also if the user wants to commit to it */
} BlockBackingOffer;

struct BlockBackingAnswer {
    bool search;                    /* if no offer is right, look where the image says */
    size_t count;
    BlockBackingOffer *offers;       /* in the order in which they are to be tried */
};

/* In open_backing(): ask the program's resolver, where there is one; the arguments are fields of
 * BlockBackingQuery. Never NULL */
bool bdrv_has_resolver(BlockDriverState *bs);
BlockBackingAnswer *bdrv_ask_for_backing(BlockDriverState *bs, const char *uuid, const char *const *names,
                                        const char *const *places);
void bdrv_backing_answer_free(BlockBackingAnswer *answer);
/* bdrv_open_backing() of what was offered. Other files than regular ones and block devices are not opened, unless the
 * user's options name them, and no file has its time of access changed by being read */
BlockDriverState *bdrv_open_offer(BlockDriverState *bs, const BlockBackingOffer *offer, const char *options,
                                  GError **errp);
/* Is the backing of @bs to be opened for writing, so that it can be committed to? */
bool bdrv_is_backing_written(BlockDriverState *bs);
/* The value of the user's "backing.KEY", until bs->backing is open; NULL: not given */
const char *bdrv_get_backing_option(BlockDriverState *bs, const char *key);
/* Is @filename the file of @bs, or of an image behind it? */
bool bdrv_chain_has_file(BlockDriverState *bs, const char *filename);
/* The folder that backings of @bs are kept to, because @bs is; NULL: none */
const char *bdrv_get_backing_root(BlockDriverState *bs);
/* How many images lead here: 0 for the one that the user opened, BDRV_O_SNAPSHOT or not */
unsigned bdrv_backing_depth(BlockDriverState *bs);
bool bdrv_is_probed(BlockDriverState *bs);              /* was the driver of the first image only guessed? */

/* The layer's copy of the storage that the program has this node serve; NULL: none */
BlockStorage *bdrv_get_storage(BlockDriverState *bs);

/* Tables of a format, in memory: pages of bs->file, named by where they begin. Call from map(),
 * map_done() and flush() only. One page must always be asked for with the same length.
 *
 * The page at @offset, @bytes long. Not in memory: -EAGAIN without BLOCK_MAP_WAIT in @mode; with it
 * the map lock is let go of while the page is read. *@page is good until the next call of these. */
int bdrv_meta_get(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, uint8_t **page);
/* [@at, @at + @bytes) of the page that begins at @offset was changed: flush() will write the sectors
 * of 512 bytes that it touches */
void bdrv_meta_dirty(BlockDriverState *bs, int64_t offset, int64_t at, int64_t bytes);
/* As bdrv_meta_dirty(), of what may be on disk at any time: it is written now. It is left to bdrv_meta_write() where
 * something else in its sectors has to wait, or if that fails */
void bdrv_meta_put(BlockDriverState *bs, int64_t offset, int64_t at, int64_t bytes);
/* Write all dirty sectors to bs->file. What could not be written stays dirty. 0 or -errno */
int bdrv_meta_write(BlockDriverState *bs);
/* Forget all pages that are not dirty: the tables have moved. In truncate(), and outside of the callbacks above */
void bdrv_meta_forget(BlockDriverState *bs);

/* Errors of open, create, truncate and copy; @code is an errno number */
void bdrv_set_error(GError **errp, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Add a warning: for a fault that does not keep the image from being opened, or that makes a request fail with -EIO.
 * @code: for programs, a constant that does not change: the code that check() has for the fault, else a word */
void bdrv_warn(BlockDriverState *bs, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* In info(): add a fact. @key and the text are copied */
void bdrv_info_text(BlockInfoBuilder *items, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void bdrv_info_int(BlockInfoBuilder *items, const char *key, int64_t number);
void bdrv_info_bool(BlockInfoBuilder *items, const char *key, bool on);

/* In check(): report one finding. @kind: index into check_kinds; -1: a part that could not be read. @offset and
 * @cluster as in BlockCheckCase */
void bdrv_check_found(BlockCheckBuilder *found, int kind, int64_t offset, int64_t cluster, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* In check(): report @count more findings of @kind, of which one was described: for those that can be counted without a
 * look at each */
void bdrv_check_found_more(BlockCheckBuilder *found, int kind, int64_t count);
/* In check(): tell the caller's progress function that @done of @total steps are done */
void bdrv_check_progress(BlockCheckBuilder *found, int64_t done, int64_t total);

/* The driver after @drv, in probing order; NULL after the last one. @drv NULL: the first one */
const BlockDriver *bdrv_next_driver(const BlockDriver *drv);
const BlockDriver *bdrv_find_driver(const char *name);          /* NULL: none of that name */
/* "  name=<type>  help" lines, for people; free() it */
char *bdrv_options_help(const BlockOption *options);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
