/* relocate.c - VHD: gives a dynamic disk a BAT of another length, and moves away the blocks that are in its way */
/* SPDX-License-Identifier: MIT
 *
 * vpc/resize.c calls this file to change the size of a disk. The tables are the header, the BAT, the batmap and the
 * parent locators. Other programs want all of them in front of all blocks, and most of them write to wrong places if a
 * table is behind a block. So a longer BAT stays in front, and the blocks there are copied to the end of the file.
 *
 * There is one header and one BAT, and neither may be half written at any time. So new tables are written to free
 * space, as in vpc/rebase.c. The footer says where the header is, and it is one sector, which is written as a whole or
 * not at all: changing it changes from the old tables to the new ones.
 *
 *   1  a footer further out                                                          flush
 *   2  above all blocks: copies of the blocks that are in the way; header; BAT with the places of the copies; batmap;
 *      locators that are in the way                                                  flush
 *   3  both footers refer to that header, and have the new size                      flush
 *   4  the same tables in front of the blocks, which nothing refers to any more       flush
 *   5  both footers refer to those                                                   flush
 *   6  the footer moves down, and the file is cut behind it; blocks fill the gaps that others left, see vpc/gaps.c
 *
 * After a power cut at any place the footer at the end of the file refers to a header, a BAT and locators that are
 * whole. The copy of the footer at the start may refer to another set of them: vpc_is_half_changed() in vpc/ends.c
 * allows for that. The same resize, made again, finishes one that was cut off.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/batmap.h"
#include "block/format/vpc/bitmap.h"
#include "block/format/vpc/footer.h"
#include "block/format/vpc/gaps.h"
#include "block/format/vpc/header.h"
#include "block/format/vpc/holes.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/locator.h"
#include "block/format/vpc/metadata.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/relocate.h"
#include "block/format/vpc/state.h"
#include "block/format/vpc/tail.h"
#include "util/be.h"
#include "util/checked.h"

#define LOCATORS    G_N_ELEMENTS(((VpcHeader *)NULL)->locators)

/* Where a set of tables is */
typedef struct Layout {
    int64_t header, bat;
    int64_t batmap;                 /* and the map behind it */
    int64_t locators[LOCATORS];     /* -1: where it was */
    int64_t end;
} Layout;

typedef struct Move {
    BlockDriverState *bs;
    VpcFooter footer;               /* the new one */
    int64_t entries, kept;
    int64_t old_bat;                /* where that was */
    VpcBatmap batmap;
    uint8_t *map;                   /* NULL: there is none */
    int64_t map_bytes;
    int64_t header_was;
    VpcHeader header;               /* the old one */
    Layout home, above;
    VpcKeys blocks;                 /* numbers of those that are in the way, */
    int64_t first, stride;          /* and where the first of them goes, the next, ... */
} Move;

/* Where tables belong */

static bool is_in(int64_t start, int64_t end, int64_t at, int64_t bytes)
{
    return start < at + bytes && at < end;
}

/* Return whether these bytes would be in the way of a table */
static bool is_in_way(const Layout *home, int64_t at, int64_t bytes)
{
    return is_in(home->header, home->header + (int64_t)sizeof(VpcHeader), at, bytes) ||
           is_in(home->bat, home->end, at, bytes);
}

static int64_t relocate_add_locator(int64_t at, const VpcLocator *l, int64_t *end)
{
    int64_t unit = be64_load(l->offset) % VPC_LOCATOR_ALIGN ? VPC_SECTOR : VPC_LOCATOR_ALIGN;
    int64_t start = align_up(at, unit);

    *end = align_up(start + vpc_locator_space(l), VPC_SECTOR);
    return start;
}

/* Place all but the locators, one behind the other */
static void lay_out(const Move *m, Layout *out, int64_t header, int64_t bat)
{
    *out = (Layout) { header, bat, bat + align_up(m->entries * 4, VPC_SECTOR) };
    out->end = out->batmap + (m->map ? (int64_t)sizeof(VpcBatmap) + m->map_bytes : 0);
    for (size_t i = 0; i < LOCATORS; i++) {
        out->locators[i] = -1;
    }
}

