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
 * with @errp that fails sets it with bdrv_set_error(). Only a format may return -EAGAIN, from map(), map_done(),
 * read(), write(), zero() and flush(): this call has changed nothing, or a change has stopped at a place that the layer
 * knows. The layer then runs the rest of the request again, alone. For repair() it means something else, see there.
 * The layer turns any other -EAGAIN, and any positive number, into -EIO.
 * THREADS
 *
 * open(), open_backing(), close() and create() of a node run in one thread, with no other call on the node. Afterwards
 *   beside other calls         read(), write(), zero(), write_end() of a driver that is parallel; status(), info(),
 *                              get_geometry();
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
 * given to bdrv_warn(), bdrv_info_text() and bdrv_check_found() is copied; codes, names and advice are not: they must
 * be constants.
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
    size_t skip;                /* bytes of iov[0] before the first byte */
    int64_t bytes;
} BlockVec;

BlockVec block_vec(const struct iovec *iov, int niov);
/* Return [@start, @start + @bytes) of @vec */
BlockVec block_vec_slice(BlockVec vec, int64_t start, int64_t bytes);
/* Copy all bytes of @vec to or from one piece of memory */
void block_vec_to_buf(BlockVec vec, void *buf);
void block_vec_from_buf(BlockVec vec, const void *buf);
void block_vec_zero(BlockVec vec);
/* Fill @iov with the first pieces of @vec, at most @max. Return how many, and in *@bytes their length together */
int block_vec_iov(BlockVec vec, struct iovec *iov, int max, int64_t *bytes);

/* Says that [@offset, @offset + @bytes) of a format's disk lies at @node_offset of another node */
typedef struct BlockExtent {
    int64_t offset, bytes;
    BlockDriverState *node;     /* bs->file; for reading also bs->backing, or a node of bdrv_open_child(). NULL: a hole,
                                 * which reads as zeroes */
    int64_t node_offset;
    unsigned flags;
} BlockExtent;

enum {
    BLOCK_EXTENT_NEW    = 1 << 0,   /* reserved for this write: the layer calls map_done() when its bytes are written */
    BLOCK_EXTENT_ZEROED = 1 << 1,   /* new, and already zero in the child: the layer need not fill the rest */
    BLOCK_EXTENT_WINDOW = 1 << 2,   /* bytes of the child, one to one: its holes are holes of this node */
};

enum {                              /* open()'s flags, beside BDRV_O_… */
    BLOCK_OPEN_TO_CREATE = 1 << 30, /* the layer checks the options before create(): it closes the node again, and
                                     * writes nothing */
};

enum {                              /* map()'s mode */
    BLOCK_MAP_WRITE = 1 << 0,       /* the bytes will be written: answer with no hole and no backing */
    BLOCK_MAP_WAIT  = 1 << 1,       /* map() may wait until metadata is read */
    BLOCK_MAP_EXCL  = 1 << 2,       /* no other request is in this image: map() may allocate */
};

enum {                              /* zero()'s flags */
    BLOCK_ZERO_PUNCH   = 1 << 0,    /* give the space back, if possible */
    BLOCK_ZERO_DISCARD = 1 << 1,    /* a discard: -ENOTSUP is allowed, and means that nothing was done */
    BLOCK_ZERO_NO_FALLBACK = 1 << 2,    /* BDRV_REQ_NO_FALLBACK: after -ENOTSUP the layer writes no zeroes */
};

/* The first and last bytes of a file whose format is guessed */
typedef struct BlockProbe {
    const uint8_t *head, *tail;     /* @len bytes each, padded with zeroes; the tail ends at the end of the file */
    size_t len;
    int64_t size;
    const char *filename;           /* "" if there is none */
} BlockProbe;

#define BLOCK_PROBE_BYTES   2048        /* @len for probe() */
#define BLOCK_SUSPECT_BYTES (66 << 10)  /* @len for suspect(), unless the file cannot be read so far */

