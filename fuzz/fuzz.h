/* fuzz.h - shared by the fuzz targets: inputs, a disk in memory, images from bytes, a guard on files */
/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>
#include <miniblk/block.h>

/* Each target has these two functions; main.c and the fuzzers call them */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Report a finding and abort, unless the condition holds */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_fail(const char *file, int line, const char *what);

/* Print what is being done if FUZZ_VERBOSE is in the environment */
void fuzz_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The rest of an input; zeroes behind its end */
typedef struct FuzzInput {
    const uint8_t *at;
    size_t left;
} FuzzInput;

uint8_t fuzz_u8(FuzzInput *in);
uint32_t fuzz_number(FuzzInput *in, int bytes);     /* big-endian */
char *fuzz_text(FuzzInput *in, size_t bytes);       /* up to a NUL; g_free() it */

/* Fill @buf with bytes that depend on the writer, @stamp, and on their place */
void fuzz_fill(uint8_t *buf, int64_t at, int64_t bytes, unsigned stamp);
bool fuzz_is_zero(const uint8_t *buf, int64_t bytes);

enum { FUZZ_READ = 1, FUZZ_WRITE = 2, FUZZ_FLUSH = 4, FUZZ_TRUNCATE = 8 };

/* Storage that aborts if a request leaves its size. Pages of zeroes take no memory */
typedef struct FuzzDisk {
    int64_t size;
    int64_t limit;              /* it never grows beyond this */
    bool fixed;                 /* it has no truncate function */
    bool read_only;             /* it has no write function */
    unsigned writes;            /* how many there were, truncates included */
    unsigned fail_kinds;        /* FUZZ_READ…: the kinds that fail, */
    int fail_after;             /* after so many that succeed; */
    int fail_count;             /* then so many fail; 0: none */
    unsigned failed;            /* how many have failed */
    uint8_t **pages;
    size_t count;
} FuzzDisk;

void fuzz_disk_load(FuzzDisk *disk, const uint8_t *data, int64_t size);     /* all other fields of @disk stay */
void fuzz_disk_clear(FuzzDisk *disk);
BlockStorage fuzz_disk_storage(FuzzDisk *disk);

/* How an image of any bytes is opened: the first bytes of an input. The image follows them */
#define FUZZ_SETUP_BYTES 16
typedef struct FuzzSetup {
    uint8_t driver, flags, repair, rule, align, offset, cache;
    uint8_t gap_fill, fail, limit;
    uint16_t gap_at, gap;       /* sectors */
    uint8_t extra[2];
} FuzzSetup;

enum {                          /* flags */
    FUZZ_RDWR         = 1 << 0,
    FUZZ_UNMAP        = 1 << 1,
    FUZZ_WRITETHROUGH = 1 << 2,
    FUZZ_NO_BACKING   = 1 << 3,
    FUZZ_FIXED_DISK   = 1 << 4,
    FUZZ_READ_ONLY    = 1 << 5,
    FUZZ_PARENT       = 1 << 6, /* base.raw is the parent, whatever the image says */
    FUZZ_SNAPSHOT     = 1 << 7,
};

enum {                          /* repair, before it is opened: */
    FUZZ_SUM_ENDS   = 1 << 0,   /* give footers their correct checksums */
    FUZZ_SUM_HEADER = 1 << 1,   /* and the header, too */
    FUZZ_COPY_HEAD  = 1 << 2,   /* copy the footer at the start to the end */
    FUZZ_ADD_TAIL   = 1 << 3,   /* append it, behind the other bytes */
    FUZZ_SHORT_TAIL = 1 << 4,   /* as a footer of 511 bytes */
};

FuzzSetup fuzz_take_setup(FuzzInput *in);
void fuzz_make_disk(FuzzDisk *disk, const FuzzSetup *setup, FuzzInput in);
/* Open with the flags of @setup, without @drop, and with @add */
BlockDriverState *fuzz_open_disk(FuzzDisk *disk, const FuzzSetup *setup, unsigned drop, unsigned add, GError **errp);

/* Set the checksums of footers and header, where the bytes look like them */
void fuzz_vhd_repair(uint8_t *image, size_t size, unsigned repair);

/* Return where the image begins in an input of this target, for the mutator */
size_t fuzz_image_at(const uint8_t *data, size_t size);

/* Ask all questions about an image, within bounds: none may crash, and the answers must agree */
void fuzz_look_at(BlockDriverState *bs);

/* The scratch folder of a run, with "in", "in/sub", "out" and "base.raw"; it is removed at exit */
extern char *fuzz_folder;
#define FUZZ_BASE_BYTES 65536
#define FUZZ_BASE_STAMP 77
void fuzz_make_folder(void);
void fuzz_put_file(const char *name, const uint8_t *data, size_t size);

/* A guard on files: while it is on, the library can open only files inside a folder, and only read them */
typedef struct FuzzGuard {
    bool on;
    const char *inside;         /* the folder, with symbolic links resolved */
    bool strict;                /* opening a file outside is a finding; else it fails with EACCES */
    unsigned outside, written;  /* how often a file outside was opened, and one for writing */
} FuzzGuard;
extern FuzzGuard fuzz_guard;

#endif
