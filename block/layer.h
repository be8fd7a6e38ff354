/* layer.h - what the files of the layer share; no driver includes it */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_LAYER_H
#define BLOCK_LAYER_H

#include <pthread.h>
#include <glib.h>
#include <miniblk/driver.h>
#include "util/gate.h"
#include "util/ranges.h"
#include "util/keyval.h"

typedef struct BlockShortcuts BlockShortcuts;

/* The option "flush-after": at the first request that ends after so many bytes were written, or so long after the first
 * write since the last flush, the layer flushes. Both 0: it does not */
typedef struct BlockFlushAfter {
    int64_t bytes, ms;              /* the limits; 0: none. At most one is set */
    int64_t written;                /* atomic: bytes since the last flush began; counted only if bytes is set */
    int64_t since;                  /* atomic: time of the first write since then; 0: nothing was written */
} BlockFlushAfter;

/* An open image: a tree of nodes with one entry, the root. No node belongs to two trees, so one gate is enough. */
typedef struct BlockTree {
    BlockGate gate;                 /* shared: requests that move bytes; exclusive: those that need to be alone */
    bool alone;                     /* the gate is held exclusively; read inside the gate */
    BlockFlushAfter flush_after;
    int full;                       /* atomic: too many dirty tables; the next writer flushes */
    int probe;                      /* score of the guess of the root's driver; 0: the driver was named */
    BlockShortcuts *shortcuts;      /* NULL: none; NULL also while the image is opened */
    pthread_mutex_t notes_lock;     /* guards the rest */
    GArray *warnings;               /* BlockWarning, only appended to; the codes are constants of the drivers */
    void (*warn)(void *user, const BlockWarning *warning);  /* bdrv_create_with() only: called with each warning */
    void *warn_user;
    BlockInfo errors;               /* only the io_* fields are used */
    const BlockResolver *resolver;  /* the program's, while the image is opened; NULL: none */
    BlockDriverState *backing;      /* the program's, while an image is created over it; NULL: none */
    BlockProgress *progress;        /* the program's, of the call that is alone in the image; NULL: none */
    void *progress_user;
    bool cancelled;                 /* progress() has returned false, and is not called again */
} BlockTree;

/* Wait until no request is in the image, and keep others out */
static inline void block_enter_alone(BlockTree *tree)
{
    gate_enter(&tree->gate, true);
    tree->alone = true;
}

static inline void block_leave_alone(BlockTree *tree)
{
    tree->alone = false;
    gate_leave(&tree->gate, true);
}

/* Return the flags of @bs, also outside the gate: another thread may be in bdrv_set_read_only() */
static inline unsigned block_flags(BlockDriverState *bs)
{
    return __atomic_load_n(&bs->flags, __ATOMIC_RELAXED);
}

typedef struct BlockMetaCache BlockMetaCache;

/* What the layer keeps of one node */
typedef struct BlockPrivate {
    BlockTree *tree;
    unsigned number;                /* of an image, in shortcut.c; 0: none */
    KeyVal *options;                /* while bs is created: the options of bs->file, */
    struct BlockDriverState *maker; /* and the node that made that file */
    BlockStorage *storage;          /* of a protocol, or of bs while it is created: a copy of the program's; NULL */
    KeyVal *backing_options;        /* the options "backing.…", until the backing is open */
    const int *place;               /* while a protocol is opened: for bdrv_get_place(); NULL: -1 */
    char *root;                     /* for bdrv_get_backing_root() */
    bool behind;                    /* the node belongs to a backing: its warnings begin with the backing's name */
    unsigned depth;                 /* how many images are above this one in its chain; of bs->file: 0 */
    bool read_only;                 /* the option "read-only" of this node is on */
    bool scratch;                   /* the top of the chain is the overlay of BDRV_O_SNAPSHOT */
    GHashTable *chain;              /* the files of all images of the chain, see chain.c; made and freed by its first
                                     * image. NULL: the image has had no backing so far */
    const struct ChainFile *chain_file;     /* this image's entry; NULL: none */
    pthread_mutex_t map_lock;       /* around every map() and map_done(); guards meta. A node's is locked before its
                                     * child's */
    pthread_cond_t page_read;       /* signalled when a page of a table was read, or could not be read */
    pthread_mutex_t serial;         /* around read, write and zero of a driver that is not parallel */
    BlockRanges writes;             /* of a node with request_alignment: a read-modify-write is alone in its range */
    uint64_t written, flushed;      /* atomic: how many writes there were, and how many of them the last flush covers.
                                     * All writes before the node was opened count as one */
    int64_t meta_limit;             /* bytes of tables to keep in memory */
    BlockMetaCache *meta;           /* NULL until the first page is read */
    unsigned dirty_pages;           /* pages of meta that flush() has to write */
} BlockPrivate;