/* Identifies the file of a protocol: two names of one file have equal identities */
typedef struct BlockIdentity {
    uint64_t where, which;          /* such as file system and inode; compared only within one driver */
} BlockIdentity;

/* Facts of the host about an open file */
typedef struct BlockFileFacts {
    int64_t modified;               /* when its contents were last changed, Unix time */
    char *path;                     /* absolute, without symbolic links; NULL: not known. free() it */
} BlockFileFacts;

/* One option of a driver. The layer fills it into the driver's options struct. If it is not given and @def is "", a
 * string is NULL, a number, enum or on-off is -1, and a bool is false. */
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
        BLOCK_OPT_ON_OFF,           /* int: 1 or 0; -1 tells that it was not given */
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

/* The longest file. Sums and rounded values of offsets below it fit into an int64_t */
#define BLOCK_MAX_SIZE (INT64_MAX - (1 << 30) + 1)

typedef struct BlockInfoBuilder BlockInfoBuilder;
typedef struct BlockCheckBuilder BlockCheckBuilder;

/* One kind of damage of a format */
typedef struct BlockCheckKind {
    const char *code;               /* does not change; several rows may have one code. NULL ends the table */
    BlockCheckLevel level;
    unsigned fix;                   /* the BDRV_CHECK_FIX_… with which repair() is called; 0: it cannot be repaired */
    bool stops;                     /* while there is one, kinds further down in the table are not repaired */
    const char *name, *advice;      /* as in BlockFinding */
} BlockCheckKind;

/* The functions behind bdrv_debug_breakpoint() and the like; all are required, and may be called at any time */
typedef struct BlockDebug {
    /* For a write of a part of a unit of request_alignment: the layer is about to read the unit in which the write
     * begins ("pwritev_rmw_head") or ends ("pwritev_rmw_tail"), or has read it ("pwritev_rmw_after_head",
     * "pwritev_rmw_after_tail") */
    void (*event)(BlockDriverState *bs, const char *event);
    int (*breakpoint)(BlockDriverState *bs, const char *event, const char *tag);
    int (*remove_breakpoint)(BlockDriverState *bs, const char *tag);
    int (*resume)(BlockDriverState *bs, const char *tag);
    bool (*is_suspended)(BlockDriverState *bs, const char *tag);
} BlockDebug;

/* The table of a driver. Required: name, open and read; for a format map; for writing write, and map_done if map sets
 * BLOCK_EXTENT_NEW. All other fields are optional. docs/writing-a-driver.md explains each field. */