/* Return whether the locator @l is to move: it is in the way of other tables; or behind the BAT, which may be shorter
 * now; or where an earlier resize left it that was cut off */
static bool is_to_move(const Move *m, const VpcLocator *l)
{
    const VpcState *s = m->bs->state;
    int64_t at = (int64_t)be64_load(l->offset);
    bool behind_bat = at >= m->home.bat && at < s->first_block;
    bool away = m->header_was != VPC_HEADER_HOME && at > m->header_was;

    return be32_load(l->code) && (behind_bat || away || is_in_way(&m->home, at, vpc_locator_space(l)));
}

static void lay_out_home(Move *m)
{
    const VpcState *s = m->bs->state;
    bool usual = m->header_was == VPC_HEADER_HOME;
    Layout *home = &m->home;

    lay_out(m, home, VPC_HEADER_HOME, usual ? s->bat_offset : VPC_HEADER_HOME + (int64_t)sizeof(VpcHeader));
    for (size_t i = 0; i < LOCATORS; i++) {
        const VpcLocator *l = &m->header.locators[i];

        if (home->locators[i] < 0 && is_to_move(m, l)) {
            home->locators[i] = relocate_add_locator(home->end, l, &home->end);
            i = (size_t)-1;         /* from the beginning */
        }
    }
}

static void lay_out_above(Move *m, int64_t above)
{
    int64_t header = align_up(above, VPC_SECTOR);

    lay_out(m, &m->above, header, header + (int64_t)sizeof(VpcHeader));
    for (size_t i = 0; i < LOCATORS; i++) {
        if (m->home.locators[i] >= 0) {
            m->above.locators[i] = relocate_add_locator(m->above.end, &m->header.locators[i], &m->above.end);
        }
    }
}

/* Xen's batmap */

/* Read the bits of the blocks that the disk will have, if the map can be believed. A bit that is clear does no harm,
 * also where it could be set. Only bits that Xen sums up are read */
static int relocate_read_batmap(Move *m)
{
    VpcState *s = m->bs->state;
    int64_t needed = MAX(vpc_batmap_bytes(vpc_bat_entries(s)), VPC_SECTOR);
    VpcBatmap *b = &m->batmap;

    int ret = vpc_creator_is(&s->footer, "tap") ? bdrv_node_pread(m->bs->file, vpc_batmap_at(s), b, sizeof(*b)) : 0;
    if (ret < 0 || vpc_judge_batmap(b, needed, s->tail_at) & VPC_MAP_NO_COOKIE) {
        return ret;
    }
    int64_t bytes = MIN(vpc_batmap_length(b), needed);

    m->map_bytes = MAX(vpc_batmap_bytes(m->entries), VPC_SECTOR);
    m->map = g_try_malloc0((gsize)MAX(m->map_bytes, bytes));
    if (!m->map) {
        return -ENOMEM;
    }
    ret = bdrv_node_pread(m->bs->file, (int64_t)be64_load(b->offset), m->map, bytes);
    if (vpc_batmap_sum(m->map, bytes) != be32_load(b->checksum)) {
        memset(m->map, 0, (size_t)bytes);
    }
    vpc_clear_bits(m->map, m->kept, m->map_bytes * 8);
    for (int64_t i = vpc_batmap_summed((int64_t)be64_load(m->footer.current_size)); i < m->map_bytes; i++) {
        m->map[i] = 0;
    }
    return ret;
}

static int relocate_write_batmap(Move *m, const Layout *to)
{
    int64_t start = to->batmap + (int64_t)sizeof(m->batmap);

    if (!m->map) {
        return 0;
    }
    vpc_place_batmap(&m->batmap, start, m->map_bytes);
    vpc_seal_batmap(&m->batmap, vpc_batmap_sum(m->map, m->map_bytes));
    int ret = bdrv_node_pwrite(m->bs->file, to->batmap, &m->batmap, sizeof(m->batmap));

    return ret < 0 ? ret : bdrv_node_pwrite(m->bs->file, start, m->map, m->map_bytes);
}

