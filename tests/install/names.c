/* names.c - a program that has functions of the names that the library has inside: none may take the other's calls */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <miniblk/block.h>

#define SIZE (8 << 20)

static int wrong;                   /* how often the library called one of these */
static int flushes;                 /* how often it flushed the storage */
static unsigned char bytes[SIZE];

#define OWN(name) \
    int name(void); \
    int name(void) \
    { \
        wrong++; \
        fprintf(stderr, "the library calls the program's %s()\n", #name); \
        exit(1); \
    }
OWN(vpc_open)
OWN(vpc_map)
OWN(path_join)
OWN(keyval_parse)
OWN(gate_enter)
OWN(block_close)
#ifdef PUBLIC_NAMES
/* The shared library only: of a static one a program cannot replace a part. block.h declares them in another way */
int own_flush(void) __asm__("bdrv_flush");
int own_node_flush(void) __asm__("bdrv_node_flush");
OWN(own_flush)
OWN(own_node_flush)
#endif
int bdrv_vpc = 1;
int bdrv_raw = 2;

static int storage_read(void *user, int64_t offset, void *buf, int64_t length)
{
    memcpy(buf, bytes + offset, (size_t)length);
    return 0;
}

static int storage_write(void *user, int64_t offset, const void *buf, int64_t length)
{
    memcpy(bytes + offset, buf, (size_t)length);
    return 0;
}

static int storage_flush(void *user)
{
    flushes++;
    return 0;
}

/* Return what went wrong; NULL: nothing */
static const char *use(void)
{
    const BlockStorage storage = { SIZE, NULL, storage_read, storage_write, storage_flush, NULL };
    char text[14] = "";
    GError *err = NULL;

    if (!bdrv_create_storage(&storage, "driver=vpc,size=2M", &err)) {
        return bdrv_error_message(err);
    }
    BlockDriverState *bs = bdrv_open_storage(&storage, "driver=vpc", BDRV_O_RDWR, &err);

    if (!bs) {
        return bdrv_error_message(err);
    }
    int before = flushes;

    if (bdrv_pwrite(bs, 1 << 20, "Hello, world!", 14, BDRV_REQ_FUA) != 0 || flushes == before) {
        return "a write was not flushed";
    }
    if (bdrv_pread(bs, 1 << 20, text, sizeof(text), 0) != 0 || strcmp(text, "Hello, world!") != 0) {
        return "it is read back in another way";
    }
    before = flushes;
    if (bdrv_pwrite(bs, 0, "more", 4, 0) != 0 || bdrv_close(bs) != 0 || flushes == before) {
        return "close did not flush";
    }
    return bdrv_vpc == 1 && bdrv_raw == 2 ? NULL : "the library changed a variable of the program";
}

int main(void)
{
    const char *problem = use();

    puts(problem ? problem : "our calls are ours");
    return problem || wrong ? 1 : 0;
}
