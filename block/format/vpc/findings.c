/* findings.c - VHD: everything that may be wrong, and how it is told */
/* SPDX-License-Identifier: MIT
 *
 * The codes are those of docs/VHD.md.
 */
#include <inttypes.h>
#include <string.h>
#include "block/format/vpc/bat.h"
#include "block/format/vpc/findings.h"
#include "block/format/vpc/keys.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/state.h"

#define NOTE        BLOCK_CHECK_NOTE
#define LEAK        BLOCK_CHECK_LEAK
#define CORRUPTION  BLOCK_CHECK_CORRUPTION
#define LEAKS       BDRV_CHECK_FIX_LEAKS
#define ALL         BDRV_CHECK_FIX_ERRORS

const BlockCheckKind vpc_check_kinds[] = {
    [VPC_POISONED]          = { "P", NOTE, 0, true, "put out of use by Xen's tools", "nothing is repaired" },
    [VPC_UNFINISHED]        = { "U", CORRUPTION, 0, true, "marked as unfinished: what made it did not come to its end",
                                "it has a part of the disk only, and is to be made again; salvage=on reads what is "
                                "there" },

    [VPC_NO_FOOTER]         = { "F2", CORRUPTION, 0, true, "no footer at all",
                                "nothing says how large the disk is; salvage=on reads what its BAT has" },
    [VPC_NO_CHECKSUM]       = { "F5", CORRUPTION, ALL, false, "the only footer has a wrong checksum",
                                "all of its fields make sense, so the checksum is written anew" },
    [VPC_BAD_CHECKSUM]      = { "F5", CORRUPTION, ALL, false, "one of the footers has a wrong checksum",
                                "the other one is copied over it" },
    [VPC_NO_HEAD]           = { "F1", CORRUPTION, ALL, false, "no copy of the footer at the start",
                                "copied from the end; QEMU can't open the image without it" },
    [VPC_NO_TAIL]           = { "F2", CORRUPTION, ALL, false, "no footer at the end",
                                "written anew from its copy at the start" },
    [VPC_ENDS_ONE_WRONG]    = { "F3", CORRUPTION, ALL, true, "footer and copy differ, and one of them can't be right",
                                "the other one is copied over it" },
    [VPC_ENDS_DISAGREE]     = { "F3", CORRUPTION, 0, true, "footer and copy describe different disks",
                                "after a resize that was cut off, only you can say which of the two is right" },
    [VPC_ENDS_DIFFER]       = { "F3", NOTE, ALL, false, "footer and copy differ in what is not needed to read the disk",
                                "the one at the end counts, and is copied to the start" },
    [VPC_TAIL_511]          = { "F4", NOTE, ALL, false, "a footer of 511 bytes", "the last byte is added" },
    [VPC_BEHIND_FOOTER]     = { "G2", LEAK, LEAKS, false, "bytes behind the footer",
                                "the file is cut behind the footer" },

    [VPC_FOOTER_UNKNOWN]    = { "F6", CORRUPTION, 0, true, "a footer of an unknown kind", NULL },
    [VPC_SIZE_IMPOSSIBLE]   = { "F7", CORRUPTION, 0, true, "a size that can't be", NULL },
    [VPC_FILE_SHORT]        = { "F7", CORRUPTION, 0, false, "a fixed disk that is longer than its file",
                                "the end of it is lost; what is there can be converted" },
    [VPC_FOOTER_ODD]        = { "F6", NOTE, 0, false, "something unusual in the footer", NULL },
    [VPC_SIZE_ODD]          = { "F7", NOTE, 0, false, "programs do not agree on the size",
                                "convert with for=NAME makes an image for a certain one" },

    [VPC_HEADER_CHECKSUM]   = { "H1", CORRUPTION, ALL, false, "the header has a wrong checksum",
                                "all of its fields make sense, so the checksum is written anew" },
    [VPC_HEADER_GONE]       = { "H1", CORRUPTION, 0, true, "the header is damaged, and there is no second one",
                                "salvage=on looks for the BAT, and reads what is there" },
    [VPC_HEADER_UNKNOWN]    = { "H2", CORRUPTION, 0, true, "a header of an unknown version", NULL },
    [VPC_BLOCK_SIZE_BAD]    = { "H3", CORRUPTION, 0, true, "a block size that can't be", NULL },
    [VPC_BAT_BAD]           = { "H4", CORRUPTION, 0, true, "a BAT where none can be", NULL },
    [VPC_BAT_SHORT]         = { "H4", CORRUPTION, 0, true, "fewer BAT entries than the disk has blocks",
                                "the end of the disk can't be read; what is there can be converted" },
    [VPC_HEADER_ODD]        = { "H2", NOTE, 0, false, "something unusual in the header", NULL },
    [VPC_BLOCK_SIZE_ODD]    = { "H3", NOTE, 0, false, "an unusual block size",
                                "convert, for programs that read 2 MiB only" },
    [VPC_BAT_LONG]          = { "H4", NOTE, 0, false, "more BAT entries than the disk has blocks",
                                "convert, for Azure and 7-Zip, which want as many as are needed" },
    [VPC_BAT_PADDING]       = { "H5", NOTE, 0, false, "the padding of the BAT is neither ones nor zeroes", NULL },

    [VPC_LOCATOR_ODD]       = { "L1", NOTE, 0, false, "something unusual in a parent locator", NULL },
    [VPC_PARENT_MISSING]    = { "L2", CORRUPTION, 0, false, "the parent can't be opened",
                                "if it was moved, rebase -u tells the image where it is; check --backing-chain says "
                                "what is wrong with it" },
    [VPC_PARENT_OTHER]      = { "L3", CORRUPTION, 0, false, "what should be the parent has another unique id",
                                "rebase -u takes it all the same, if you know that it is right" },
    [VPC_PARENT_CYCLE]      = { "L5", CORRUPTION, 0, false, "the chain of parents has no end",
                                "rebase -u tells the image where its parent is" },
    [VPC_PARENT_UNSEEN]     = { "L2", NOTE, 0, false, "the parent was not looked for", "name the format with -f" },
    [VPC_PARENT_TIME]       = { "L4", NOTE, 0, false, "the parent was changed at another time than its child remembers",
                                "copying files does that, and so does a parent that was written to, which is bad" },
    [VPC_PARENT_SIZE]       = { "L6", NOTE, 0, false, "the parent has another size than its child", NULL },

    [VPC_BLOCK_CROWD]       = { "B3", CORRUPTION, 0, true, "far more blocks than there are places", NULL },
    [VPC_BLOCK_OUTSIDE]     = { "B2", CORRUPTION, ALL, false, "a BAT entry that points past the end of the file",
                                "cleared; what the block held is lost, and it reads as one that was never written" },
    [VPC_BLOCK_CUT]         = { "B2", CORRUPTION, ALL, false, "a block that is cut short by the end of the file",
                                "the file is made longer; what was cut off reads as zeroes" },
    [VPC_BLOCK_ON_NAMES]    = { "B1", CORRUPTION, ALL, false, "a block that lies over metadata",
                                "copied as it is to a place of its own; both keep what they have" },
    [VPC_BLOCK_OVERLAP]     = { "B4", CORRUPTION, ALL, false, "blocks that overlap",
                                "one of them is copied to a place of its own; both keep what they read as now" },
    [VPC_BLOCK_TWICE]       = { "B3", CORRUPTION, ALL, false, "two blocks in one place",
                                "one of them is copied to a place of its own; both keep what they read as now" },
    [VPC_BLOCK_ON_TABLES]   = { "B1", CORRUPTION, ALL, false, "a BAT entry that points at what an image needs",
                                "cleared; what the block held is lost, and it reads as one that was never written" },
    [VPC_BLOCK_BEYOND]      = { "B6", LEAK, LEAKS, false, "a block behind the end of the disk",
                                "its BAT entry is cleared" },
    [VPC_BLOCK_SHORT]       = { "B5", NOTE, 0, false, "the last block ends where the disk does", NULL },
    [VPC_BLOCK_UNALIGNED]   = { "B7", NOTE, 0, false, "data that is not aligned to 4 KiB, which costs speed", NULL },

    [VPC_LOCATOR_BAD]       = { "L1", CORRUPTION, ALL, false, "a parent locator that can't be right",
                                "its room is made to fit; if its name has no place it is cleared, and rebase -u "
                                "writes all of them anew" },
    [VPC_LOCATOR_IDLE]      = { "L1", NOTE, ALL, false, "a parent locator that can't be right, and has no parent",
                                "its room is made to fit, or it is cleared" },

    [VPC_BATMAP_LOST]       = { "M3", CORRUPTION, ALL, false, "a batmap where none can be",
                                "an empty one is made elsewhere, which says nothing wrong" },
    [VPC_BATMAP_LONG]       = { "M3", CORRUPTION, ALL, false, "a batmap that reaches over something else",
                                "it gets the length that it needs" },
    [VPC_BATMAP_CHECKSUM]   = { "M1", CORRUPTION, ALL, false, "the batmap has a wrong checksum",
                                "written anew, without bits that are wrong" },
    [VPC_BATMAP_WRONG]      = { "M2", CORRUPTION, ALL, false, "the batmap calls a block full that is not",
                                "that bit is cleared" },
    [VPC_BATMAP_NONE]       = { "M3", NOTE, 0, false, "no batmap to go by, though the creator always makes one", NULL },

    [VPC_DATA_UNDER_CLEAR]  = { "S1", CORRUPTION, ALL, false, "data in sectors whose bits are clear",
                                "the bits are set, so that all programs see what QEMU and others do see already" },
    [VPC_DATA_PAST_END]     = { "S2", NOTE, ALL, false, "data past the end of the disk, which growing it would show",
                                "zeroed, and the bits are cleared" },
    [VPC_BLOCK_CLEAR]       = { "S3", LEAK, LEAKS, false, "a block that holds nothing", "its BAT entry is cleared" },
    [VPC_BITS_PAST_END]     = { "S2", NOTE, 0, false, "bits set past the end of the disk, as QEMU sets them", NULL },
    [VPC_BLOCK_ZERO]        = { "S4", NOTE, 0, false, "a block of zeroes", "convert leaves it out" },

    [VPC_ROOM_EMPTY]        = { "G1", LEAK, LEAKS, false, "room before the footer that is not used, and empty",
                                "the footer moves down, and the file is cut" },
    [VPC_ROOM_USED]         = { "G1", LEAK, ALL, false,
                                "room before the footer that no BAT entry names, with data in it",
                                "the footer moves down, and the file is cut" },
    [VPC_GAP]               = { "G1", LEAK, 0, false, "space that no BAT entry names",
                                "convert makes an image without it; it may hold what is left of a lost block" },

    [VPC_MARKED]            = { "P", NOTE, 0, false, "a mark of its owner", NULL },
    [VPC_KINDS]             = { NULL }
};

