/* first-table.h - the table of a driver as it was with the first modules, which must work for ever */
/* SPDX-License-Identifier: MIT
 *
 * Nothing is ever changed here. BlockDriver may have more fields behind these. TABLE_IS_SHORT leaves out the last three:
 * so a table looks that is older than the library.
 */
#ifndef FIRST_TABLE_H
#define FIRST_TABLE_H

#include <miniblk/driver.h>

#define FIRST_ABI 1

typedef struct FirstTable {
    const char *name;
    const char *alias;
    const char *description;
    bool is_protocol;
    bool parallel;
    const char *file_key;
    size_t state_size;
    size_t open_size, create_size, amend_size;
    const BlockOption *open_options, *create_options, *amend_options;
    int (*probe)(const BlockProbe *probe);
    char *(*suspect)(const BlockProbe *probe);
    bool (*open)(BlockDriverState *bs, const void *opts, unsigned flags, GError **errp);
    bool (*amend)(BlockDriverState *bs, const void *opts, GError **errp);
    bool (*open_backing)(BlockDriverState *bs, GError **errp);
    int (*read)(BlockDriverState *bs, int64_t offset, BlockVec vec);
    int (*write)(BlockDriverState *bs, int64_t offset, BlockVec vec);
    int (*flush)(BlockDriverState *bs);
    void (*close)(BlockDriverState *bs);
    bool (*create)(BlockDriverState *bs, const void *opts, GError **errp);
    int (*map)(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned mode, BlockExtent *ext);
    int (*map_done)(BlockDriverState *bs, const BlockExtent *ext);
    int (*status)(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags, BlockStatus *st);
    int (*zero)(BlockDriverState *bs, int64_t offset, int64_t bytes, unsigned flags);
    int (*write_end)(BlockDriverState *bs, int64_t offset, BlockVec vec);
    void (*remove)(BlockDriverState *bs);
    bool (*truncate)(BlockDriverState *bs, int64_t size, GError **errp);
    bool (*identify)(BlockDriverState *bs, const char *filename, BlockIdentity *id);
    bool (*info)(BlockDriverState *bs, BlockInfo *info, BlockInfoBuilder *items, GError **errp);
    const BlockDebug *debug;
    BlockDriverState *(*open_other_backing)(BlockDriverState *bs, const char *filename, GError **errp);
    bool (*change_backing)(BlockDriverState *bs, BlockDriverState *backing, GError **errp);
    const BlockCheckKind *check_kinds;
    bool (*check)(BlockDriverState *bs, BlockCheck *check, BlockCheckBuilder *found, GError **errp);
    int (*repair)(BlockDriverState *bs, int kind);
    const char *const *prefixes;
    char *(*parse_name)(const char *name, const char **rest, GError **errp);
    bool (*preallocate)(BlockDriverState *bs, int64_t offset, int64_t bytes, bool full, GError **errp);
    bool (*get_facts)(BlockDriverState *bs, BlockFileFacts *facts);
#ifndef TABLE_IS_SHORT
    const BlockOption *resize_options;
    size_t resize_size;
    bool (*resize)(BlockDriverState *bs, int64_t size, const void *opts, GError **errp);
#endif
} FirstTable;

#ifndef TABLE_IS_SHORT
/* Expand FIELD(name) for each field */
#define FIRST_FIELDS(FIELD) \
    FIELD(name) FIELD(alias) FIELD(description) FIELD(is_protocol) FIELD(parallel) FIELD(file_key) \
    FIELD(state_size) FIELD(open_size) FIELD(create_size) FIELD(amend_size) FIELD(open_options) \
    FIELD(create_options) FIELD(amend_options) FIELD(probe) FIELD(suspect) FIELD(open) FIELD(amend) \
    FIELD(open_backing) FIELD(read) FIELD(write) FIELD(flush) FIELD(close) FIELD(create) FIELD(map) \
    FIELD(map_done) FIELD(status) FIELD(zero) FIELD(write_end) FIELD(remove) FIELD(truncate) FIELD(identify) \
    FIELD(info) FIELD(debug) FIELD(open_other_backing) FIELD(change_backing) FIELD(check_kinds) FIELD(check) \
    FIELD(repair) FIELD(prefixes) FIELD(parse_name) FIELD(preallocate) FIELD(get_facts) FIELD(resize_options) \
    FIELD(resize_size) FIELD(resize)
#endif

#endif
