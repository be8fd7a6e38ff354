/* candidates.h - VHD: the paths where the parent of a differencing disk may be */
/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_VPC_CANDIDATES_H
#define BLOCK_VPC_CANDIDATES_H

#include <glib.h>
#include <miniblk/driver.h>
#include "block/format/vpc/locator.h"
#include "block/format/vpc/on-disk.h"

/* How names of another host are turned into paths of this one */
typedef struct VpcParentRules {
    const char *drives;         /* "C=/mnt/c;D=/data": folders for drive letters; NULL: none */
    const char *search;         /* "/a:/b": folders to look for the last part of each name in; NULL: none */
    bool exact;                 /* do not list folders to find a name in other case, last of all */
    const char *root;           /* nothing outside of this folder is looked at; NULL: no folder is a limit */
    const char *real;           /* the child's path without symbolic links; NULL: @root is, too, and its name tells */
} VpcParentRules;

/* Accept @rules. False if the drive map is not of that form; vpc_parent_candidates() leaves out items that are not */
bool vpc_accept_parent_rules(const VpcParentRules *rules, GError **errp);

/* Entries of a folder that are compared with a name in other case */
#define VPC_PARENT_ENTRIES 100000

/* One path to try, and the name that led to it */
typedef struct VpcCandidate {
    char *path;                 /* of this host */
    size_t ours;                /* so many bytes of @path are a folder of the user's; the image named the rest */
    bool exact;                 /* nothing was done to the name */
    bool below;                 /* that folder is the one to look in, and not one that ".." leads to, or the root */
    bool cut;                   /* not to be opened: a folder that has more entries than are looked at */
    char *name;                 /* what led to it, as it is written there, but with '/', and without "./" */
    char *source;               /* "W2ru locator", "header's name", for messages */
} VpcCandidate;

/* List where the parent of the image @child may be, in the order in which the places are to be tried; each path
 * once. No place is opened. @child "": it is no file, so nothing is relative to it. Never NULL; elements are
 * VpcCandidate *, freed with the array. */
GPtrArray *vpc_parent_candidates(const VpcHeader *header, const VpcLocatorData locators[VPC_LOCATORS],
                                 const char *child, const VpcParentRules *rules);

/* List the last part of each name that the image has for its parent, in that order, each once. Elements are
 * char *, freed with the array, and NULL at its end. */
GPtrArray *vpc_parent_names(const VpcHeader *header, const VpcLocatorData locators[VPC_LOCATORS]);

#endif
