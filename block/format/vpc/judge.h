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

#endif
