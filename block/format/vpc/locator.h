/* locator.h - VHD: the names that a differencing disk has of its parent */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_LOCATOR_H
#define BLOCK_VPC_LOCATOR_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/on-disk.h"

/* The codes of the locators, big-endian on disk */
enum {
    VPC_LOCATOR_W2RU = 0x57327275,
    VPC_LOCATOR_W2KU = 0x57326b75,
    VPC_LOCATOR_WI2R = 0x57693272,
    VPC_LOCATOR_WI2K = 0x5769326b,
    VPC_LOCATOR_MAC  = 0x4d616320,
    VPC_LOCATOR_MACX = 0x4d616358,
};

/* Bytes of a parent locator that are read: what Windows 10 keeps free for one */
#define VPC_MAX_LOCATOR 65536

/* What may be wrong with a locator that is in use */
enum {
    VPC_NAME_UNKNOWN    = 1 << 0,       /* nobody knows its code */
    VPC_NAME_EMPTY      = 1 << 1,
    VPC_NAME_LONG       = 1 << 2,       /* longer than VPC_MAX_LOCATOR */
    VPC_NAME_OVER_SPACE = 1 << 3,       /* longer than its space */
    VPC_NAME_OUTSIDE    = 1 << 4,       /* the used part of its space ends past the limit */
    VPC_NAME_ROOM_OUTSIDE = 1 << 5,     /* its space ends past the limit. Always with VPC_NAME_OUTSIDE */
};

/* Return all that is wrong with @locator in a file whose metadata ends at or before @limit. 0: nothing is */
unsigned vpc_judge_locator(const VpcLocator *locator, int64_t limit);

/* The data of the eight locators, as they are on disk; an entry is NULL where the slot is unused, of an
 * unknown kind, not to be believed, or can't be read (a warning says why) */
typedef struct VpcLocatorData {
    uint32_t code;
    GBytes *bytes;
} VpcLocatorData;

enum { VPC_LOCATORS = 8 };

/* Return the name of a kind, "W2ru locator"; NULL: there is no such kind */
const char *vpc_locator_name(uint32_t code);

/* Read all eight; vpc_free_locators() frees what was read */
void vpc_read_locators(BlockDriverState *bs, const VpcHeader *header, VpcLocatorData out[VPC_LOCATORS]);
void vpc_free_locators(VpcLocatorData locators[VPC_LOCATORS]);

/* Return a parent's name as it is written, in UTF-8. g_free() it */
char *vpc_locator_text(const VpcLocatorData *locator);
char *vpc_header_name(const VpcHeader *header);

/* Make the names by which others find @parent, to be written into a child: both are paths of this host, @parent as the
 * user gave it. Fills the name in @header, and in *@out the data of W2ku, W2ru and MacX, in this order; the caller
 * unrefs them. On failure there is nothing in *@out to free. */
bool vpc_describe_parent(const char *child, const char *parent, VpcHeader *header, VpcLocatorData out[3],
                         GError **errp);

#define VPC_LOCATOR_ALIGN 4096          /* where their data begins, as Windows has it */

/* Return how many bytes of the file @locator has, whether its space counts bytes or sectors */
int64_t vpc_locator_space(const VpcLocator *locator);
/* Return how many of these bytes have data that is read */
int64_t vpc_locator_used(const VpcLocator *locator);
/* Return how many bytes of the file a locator with this data is to have */
int64_t vpc_space_needed(const VpcLocatorData *locator);
/* Write the data to @at, and fill the entry in @header; *@end is where its space ends. 0 or -errno */
int vpc_write_locator(BlockDriverState *bs, VpcHeader *header, unsigned slot, const VpcLocatorData *locator,
                      int64_t at, int64_t *end);

#endif