typedef struct BlockDriver {
    const char *name;               /* "vpc": driver=vpc */
    const char *alias;              /* another name of the driver; NULL: none */
    const char *description;
    bool is_protocol;               /* stores bytes itself: it opens a filename, and has no child */
    bool parallel;                  /* read, write and zero may run at once (ignored if there is map) */
    const char *file_key;           /* its child's options begin with this and a dot; NULL: "file" */
    size_t state_size;              /* of bs->state, which the layer allocates, zeroed, and frees */
    size_t open_size, create_size, amend_size;  /* sizeof the structs that the option tables fill */
    const BlockOption *open_options, *create_options, *amend_options;

    /* Return how sure the driver is that the image is its own, 0 to 100, by the bytes of @probe only */
    int (*probe)(const BlockProbe *probe);
    /* Called if no driver's probe() knows a file, before it is taken for a raw disk. If it looks like a damaged image
     * of this driver, return how, as a clause that follows "though"; the layer will free() it. Else return NULL */
    char *(*suspect)(const BlockProbe *probe);
    /* Open the image, and set bs->size. bs->file is open, unless the driver is a protocol. @opts is the options
     * struct, which is gone when open() returns. After a failure the layer calls close() */
    bool (*open)(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp);
    /* Change fields of the image by @opts, a struct filled by amend_options. Called alone in the image */
    bool (*amend)(BlockDriverState *bs, const void *opts, GError **errp);
    /* After open(): if a part of the disk is in another image, open that as bs->backing with bdrv_open_backing(). Not
     * called with BDRV_O_NO_BACKING */
    bool (*open_backing)(BlockDriverState *bs, GError **errp);
    /* @offset and @vec are inside the node's size, vec.bytes > 0, aligned to bs->request_alignment. If a format is
     * below a filter, the filter's write(), zero() and flush() are called alone in the image. Only a format may return
     * -EAGAIN, as it came from map() or bdrv_mapped_write(); the layer turns that of others into -EIO */
    int (*read)(BlockDriverState *bs, int64_t offset, BlockVec vec);
    int (*write)(BlockDriverState *bs, int64_t offset, BlockVec vec);
    /* Write tables that are kept in memory, alone in the image; the layer then flushes the children. Of a protocol:
     * bring all that was written to stable storage. A filter may return 1: the child is not to be flushed */
    int (*flush)(BlockDriverState *bs);
    /* Free what bs->state holds, also after an open() that failed half-way. Children are still open */
    void (*close)(BlockDriverState *bs);
    /* Make an image: check @opts, call bdrv_create_file(), and write a valid image into bs->file. Before the layer
     * empties an existing file, it opens the file with all options of all nodes below.
     * Of a protocol: make an empty file, and close it again; if this fails, an existing file keeps its contents */
    bool (*create)(BlockDriverState *bs, const void *opts, GError **errp);

    /* Of a format: see the ten rules in docs/writing-a-driver.md. With -EIO, *@ext (zeroed by the layer) may say for
     * which bytes it holds */
    int (*map)(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext);
    int (*map_done)(BlockDriverState *bs, const BlockExtent *ext);

    /* Describe the first st->bytes of [@offset, @offset + @bytes) in *@st, with @flags of bdrv_block_status(), and
     * return 0. Or return 1: the layer asks st->leaf, a child, for st->bytes at st->leaf_offset. Or return -errno:
     * it holds for st->bytes; 0: not known. A format uses bdrv_mapped_status(), a filter bdrv_filter_status() if the
     * child's zeroes are its own zeroes. Without this function all bytes are data */
    int (*status)(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);
    /* Zero bytes. A format uses bdrv_mapped_zero(). -ENOTSUP: the layer writes zeroes instead */
    int (*zero)(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags);
    /* Write the last unit of a file, for a node with request_alignment whose file may end inside a unit: @vec ends
     * where the file ends, or will end. Only @offset is aligned, and the file must not become longer than that */
    int (*write_end)(BlockDriverState *bs, int64_t offset, BlockVec vec);
    /* Of a protocol: remove the file again, after a create that failed */
    void (*remove)(BlockDriverState *bs);

    /* Change the length. Any driver may have it */
    bool (*truncate)(BlockDriverState *bs, int64_t size, GError **errp);
    /* Of a protocol: return in *@id the identity of the open file, or of bdrv_get_place() if that is set, or, with @bs
     * NULL, of the file that has the name @filename. False: not known. Without this function, a chain that leads back
     * to itself is opened again and again, up to max-depth */
    bool (*identify)(BlockDriverState *bs, const char *filename, BlockIdentity *id);
    bool (*info)(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp);
    const BlockDebug *debug;        /* breakpoints of tests; NULL: the driver has none */

    /* Of a format whose backing can be changed: open another image as open_backing() does, and return it. @filename is
     * relative to the folder of this image. bs->backing stays */
    BlockDriverState *(*open_other_backing)(BlockDriverState *bs, const char *filename, GError **errp);
    /* Write into the image that @backing (NULL: none) is its backing; the layer then sets bs->backing. Called alone,
     * under the map lock, with no dirty table. After a power cut at any moment the image has the old backing or the
     * new one */
    bool (*change_backing)(BlockDriverState *bs, BlockDriverState *backing, GError **errp);

    /* Of a format that has check(): all kinds of damage, in the order in which they can be repaired safely */
    const BlockCheckKind *check_kinds;
    /* Check without writing: call bdrv_check_found() for all damage, and fill the cluster fields of @check. False if
     * the image is too damaged to be checked. Called alone in the image, with BDRV_O_CHECK, as repair() */
    bool (*check)(BlockDriverState *bs, BlockCheck *check, BlockCheckBuilder *found, GError **errp);
    /* Repair all findings of one kind of the last check(); @kind is an index into check_kinds. The layer then flushes,
     * and calls check() again. After a power cut at any write the image is no worse than before, and a check finds the
     * rest. 0 or -errno; -EAGAIN: a part that check() could not read can be read now, and nothing was changed */
    int (*repair)(BlockDriverState *bs, int kind);

    /* The prefixes of names that this driver parses, before a colon; NULL ends the list. parse_name() returns the
     * options that a name stands for, "key=value,…", which the layer will free(); *@rest: the name of the child, a part
     * of @name, if there is one */
    const char *const *prefixes;
    char *(*parse_name)(const char *name, const char **rest, GError **errp);

    /* Of a format whose disk is a window of a file: allocate space for [@offset, @offset + @bytes), which are new and
     * zero, by bdrv_node_preallocate(). @bytes 0: only check that this is possible. Called after truncate(), alone */
    bool (*preallocate)(BlockDriverState *bs, int64_t offset, int64_t bytes, bool full, GError **errp);

    /* Of a protocol whose filenames are paths: fill *@facts. False: the host does not know them */
    bool (*get_facts)(BlockDriverState *bs, BlockFileFacts *facts);

    /* Do as truncate(), with @opts, a struct of resize_size bytes filled by resize_options */
    const BlockOption *resize_options;
    size_t resize_size;
    bool (*resize)(BlockDriverState *bs, int64_t size, const void *opts, GError **errp);

    /* Fill cylinders, heads and sectors of *@geometry as the image says them, beside requests. False: it says none.
     * Whose disk is another one's may ask bdrv_node_get_geometry() of that. Without it: a filter says what its child
     * says, if it is as long as the child; others say none */
    bool (*get_geometry)(BlockDriverState *bs, BlockGeometry *geometry);

    /* Change between reading and writing, for bdrv_set_read_only(); bs->flags have the new mode. The child can be
     * written to meanwhile: it changes before this node for writing, and after it to read only. Called alone in the
     * image, after a flush. Keep the state before until reopen_done(): with @ok false the node goes back to it, which
     * cannot fail, and bs->flags have the old mode again. reopen_done() is not called after a reopen() that failed,
     * which has changed nothing. A driver to which the mode makes no difference uses bdrv_simple_reopen(). Without
     * reopen() the image cannot change */
    bool (*reopen)(BlockDriverState *bs, GError **errp);
    void (*reopen_done)(BlockDriverState *bs, bool ok);
} BlockDriver;

