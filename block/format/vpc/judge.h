/* judge.h - VHD: every rule about what is on disk, once */
/* SPDX-License-Identifier: MIT
 *
 * A rule returns what it found and has no opinion of how bad that is: open() stops at the first fault that it can't do
 * with, a check reports all of them, and salvage=on goes on.
 */
#ifndef BLOCK_VPC_JUDGE_H
#define BLOCK_VPC_JUDGE_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/on-disk.h"

/* What may be wrong with a footer whose checksum is right, in the order in which it is looked for */
typedef enum VpcFooterFault {
    VPC_FOOTER_GOOD, VPC_FOOTER_VERSION_BAD, VPC_FOOTER_TYPE_BAD, VPC_FOOTER_SIZE_BAD,
} VpcFooterFault;

/* Return the first fault, and in *@why the clause that says so; g_free() it. NULL: there is none */
VpcFooterFault vpc_judge_footer(const VpcFooter *footer, char **why);
/* Is @at, a footer's data offset, a place for a header in front of @limit? */
bool vpc_is_header_place(uint64_t at, int64_t limit);

/* What may be wrong with a header, in the order in which it is looked for; its checksum is apart from this */
typedef enum VpcHeaderFault {
    VPC_HEADER_GOOD, VPC_HEADER_NO_COOKIE, VPC_HEADER_VERSION_BAD, VPC_HEADER_BLOCK_SIZE_BAD, VPC_HEADER_TOO_MANY_ENTRIES,
    VPC_HEADER_BAT_UNALIGNED, VPC_HEADER_BAT_OUTSIDE,
} VpcHeaderFault;

/* Return the first fault, where tables end at or before @limit. The cookie alone can be told of a header of any file */
VpcHeaderFault vpc_judge_header(const VpcHeader *header, int64_t limit);

#endif