#define BLOCK_ZEROES 65536
extern const uint8_t block_zeroes[BLOCK_ZEROES];    /* aligned for O_DIRECT */

/* Where the lowest node of an image comes from */
typedef struct BlockSource {
    BlockTree *tree;
    const char *filename;           /* NULL: the options name the file */
    const BlockStorage *storage;    /* used instead of a file; NULL: none */
    GHashTable *chain;              /* the file must not be in this set; NULL: any file is allowed */
    const char *root;               /* as in BlockBackingOffer */
    bool by_image;                  /* as in BlockBackingOffer */
    const int *place;               /* an O_PATH descriptor of the file; NULL: not looked up */
} BlockSource;

/* tree.c */
BlockTree *block_tree_new(void);
void block_tree_free(BlockTree *tree);
BlockDriverState *block_node_new(BlockTree *tree, const BlockDriver *drv, unsigned flags);
/* Free this node only. block_close() closes and frees it, all nodes below it and its backings; @bs may be NULL there */
void block_node_free(BlockDriverState *bs);
void block_close(BlockDriverState *bs);
/* Take the option "driver" out of @kv and return that driver; @fallback if the option is not there. NULL with @errp
 * set: there is no such driver. NULL without @errp set: no driver is named and @fallback is NULL */
const BlockDriver *block_take_driver(KeyVal *kv, const BlockDriver *fallback, GError **errp);
/* Return the protocol for a file whose driver @kv does not name */
const BlockDriver *block_default_protocol(const BlockSource *from, const KeyVal *kv);
/* Set the option "filename" of @kv to @filename if @table, a driver's, has this option and @kv has not */
void block_name_file(KeyVal *kv, const BlockOption *table, const char *filename);
/* Return the option prefix of the driver's child, usually "file" */
const char *block_file_key(const BlockDriver *drv);
BlockStorage *block_copy_storage(const BlockStorage *storage);
/* Open a node of @drv, with the options that it takes out of @kv. @file: its child, if that is already open; the node
 * takes it over, also on failure. NULL: the child is opened as well */
BlockDriverState *block_open_node(const BlockSource *from, const BlockDriver *drv, KeyVal *kv, unsigned flags,
                                  BlockDriverState *file, GError **errp);
/* Open a node of the driver that @kv names, or of the default protocol */
BlockDriverState *block_open_child(const BlockSource *from, KeyVal *kv, unsigned flags, GError **errp);

/* open.c: return whether an image of @drv, a guess of @score, may be written to */
bool block_may_write(const BlockDriver *drv, int score, GError **errp);

/* name.c: add the options that @name stands for to @kv; options that are there already stay. *@filename (to be
 * g_free()d): the name of the file at the bottom; NULL: it has none. @name may be NULL */
bool block_take_name(const char *name, KeyVal *kv, char **filename, GError **errp);

/* backing.c: open all backings of the chain of @bs */
bool block_open_backings(BlockDriverState *bs, GError **errp);

/* chain.c */
/* Return the set of the files of the chain of @bs; it is made if there is none */
GHashTable *block_chain_of(BlockDriverState *bs);
/* Make @backing part of the chain, as the backing of @bs. False if its file is already in the chain */
bool block_link_backing(BlockDriverState *bs, BlockDriverState *backing, GError **errp);
/* Return false if the file that the protocol @bs is about to open, by the name @filename, is in @chain */
bool block_may_open(GHashTable *chain, BlockDriverState *bs, const char *filename, GError **errp);
/* The set of files that the first image of a chain keeps, and its own entry. Empty: made again when needed */
typedef struct BlockChain {
    GHashTable *files;
    const struct ChainFile *file;
} BlockChain;
BlockChain block_swap_chain(BlockDriverState *bs, BlockChain chain);

/* call.c: a change is a write, zeroes, or a discard. If a format has to be alone for a change, the change ends with
 * -EAGAIN: everything before @offset of the node is done, and nothing behind it. block_again() remembers @offset for
 * this thread until its next call, and returns -EAGAIN */
int block_again(int64_t offset);
/* Return how many of @bytes at @offset of a node are done, after a change has ended with -EAGAIN in this thread */
int64_t block_done(int64_t offset, int64_t bytes);