struct BlockDriverState {
    const BlockDriver *drv;
    void *state;                    /* drv->state_size bytes, zeroed before open() */
    char *filename;                 /* of the lowest file; "" if it has none. Set by the layer. A protocol's open(), and
                                     * its create() for remove(), may free() it and set another from malloc() */
    unsigned flags;                 /* BDRV_O_… as this node was opened */
    int64_t size;                   /* bytes. Set it in open() and truncate(); the layer updates it when a
                                     * protocol's file grows. Elsewhere read it with bdrv_node_size() */
    int64_t request_alignment;      /* power of two: the layer aligns offset, length and memory of read() and
                                     * write() to it. 0 and 1: none. Set it in open() */
    BlockDriverState *file, *backing;
    struct BlockPrivate *priv;       /* the layer's own part */
    bool fixed_length;              /* the file never grows: writes past the end fail with ENOSPC. Set it in open() */
    bool needs_flush;               /* flush() has more to do than writing dirty pages. A format sets and clears it,
                                     * under the map lock */
};

/* read(), write(), zero() and status() of a format: they ask map() where the bytes are, and move them. A write() that
 * calls bdrv_mapped_write() must return its -EAGAIN at once: the layer knows how far the write came, and runs the rest
 * again, alone. They do not clip to bs->size, so that truncate() may call them for bytes that are not yet part of the
 * disk */