/* Step 2 */

static int find_in_way(void *user, const VpcRun *run)
{
    Move *m = user;
    int64_t place = (int64_t)run->sector * VPC_SECTOR;

    if (!vpc_run_is_block(run) || !is_in_way(&m->home, place, vpc_stored_bytes(m->bs->state))) {
        return 0;
    }
    return vpc_keys_add(&m->blocks, (uint64_t)run->block) ? 0 : -ENOMEM;
}

static int copy_blocks(Move *m)
{
    VpcState *s = m->bs->state;
    int ret = 0;

    for (size_t i = 0; i < m->blocks.count && ret == 0; i++) {
        int64_t place, bytes = vpc_stored_bytes(s);

        ret = bdrv_go_on(m->bs, (int64_t)i * bytes, (int64_t)m->blocks.count * bytes) ? 0 : -ECANCELED;
        ret = ret < 0 ? ret : vpc_find_place(m->bs, (int64_t)m->blocks.at[i], &place);
        if (ret == 0) {
            ret = vpc_copy_bytes(m->bs, place, m->first + (int64_t)i * m->stride, bytes);
        }
    }
    return ret;
}

/* Change the entries from @block on: the old ones are in memory, and become the new ones. @next: the first of m->blocks
 * that may be among them */
static void change_entries(const Move *m, uint8_t *entries, int64_t bytes, int64_t block, size_t *next)
{
    for (int64_t i = 0; i < bytes; i += 4, block++) {
        if (block >= m->kept) {
            be32_store(entries + i, VPC_UNUSED);
        } else if (*next < m->blocks.count && (int64_t)m->blocks.at[*next] == block) {
            be32_store(entries + i, (uint32_t)((m->first + (int64_t)*next * m->stride) / VPC_SECTOR));
            ++*next;
        }
    }
}

/* Write the BAT with its padding */
static int write_bat(Move *m, int64_t to)
{
    g_autofree uint8_t *piece = g_try_malloc(VPC_BAT_PIECE);
    int64_t bytes = align_up(m->entries * 4, VPC_SECTOR);
    size_t next = 0;
    int ret = piece ? 0 : -ENOMEM;

    for (int64_t at = 0, n; at < bytes && ret == 0; at += n) {
        n = MIN(bytes - at, VPC_BAT_PIECE);
        int64_t old = CLAMP(m->kept * 4 - at, 0, n);

        ret = bdrv_node_pread(m->bs->file, m->old_bat + at, piece, old);
        if (ret == 0) {
            change_entries(m, piece, n, at / 4, &next);
            ret = bdrv_node_pwrite(m->bs->file, to + at, piece, n);
        }
    }
    return ret;
}

static int relocate_write_header(const Move *m, const Layout *to, VpcHeader *h)
{
    *h = m->header;
    be64_store(h->table_offset, (uint64_t)to->bat);
    be32_store(h->entries, (uint32_t)m->entries);
    for (size_t i = 0; i < LOCATORS; i++) {
        if (to->locators[i] >= 0) {
            be64_store(h->locators[i].offset, (uint64_t)to->locators[i]);
        }
    }
    vpc_seal_header(h);
    return bdrv_node_pwrite(m->bs->file, to->header, h, sizeof(*h));
}

/* Write all tables to the places in @to. @from: where the locators are now; the places do not overlap */
static int relocate_write_tables(Move *m, const int64_t *from, const Layout *to, VpcHeader *header)
{
    int ret = write_bat(m, to->bat);

    if (ret == 0) {
        ret = relocate_write_batmap(m, to);
    }
    for (size_t i = 0; i < LOCATORS && ret == 0; i++) {
        if (to->locators[i] >= 0) {
            ret = vpc_copy_bytes(m->bs, from[i], to->locators[i], vpc_locator_space(&m->header.locators[i]));
        }
    }
    if (ret == 0) {
        ret = relocate_write_header(m, to, header);
    }
    return ret < 0 ? ret : bdrv_node_flush(m->bs->file);
}

/* Change over */

