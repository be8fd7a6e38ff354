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

/* "flush-after": the layer flushes when the first request comes after so many bytes, or so long after the first write
 * that no flush covers. Neither: it does not */
typedef struct BlockFlushAfter {
    int64_t bytes, ms;              /* 0: no limit. At most one is given */
    int64_t written;                /* atomic: bytes since the last flush began; counted if there is a limit of bytes */
    int64_t since;                  /* atomic: when the first write after that was done; 0: there was none */
} BlockFlushAfter;

/* An open image: nodes that share one way in. A node belongs to one tree only, which is what makes
 * one gate enough. */
typedef struct BlockTree {
    BlockGate gate;                 /* shared: requests that move bytes; exclusive: those that need to be alone */
    bool alone;                     /* the gate is held exclusively; read under the gate */
    BlockFlushAfter flush_after;
    int full;                       /* atomic: so much dirty metadata that the next writer should flush */
    int probe;                      /* how sure the guess of the root's driver was; 0: it was named */
    BlockShortcuts *shortcuts;      /* NULL: none, as while it is being opened */
    pthread_mutex_t notes_lock;     /* guards the rest */
    GArray *warnings;               /* BlockWarning, only ever added to; the codes are the drivers' */
    void (*warn)(void *user, const BlockWarning *warning);  /* of bdrv_create_with(): called with each warning */
    void *warn_user;
    BlockInfo errors;               /* its io_* fields */
    const BlockResolver *resolver;  /* the program's, while it opens the image; NULL: none */
    BlockDriverState *backing;      /* the program's, while it makes the image over it; NULL: none */
    BlockProgress *progress;        /* the program's, of the call that is alone in the image; NULL: none, */
    void *progress_user;
    bool cancelled;                 /* and whether it has returned false: no more is asked then */
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

typedef struct BlockMetaCache BlockMetaCache;

/* What the layer keeps of one node */
typedef struct BlockPrivate {
    BlockTree *tree;
    unsigned number;                /* of an image, in shortcut.c; 0: none */
    KeyVal *options;                /* while bs is created: those of bs->file, */
    struct BlockDriverState *maker; /* and the node that made it */
    BlockStorage *storage;          /* of a protocol, and while bs is created: a copy of the program's; NULL: none */
    KeyVal *backing_options;        /* "backing.…", until that is open */
    const int *place;               /* while a protocol is opened: bdrv_get_place(); NULL: -1 */
    char *root;                     /* bdrv_get_backing_root() */
    bool behind;                    /* it is of an image behind the user's, which the text of its warnings says */
    unsigned depth;                 /* how many images have this one behind them, directly or not; bs->file: 0 */
    bool scratch;                   /* the first of them is what the layer puts over the user's, for BDRV_O_SNAPSHOT */
    GHashTable *chain;              /* the files of those images and this one, see chain.c; the first has made it
                                     * and frees it. NULL: the first has no backing so far */
    const struct ChainFile *chain_file;     /* this image's entry; NULL: none */
    pthread_mutex_t map_lock;       /* around every map() and map_done(); guards meta. A node's is taken before its
                                     * child's */
    pthread_cond_t page_read;       /* a page of metadata has arrived, or could not be read */
    pthread_mutex_t serial;         /* around read, write and zero of a driver that is not parallel */
    BlockRanges writes;             /* of a node with request_alignment: a read-modify-write is alone in its range */
    uint64_t written, flushed;      /* atomic: how many writes there were, and how many the last flush covers. What was
                                     * written before the node was opened counts as one */
    int64_t meta_limit;             /* bytes of tables to keep in memory */
    BlockMetaCache *meta;           /* NULL until the first page */
    unsigned dirty_pages;           /* of it, that flush() has to write */
} BlockPrivate;

#define BLOCK_ZEROES 65536
extern const uint8_t block_zeroes[BLOCK_ZEROES];    /* aligned for O_DIRECT */

/* What the lowest node of an image is opened on */
typedef struct BlockSource {
    BlockTree *tree;
    const char *filename;           /* NULL: the options name it */
    const BlockStorage *storage;    /* in place of a file; NULL: none */
    GHashTable *chain;              /* must not be in there; NULL: it may be anything */
    const char *root;               /* as in BlockBackingOffer, */
    bool by_image;                  /* also this */
    const int *place;               /* an O_PATH descriptor of what the filename leads to; NULL: nobody has looked */
} BlockSource;

/* tree.c */
BlockTree *block_tree_new(void);
void block_tree_free(BlockTree *tree);
BlockDriverState *block_node_new(BlockTree *tree, const BlockDriver *drv, unsigned flags);
/* This one only; block_close(): with all that is below and behind it. NULL is allowed there */
void block_node_free(BlockDriverState *bs);
void block_close(BlockDriverState *bs);
/* Take the driver that @kv names; @fallback if it names none. NULL without @errp set: neither */
const BlockDriver *block_take_driver(KeyVal *kv, const BlockDriver *fallback, GError **errp);
/* What a file is opened with whose driver @kv does not name */
const BlockDriver *block_default_protocol(const BlockSource *from, const KeyVal *kv);
/* Put @filename into @kv if @table, of a driver, takes one, and no other is given there */
void block_name_file(KeyVal *kv, const BlockOption *table, const char *filename);
/* "file", or what the driver calls its child */
const char *block_file_key(const BlockDriver *drv);
BlockStorage *block_copy_storage(const BlockStorage *storage);
/* A node of @drv, by the options that it takes from @kv. @file: its child where that is open already, taken over in any case;
 * NULL: it is opened */
BlockDriverState *block_open_node(const BlockSource *from, const BlockDriver *drv, KeyVal *kv, unsigned flags,
                                  BlockDriverState *file, GError **errp);
/* The same by the driver that @kv names, or the default protocol */
BlockDriverState *block_open_child(const BlockSource *from, KeyVal *kv, unsigned flags, GError **errp);

/* name.c: put what @name stands for into @kv, where it is not given. *@filename, to be g_free()d: that of the file
 * at the bottom, NULL: it has none. @name may be NULL */
bool block_take_name(const char *name, KeyVal *kv, char **filename, GError **errp);

/* backing.c: open what is behind @bs, and behind that */
bool block_open_backings(BlockDriverState *bs, GError **errp);

/* chain.c */
/* The set of the files of the chain that @bs is in; it is begun if there is none */
GHashTable *block_chain_of(BlockDriverState *bs);
/* @backing is what is behind @bs. False if it is one of the images that lead there */
bool block_link_backing(BlockDriverState *bs, BlockDriverState *backing, GError **errp);
/* False if what the protocol @bs is about to open, by the name @filename, is in @chain */
bool block_may_open(GHashTable *chain, BlockDriverState *bs, const char *filename, GError **errp);
/* The set that @bs, the first of its chain, keeps, and its own entry; empty: a new one is begun when it is needed */
typedef struct BlockChain {
    GHashTable *files;
    const struct ChainFile *file;
} BlockChain;
BlockChain block_swap_chain(BlockDriverState *bs, BlockChain chain);

/* node.c: a change is a write, zeroes, or a discard. One that a format has to be alone for ends with -EAGAIN, and what
 * comes before @offset of the node is done, and nothing else. Remembered for the thread, until its next -EAGAIN */
int block_again(int64_t offset);
/* How much of [@offset, @offset + @bytes) of a node is done, whose change has just ended with -EAGAIN */
int64_t block_done(int64_t offset, int64_t bytes);

/* The driver's own read and write, aligned and inside the size. -EAGAIN if they are a format's */
int block_driver_read(BlockDriverState *bs, int64_t offset, BlockVec vec);
int block_driver_write(BlockDriverState *bs, int64_t offset, BlockVec vec);
int block_driver_write_end(BlockDriverState *bs, int64_t offset, BlockVec vec);
int block_driver_zero(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags);
/* 0, 1 or -errno, as the driver's status() */
int block_driver_status(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);
/* Is a format among the nodes below @node? */
bool block_is_over_format(BlockDriverState *node);
/* What the driver returned, made -EIO if it is -EAGAIN, and neither it nor anything below is a format: only a format may ask
 * to be alone, and nothing is made again for others */
int block_from_driver(BlockDriverState *bs, int ret);

/* call.c: the driver's function @name returned @ret; is that 0 or -errno? Else a warning, and -EIO */
int block_answer(BlockDriverState *bs, const char *name, int ret);
/* Do as bdrv_node_truncate(), with @opts, a struct filled by the driver's resize_options */
bool bdrv_node_resize(BlockDriverState *node, int64_t size, const void *opts, GError **errp);
/* @ok, and if it is false, there is a reason in @errp afterwards */
bool block_says_why(BlockDriverState *bs, const char *name, bool ok, GError **errp);
/* The extent of a format at @offset. -EAGAIN, by block_again(): ask again when nobody else is in the image */
int block_find_extent(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext);
/* After open(): can requests be made of a node of that size and alignment? */
bool block_opened_well(BlockDriverState *bs, GError **errp);

/* debug.c: tell the driver, see BlockDebug */
void block_debug_event(BlockDriverState *bs, const char *event);

/* flush-after.c */
/* Take the option's value; NULL: it was not given */
bool block_flush_after(BlockTree *tree, const char *text, GError **errp);
void block_flush_begins(BlockTree *tree);
/* After a request that wrote so many bytes, or none: is it time? */
bool block_flush_is_due(BlockTree *tree, int64_t written);

/* progress.c: have bdrv_go_on() ask @progress, NULL: nobody. For a call that is alone in the image, or makes it */
void block_begin_progress(BlockTree *tree, BlockProgress *progress, void *user);
/* Ask nobody from now on. If the call failed and was cancelled, *@errp says that of @name */
void block_end_progress(BlockTree *tree, const char *name, GError **errp);

/* notes.c */
void block_note_error(BlockTree *tree, const char *operation, int64_t offset, int err);
/* Opening or making an image failed, and there is none that the warning which explains it could be asked of: put the last
 * one into @errp. @any: it may explain any error; else EIO only */
void block_tell_warning(BlockTree *tree, bool any, GError **errp);

/* align.c: requests of any alignment, for a node that wants them aligned */
bool block_is_aligned(BlockDriverState *bs, int64_t offset, BlockVec vec);
int block_unaligned_read(BlockDriverState *bs, int64_t offset, BlockVec vec);
int block_unaligned_write(BlockDriverState *bs, int64_t offset, BlockVec vec);     /* is alone in its range */
/* Of a write to a node with request_alignment: the blocks that it touches. One that is @alone and reaches the end of
 * the file, or moves it, has all that comes behind */
BlockRange block_range(BlockDriverState *bs, int64_t offset, int64_t bytes, bool alone);

/* Is a read of [@offset, @offset + @bytes) of @node bdrv_mapped_read(), neither clipped nor bounced? */
static inline bool block_is_mapped(BlockDriverState *node, int64_t offset, int64_t bytes)
{
    return node->drv->map && node->request_alignment <= 1 && bytes <= bdrv_node_size(node) - offset;
}

/* The protocol at the bottom of @bs */
static inline BlockDriverState *block_lowest(BlockDriverState *bs)
{
    while (bs->file) {
        bs = bs->file;
    }
    return bs;
}

/* shortcut.c */
void block_shortcuts_open(BlockDriverState *root);      /* once all of its images are open */
void block_shortcuts_free(BlockTree *tree);
/* Who is the first to be asked where [@offset, @offset + @bytes) of @bs are: @bs or one of its backings */
BlockDriverState *block_shortcut(BlockDriverState *bs, int64_t offset, int64_t bytes);

/* metacache.c */
void block_meta_free(BlockDriverState *bs);

#endif