int bdrv_mapped_read(BlockDriverState *bs, int64_t offset, BlockVec vec);
int bdrv_mapped_write(BlockDriverState *bs, int64_t offset, BlockVec vec);
int bdrv_mapped_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags);
int bdrv_mapped_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);
/* reopen() of a driver to which bs->flags are all: returns true */
bool bdrv_simple_reopen(BlockDriverState *bs, GError **errp);
/* status() of a filter that does not change bytes: asks the child */
int bdrv_filter_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);

/* Requests of a driver on its children. They may have any alignment. A read past the end gives zeroes, a write past
 * the end makes a file longer. 0 or -errno */
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
bool bdrv_node_get_geometry(BlockDriverState *node, BlockGeometry *geometry);   /* false: the image says none */
bool bdrv_node_can_grow(BlockDriverState *node);        /* false: it, or a node below it, has a fixed length */

/* In open() of a protocol: return an O_PATH descriptor of the regular file or block device to open, whatever has its
 * name by now; it belongs to the layer. -1: open the file by its name */
int bdrv_get_place(BlockDriverState *bs);
/* Get facts about the file at the bottom of @node. False: there is no file */
bool bdrv_get_file_facts(BlockDriverState *node, BlockFileFacts *facts);

/* In create(): the open image that the program wants behind the new one; it is not this driver's to close. NULL: none.
 * A driver with create() and open_backing() takes it, or fails */
BlockDriverState *bdrv_get_given_backing(BlockDriverState *bs);
/* In create(): make the file below, empty, and open it as bs->file */
bool bdrv_create_file(BlockDriverState *bs, GError **errp);
/* What create() knows about a file before it is made */
typedef struct BlockFilePlan {
    int64_t bytes;              /* its least final length: if it cannot have it, an existing file is not emptied */
    int64_t extent_size_hint;   /* the file system is asked to allocate so many bytes at once; 0: it is not asked */
} BlockFilePlan;
/* Do as bdrv_create_file(), with a plan. The file may have its final length, of zeroes, afterwards */
bool bdrv_create_file_for(BlockDriverState *bs, const BlockFilePlan *plan, GError **errp);

/* In open(): open another child beside bs->file, by @options, the value of a BLOCK_OPT_NODE; without driver= it is a
 * file. @flags: BDRV_O_…. The driver flushes this child, and its close() closes it */
BlockDriverState *bdrv_open_child(BlockDriverState *bs, const char *options, unsigned flags, GError **errp);
/* In open(): put a node of @driver, with default options, between @bs and bs->file. After a failure bs->file is NULL,
 * and open() must fail, too */
bool bdrv_wrap_file(BlockDriverState *bs, const char *driver, GError **errp);
void bdrv_close_child(BlockDriverState *child);     /* NULL is allowed */
/* Make the file of a child that bdrv_open_child() will open, or empty it if it exists */
bool bdrv_create_child(BlockDriverState *bs, const char *options, GError **errp);

/* In open_backing(): open an image for reading, by the user's options "backing.…" and, where these are not given, by
 * @options. @filename may be NULL if the options name the file. A file that is already open in an image above is
 * refused. NULL and @errp set on failure; after EMFILE or ENFILE do not try other places. If the returned node does not
 * become bs->backing, close it with bdrv_close_backing() */
BlockDriverState *bdrv_open_backing(BlockDriverState *bs, const char *filename, const char *options, GError **errp);
void bdrv_close_backing(BlockDriverState *backing);
/* Return whether @name is a path. If not, it stands for options: "json:{…}", "nbd://…" */
bool bdrv_is_path(const char *name);
char *bdrv_name_options(const char *name, GError **errp);