bool vpc_is_severe(int kind)
{
    return kind < 0 || vpc_check_kinds[kind].level >= BLOCK_CHECK_CORRUPTION;
}

const char *vpc_check_code(int kind)
{
    return kind < 0 ? "IO" : vpc_check_kinds[kind].code;
}

bool vpc_check_read(VpcCheck *c, int64_t offset, void *buf, int64_t bytes, const char *what)
{
    int ret = bdrv_node_pread(c->bs->file, offset, buf, bytes);

    if (ret < 0) {
        vpc_found(c, -1, offset, -1, "the %s at %" PRId64 " could not be read: %s", what, offset, g_strerror(-ret));
    }
    return ret == 0;
}

void vpc_found_more(VpcCheck *c, VpcKind kind, int64_t count)
{
    if (c->found) {
        bdrv_check_found_more(c->found, (int)kind, count);
    }
}

void vpc_check_key(VpcCheck *c, VpcKeys *list, uint64_t key)
{
    if (!vpc_keys_add(list, key)) {
        vpc_found(c, -1, vpc_key_place(key), vpc_key_block(key),
                  "no memory to remember block %" PRId64 " beside %zu others", vpc_key_block(key), list->count);
    }
}

int64_t vpc_sectors_in(const VpcCheck *c, int64_t block)
{
    const VpcState *s = c->bs->state;

    return vpc_bytes_in(s, block, c->disk_size) / VPC_SECTOR;
}

VpcCheck *vpc_check_new(BlockDriverState *bs, BlockCheck *sums, BlockCheckBuilder *found)
{
    VpcState *s = bs->state;
    VpcCheck *c = g_new0(VpcCheck, 1);

    *c = (VpcCheck) { .bs = bs, .found = found, .sums = sums, .batmap_at = -1, .orderly = true };
    vpc_check_free(s->check);
    s->check = c;
    s->fixed = s->differencing = false;
    s->metadata_count = 0;
    memset(&s->header, 0, sizeof(s->header));
    s->read_limit = s->bat_offset = s->bat_bytes = s->block_size = s->bitmap_bytes = 0;
    return c;
}

void vpc_check_free(VpcCheck *c)
{
    if (!c) {
        return;
    }
    for (int i = 0; i < VPC_KINDS; i++) {
        vpc_keys_free(&c->keys[i]);
    }
    vpc_keys_free(&c->blocks);
    vpc_keys_free(&c->others);
    g_free(c->map);
    g_free(c);
}