/* Call the driver's read or write: aligned, and inside the size. Only a format may return -EAGAIN */
int block_driver_read(BlockDriverState *bs, int64_t offset, BlockVec vec);
int block_driver_write(BlockDriverState *bs, int64_t offset, BlockVec vec);
int block_driver_write_end(BlockDriverState *bs, int64_t offset, BlockVec vec);
int block_driver_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags);
/* Call the driver's status(): 0, 1 or -errno */
int block_driver_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);
/* Return whether one of the nodes below @node is a format */
bool block_is_over_format(BlockDriverState *node);
/* Turn -EAGAIN of a driver into -EIO if neither it nor a node below it is a format: only a format may ask to be alone,
 * and nothing is repeated for others */
int block_from_driver(BlockDriverState *bs, int ret);

/* Return @ret, the result of the driver's function @name. If it is neither 0 nor -errno: warn, and return -EIO */
int block_answer(BlockDriverState *bs, const char *name, int ret);
/* node.c: as bdrv_node_truncate(), with @opts, a struct filled by the driver's resize_options */
bool bdrv_node_resize(BlockDriverState *node, int64_t size, const void *opts, GError **errp);
/* call.c: return @ok. If it is false and the driver's function @name has set no error, set one */
bool block_says_why(BlockDriverState *bs, const char *name, bool ok, GError **errp);
/* Call map() for @offset. -EAGAIN, by block_again(): ask again when nobody else is inside the gate */
int block_find_extent(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext);
/* Check, after open(), that the size and the alignment of the node are possible */
bool block_opened_well(BlockDriverState *bs, GError **errp);

/* debug.c: tell the driver below @bs of an event, see BlockDebug */
void block_debug_event(BlockDriverState *bs, const char *event);

/* flush-after.c */
/* Set the limits by the value of the option; NULL: it was not given */
bool block_flush_after(BlockTree *tree, const char *text, GError **errp);
void block_flush_begins(BlockTree *tree);
/* Count @written bytes of a request that has ended (0: a read); return whether it is time to flush */
bool block_flush_is_due(BlockTree *tree, int64_t written);

/* progress.c: have bdrv_go_on() ask @progress, NULL: nobody. For a call that is alone in the image, or makes it */
void block_begin_progress(BlockTree *tree, BlockProgress *progress, void *user);
/* Ask nobody from now on. If the call failed and was cancelled, *@errp says that of @name */
void block_end_progress(BlockTree *tree, const char *name, GError **errp);

/* notes.c */
void block_note_error(BlockTree *tree, const char *operation, int64_t offset, int err);
/* Put the last warning into @errp after an image could not be opened or made: there is no image whose warnings could be
 * asked for. @any: it may explain any error; else only EIO */
void block_tell_warning(BlockTree *tree, bool any, GError **errp);

/* align.c: requests of any alignment, for a node with request_alignment */
bool block_is_aligned(BlockDriverState *bs, int64_t offset, BlockVec vec);
int block_unaligned_read(BlockDriverState *bs, int64_t offset, BlockVec vec);
int block_unaligned_write(BlockDriverState *bs, int64_t offset, BlockVec vec);     /* the caller holds block_range() */
/* Return the range to lock for a write to a node with request_alignment: whole units. @alone: for a read-modify-write;
 * if that reaches the end of the file or moves it, the range has no end */
BlockRange block_range(BlockDriverState *bs, int64_t offset, int64_t bytes, bool alone);

/* Return whether a read of [@offset, @offset + @bytes) of @node is a bdrv_mapped_read(), not clipped and not aligned */
static inline bool block_is_mapped(BlockDriverState *node, int64_t offset, int64_t bytes)
{
    return node->drv->map && node->request_alignment <= 1 && bytes <= bdrv_node_size(node) - offset;
}

/* Return the protocol node at the bottom of @bs */
static inline BlockDriverState *block_lowest(BlockDriverState *bs)
{
    while (bs->file) {
        bs = bs->file;
    }
    return bs;
}

/* shortcut.c */
void block_shortcuts_open(BlockDriverState *root);      /* forget the old ones; call it when all backings are open */
void block_shortcuts_free(BlockTree *tree);
/* Return the first image of the chain from @bs on that has to be asked for [@offset, @offset + @bytes) */
BlockDriverState *block_shortcut(BlockDriverState *bs, int64_t offset, int64_t bytes);

/* metacache.c */
void block_meta_free(BlockDriverState *bs);

#endif