/* A possible backing, offered by the program's resolver, by an image, or by a user */
typedef struct BlockBackingOffer {
    char *filename;                 /* NULL: the image is in @storage */
    BlockStorage *storage;          /* NULL: the image is in a file */
    char *driver;                   /* NULL: not given */
    const char *root;               /* a folder: this backing, and all behind it, must be inside it, and no file outside
                                     * is looked at. NULL: the root with which @bs was opened */
    bool by_image;                  /* the filename comes from an image: only a regular file or a block device is
                                     * opened, no file of /proc or /sys, and no magic link of /proc is followed */
    bool only_read;                 /* open it for reading, even if the user wants to commit to it */
} BlockBackingOffer;

struct BlockBackingAnswer {
    bool search;                    /* if no offer fits, look at the places that the image names */
    size_t count;
    BlockBackingOffer *offers;       /* in the order of trying */
};

/* In open_backing(): ask the program's resolver, if there is one. The arguments are fields of BlockBackingQuery. Does
 * not return NULL */
bool bdrv_has_resolver(BlockDriverState *bs);
BlockBackingAnswer *bdrv_ask_for_backing(BlockDriverState *bs, const char *uuid, const char *const *names,
                                        const char *const *places);
void bdrv_backing_answer_free(BlockBackingAnswer *answer);
/* Do as bdrv_open_backing(), for an offer. Only regular files and block devices are opened, unless the user's options
 * name another file; and the access time of a file is not changed */
BlockDriverState *bdrv_open_offer(BlockDriverState *bs, const BlockBackingOffer *offer, const char *options,
                                  GError **errp);
/* Return whether the backing of @bs is to be opened for writing, for a commit */
bool bdrv_is_backing_written(BlockDriverState *bs);
/* Return the value of the user's option "backing.KEY"; NULL: not given. Only before bs->backing is open */
const char *bdrv_get_backing_option(BlockDriverState *bs, const char *key);
/* Return whether @filename is the file of @bs, or of an image behind it */
bool bdrv_chain_has_file(BlockDriverState *bs, const char *filename);
/* Return the folder in which all backings of @bs must be; NULL: none */
const char *bdrv_get_backing_root(BlockDriverState *bs);
/* Return how many images are above @bs in the chain: 0 for the image that the user opened, also with BDRV_O_SNAPSHOT */
unsigned bdrv_backing_depth(BlockDriverState *bs);
bool bdrv_is_probed(BlockDriverState *bs);              /* the driver of the first image was guessed */

/* Return the layer's copy of the program's storage for this node; NULL: none */
BlockStorage *bdrv_get_storage(BlockDriverState *bs);

/* Tables of a format in memory: pages of bs->file, identified by their offsets. Call these functions from map(),
 * map_done() and flush() only. A page must always be requested with the same length.
 *
 * Get the page at @offset of @bytes. If it is not in memory: without BLOCK_MAP_WAIT in @mode return -EAGAIN, else read
 * it, with the map lock released meanwhile. *@page is valid until the next call of one of these functions. */
int bdrv_meta_get(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, uint8_t **page);
/* Mark [@at, @at + @bytes) of the page at @offset as changed: flush() will write its sectors of 512 bytes */
void bdrv_meta_dirty(BlockDriverState *bs, int64_t offset, int64_t at, int64_t bytes);
/* Write [@at, @at + @bytes) of the page at @offset now, because it may be on disk at any time. If that fails, or if
 * other bytes of these sectors are dirty, do as bdrv_meta_dirty() */
void bdrv_meta_put(BlockDriverState *bs, int64_t offset, int64_t at, int64_t bytes);
/* Write all dirty sectors to bs->file. Sectors that could not be written stay dirty. 0 or -errno */
int bdrv_meta_write(BlockDriverState *bs);
/* Drop all pages that are not dirty, because the tables have moved. Call it from truncate(), never from map(),
 * map_done() or flush(), which hold the map lock */
