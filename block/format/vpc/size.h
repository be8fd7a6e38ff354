/* size.h - VHD: which sizes a disk can have, by its type and its readers, and the geometry that goes with each */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_SIZE_H
#define BLOCK_VPC_SIZE_H

#include "block/format/vpc/on-disk.h"

/* A family of programs that an image may be made for, and what they want of it; see docs/VHD.md */
typedef struct VpcReader {
    const char *name;           /* NULL: anybody */
    int64_t unit;               /* sizes are rounded up to a multiple of it; 0: until C x H x S says the same */
    int64_t max_size;           /* of a fixed disk; of others it is no more than VPC_MAX_SIZE */
    uint32_t creator_version;
    char creator[4];
    char creator_os[4];
    bool fixed;                 /* that is what it wants if nobody asks for something else */
    bool batmap;
} VpcReader;
extern const char *const vpc_reader_names[];
/* Return row @reader of the table, an index into vpc_reader_names. -1: the row for anybody or, without @force_size,
 * QEMU's */
const VpcReader *vpc_reader(int reader, bool force_size);
/* Return the reader by whose rules an image with this footer is resized to @size if no option names a reader */
const VpcReader *vpc_reader_of(const VpcFooter *footer, int64_t size);
/* Round @wanted up to *@size, which @reader can see. False: no disk of this type can be that large for it */
bool vpc_choose_size(BlockDriverState *bs, const VpcReader *reader, bool fixed, int64_t wanted, int64_t *size,
                     GError **errp);
/* Warn if @reader does not take such a disk */
void vpc_warn_of_reader(BlockDriverState *bs, const VpcReader *reader, bool fixed, int64_t size);
/* Say why Azure does not take such a disk, see docs/VHD.md, "Azure". NULL: it does */
const char *vpc_not_for_azure(bool fixed, int64_t size);
/* Set the creator's fields of a footer */
void vpc_set_reader(VpcFooter *f, const VpcReader *reader);
/* Set original_size, current_size and geometry of a new footer, or change those of one that has them:
 * vpc_change_size() keeps heads and sectors that are not the algorithm's */
void vpc_set_size(VpcFooter *f, int64_t size);
void vpc_change_size(VpcFooter *f, int64_t size);
/* Set the geometry of a footer that has its sizes from "cylinders/heads/sectors" */
bool vpc_set_geometry(VpcFooter *f, const char *text, GError **errp);
/* Set the largest geometry, whatever the size: for readers of this creator it is not the size */
void vpc_set_max_geometry(VpcFooter *f);
/* Round @size up to one that a geometry can say; above the largest of them, to a sector */
int64_t vpc_round_to_geometry(int64_t size);
/* Check that the sector numbers of a full disk fit into BAT entries, and the BAT into VPC_MAX_BAT bytes */
bool vpc_accept_numbers(int64_t size, int64_t block_size, GError **errp);

#endif