/* Take steps 3 and 5: make both footers refer to the header of @to */
static int relocate_refer_to(Move *m, const Layout *to, const VpcHeader *header)
{
    VpcState *s = m->bs->state;

    be64_store(m->footer.data_offset, (uint64_t)to->header);
    int ret = vpc_change_footer(m->bs, &m->footer);
    if (ret == 0) {
        s->header = *header;
        s->bat_offset = to->bat;
        s->bat_bytes = m->entries * 4;
    }
    return ret;
}

/* Take steps 1 to 3 */
static int relocate_change_over(Move *m)
{
    VpcState *s = m->bs->state;
    int64_t from[LOCATORS];
    VpcHeader header;
    int ret = m->above.end > s->tail_at ? vpc_move_tail(m->bs, m->above.end) : 0;

    for (size_t i = 0; i < LOCATORS; i++) {
        from[i] = (int64_t)be64_load(m->header.locators[i].offset);
    }
    if (ret == 0) {
        s->blocks_end = MAX(s->blocks_end, m->above.end);
        vpc_spoil_room(s, s->blocks_end);
        ret = copy_blocks(m);
    }
    if (ret == 0) {
        ret = relocate_write_tables(m, from, &m->above, &header);
    }
    return ret < 0 ? ret : relocate_refer_to(m, &m->above, &header);
}

/* Take steps 4 and 5 */
static int relocate_move_tables_back(Move *m)
{
    VpcHeader header;

    m->old_bat = m->above.bat;
    m->blocks.count = 0;            /* that one has their places already */
    int ret = relocate_write_tables(m, m->above.locators, &m->home, &header);

    return ret < 0 ? ret : relocate_refer_to(m, &m->home, &header);
}

static int move_tables(Move *m)
{
    VpcState *s = m->bs->state;
    int64_t end = s->blocks_end, allocated = s->allocated, entries = vpc_bat_entries(s);
    int ret = relocate_read_batmap(m);

    if (ret == 0) {
        lay_out_home(m);
        ret = vpc_walk_bat(m->bs, m->kept, find_in_way, m);
    }
    if (ret < 0) {
        return ret;
    }
    m->first = vpc_place_above(s, MAX(s->blocks_end, m->home.end));
    m->stride = vpc_place_above(s, m->first + vpc_stored_bytes(s)) - m->first;
    lay_out_above(m, m->first + (int64_t)m->blocks.count * m->stride);
    ret = relocate_change_over(m);
    if (ret < 0) {
        vpc_give_back(m->bs, end);
        return ret;
    }
    int away = relocate_move_tables_back(m);
    s->read_limit = s->blocks_end;
    if (away < 0) {
        (void)vpc_claim_again(m->bs);
        bdrv_warn(m->bs, "leftover", "the tables could not be put back to their usual place and stay at %" PRId64 ": "
                  "%s", m->above.header, g_strerror(-away));
        return 0;
    }
    ret = vpc_cut_room(m->bs);
    if (ret == 0 && (m->entries < entries || s->allocated < allocated)) {
        ret = vpc_fill_gaps(m->bs);
    }
    if (ret < 0) {
        bdrv_warn(m->bs, "leftover", "not all of the space that is free now could be given back: %s", g_strerror(-ret));
    }
    return 0;
}

bool vpc_move_tables(BlockDriverState *bs, const VpcFooter *footer, int64_t entries, int64_t kept, GError **errp)
{
    VpcState *s = bs->state;
    Move m = { .bs = bs, .footer = *footer, .entries = entries, .kept = MIN(kept, MIN(entries, vpc_bat_entries(s))),
               .old_bat = s->bat_offset, .header_was = (int64_t)be64_load(s->footer.data_offset), .header = s->header };

    int ret = move_tables(&m);

    bdrv_meta_forget(bs);
    vpc_keys_free(&m.blocks);
    g_free(m.map);
    if (ret < 0) {
        bdrv_set_error(errp, -ret, "could not write a BAT of %" PRId64 " entries: %s", entries, g_strerror(-ret));
    }
    return ret == 0;
}