void bdrv_meta_forget(BlockDriverState *bs);

/* Set an error of open, create, truncate or copy; @code is an errno number */
void bdrv_set_error(GError **errp, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Add a warning, about a fault that does not keep the image from being opened, or that makes a request fail with -EIO.
 * @code: for programs, a constant that does not change: the code of the fault in check_kinds, or a word of
 * BlockWarningKind */
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
/* In check(): report @count more findings of @kind, after one was described with bdrv_check_found() */
void bdrv_check_found_more(BlockCheckBuilder *found, int kind, int64_t count);

/* In create(), check(), truncate(), resize() and preallocate(), between steps of a long work: report to the program's
 * progress function that @done of @total steps are done. False: the program cancels. Stop where a failed write would
 * have stopped you, with the error ECANCELED; if the work cannot be undone any more, finish it. May be called any number
 * of times; true if the program has no progress function */
bool bdrv_go_on(BlockDriverState *bs, int64_t done, int64_t total);

/* DRIVERS FROM OUTSIDE
 *
 * A program adds its own driver with bdrv_register(). A driver in a file of its own, "block-NAME.so", is a module: the
 * library loads it when driver=NAME, or a name that begins with "NAME:" or "NAME+", is asked for and no driver has it.
 * It looks into the folders of the environment variable MINIBLK_MODULE_PATH (ignored in set-user-ID programs), then
 * into "miniblk" beside the shared library, and into the folder of the shared library itself; a program that is linked
 * with the static library looks into the folder in which modules are installed instead. A module is linked with
 * neither library: it finds the functions in the program that loads it. It stays loaded until the program ends.
 *
 * Add a driver to the list. @size: sizeof(BlockDriver), as the caller was compiled. The table is copied, with zero in
 * the fields that it does not have, and bs->drv points to the copy; what the table points to must stay as long as the
 * program runs, and so must the code. A driver is never removed. The same table once more changes nothing, and is no
 * error.
 * Any thread may call this at any time, and these four functions run beside each other; an image that is opened
 * meanwhile may or may not find the new driver. A format takes part in probing, after all others, as soon as it is in
 * the list; no module is loaded to probe. False and @errp set
 *   EEXIST    another driver has this name, alias or prefix
 *   EINVAL    a name has other characters than letters, digits, '-' and '_', or more than 64 of them; or a required
 *             field is missing
 *   ENOTSUP   the table is longer than this library's, and uses one of the fields behind */
bool bdrv_register(const BlockDriver *driver, size_t size, GError **errp);

#define BLOCK_MODULE_ABI 1          /* another number: a struct of this header has changed in another way than by fields
                                     * appended to BlockDriver */

/* What a module exports, under the name miniblk_module */
typedef struct BlockModule {
    uint32_t abi, driver_size;
    const BlockDriver *driver;      /* its name or alias is the NAME of block-NAME.so */
} BlockModule;

/* A module defines it: const BlockModule miniblk_module = BLOCK_MODULE(table); */
extern const BlockModule miniblk_module;
#define BLOCK_MODULE(table) { BLOCK_MODULE_ABI, sizeof(BlockDriver), &(table) }

/* Return the driver after @drv in the list, which is the order of probing; NULL after the last one. @drv NULL: return
 * the first one. Modules that are not loaded are not in the list */
const BlockDriver *bdrv_next_driver(const BlockDriver *drv);
/* Return the driver that has this name or alias, and load its module if needed. NULL: there is none, or it cannot be
 * used; bdrv_load_driver() then sets @errp: ENOENT for a name that is not known */
const BlockDriver *bdrv_find_driver(const char *name);
const BlockDriver *bdrv_load_driver(const char *name, GError **errp);
/* Return the names of the modules that could be loaded, with a space between two; free() it. No module is loaded */
char *bdrv_module_names(void);
/* Return help for users, with a line "  name=<type>  help" for each option; free() it */
char *bdrv_options_help(const BlockOption *options);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
