/* chain.c - fuzz target: a differencing image and its parents, with names, locators and folders of the input */
/* SPDX-License-Identifier: MIT
 *
 * The files lie in "in", "in/sub" and "out". If parent-root is given, it is "in", and opening a parent outside of it is
 * a finding. Texts of the input name files; a byte of 1 in them stands for the scratch folder. Parents are files there,
 * or offers of a resolver, in storage or as files, in any order.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "fuzz.h"
#include "block/format/vpc/on-disk.h"
#include "block/format/vpc/candidates.h"
#include "util/be.h"

#define MAX_IMAGES 5
#define DISK_BYTES 8192
#define BLOCK 2048

enum { ROOT = 1, SEARCH = 2, DRIVES = 4, IGNORE_ID = 8, SHALLOW = 16, RDWR = 32, NAMED = 64, IN_STORAGE = 128 };
enum { COMMIT = 1, REBASE = 2, ALONE = 4, SNAPSHOT = 8, CREATE = 16, RESOLVE = 32, OFFER_FILES = 64, GO_ON = 128 };

static const char *const places[] = {
    "in/child.vhd", "in/a.vhd", "in/sub/b.vhd", "out/c.vhd", "in/Sub/B.VHD", "in/d\xc3\xa9.vhd", "in/sub/child.vhd",
    "out/a.vhd",
};

/* One image: footers, header, BAT, locators, blocks */
typedef struct Image {
    const char *place;
    GByteArray *bytes;
    FuzzDisk disk;              /* the image as storage */
} Image;

typedef struct Chain {
    uint8_t flags, more;
    unsigned count;
    Image images[MAX_IMAGES];   /* the child is the first */
} Chain;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_folder();
    g_autofree char *link = g_build_filename(fuzz_folder, "in/link.vhd", NULL);
    g_autofree char *folder = g_build_filename(fuzz_folder, "in/away", NULL);

    FUZZ_CHECK(symlink("../out/c.vhd", link) == 0 && symlink("../out", folder) == 0);
    return 0;
}

/* Take a text, with the scratch folder for each 1, which paths do not have otherwise */
static char *take_text(FuzzInput *in)
{
    char *text = fuzz_text(in, fuzz_u8(in) % 64);
    g_auto(GStrv) parts = g_strsplit(text, "\1", -1);

    g_free(text);
    return g_strjoinv(fuzz_folder, parts);
}

/* Encode @text in UTF-16 or UTF-8, with Windows' separators or not */
static GByteArray *encode(const char *text, uint8_t how)
{
    GByteArray *bytes = g_byte_array_new();

    for (; *text; text++) {
        uint8_t c = how & 1 && *text == '/' ? '\\' : (uint8_t)*text;
        const uint8_t little[] = { c, how & 8 ? 1 : 0 }, big[] = { 0, c };

        g_byte_array_append(bytes, how & 4 ? &c : how & 2 ? big : little, how & 4 ? 1 : 2);
    }
    return bytes;
}

static void set_footer(VpcFooter *f, uint32_t type, uint8_t id)
{
    memcpy(f->cookie, VPC_COOKIE, 8);
    be32_store(f->features, VPC_FEATURES);
    be32_store(f->version, VPC_VERSION);
    be64_store(f->data_offset, type == VPC_FIXED ? UINT64_MAX : sizeof(*f));
    memcpy(f->creator, "tst ", 4);
    be64_store(f->current_size, DISK_BYTES);
    be64_store(f->original_size, DISK_BYTES);
    be32_store(f->type, type);
    memset(f->uuid, id, sizeof(f->uuid));
}

static void pad(GByteArray *bytes, guint unit)
{
    static const uint8_t zeroes[512];

    while (bytes->len % unit) {
        g_byte_array_append(bytes, zeroes, MIN(unit - bytes->len % unit, sizeof(zeroes)));
    }
}

/* Add a locator: its code, encoding, a change of its entry, and the text come from the input */
static void add_locator(GByteArray *bytes, VpcHeader *header, unsigned slot, FuzzInput *in)
{
    static const uint32_t codes[] = {
        VPC_LOCATOR_W2RU, VPC_LOCATOR_W2KU, VPC_LOCATOR_MACX, VPC_LOCATOR_WI2R, VPC_LOCATOR_WI2K, VPC_LOCATOR_MAC,
        0x12345678,
    };
    uint8_t code = fuzz_u8(in), how = fuzz_u8(in);
    g_autofree char *text = take_text(in);
    g_autoptr(GByteArray) name = encode(text, code % 7 < 2 ? how & 11 : how | 4);
    VpcLocator *l = &header->locators[slot % 8];

    be32_store(l->code, codes[code % 7]);
    be32_store(l->space, how & 16 ? 1 : how & 32 ? 0 : 512);
    be32_store(l->length, name->len + (how & 64 ? 3 : 0));
    be64_store(l->offset, bytes->len - (how & 128 ? 1 : 0));
    if (name->len) {
        g_byte_array_append(bytes, name->data, name->len);
    }
    pad(bytes, 512);
}

/* Add the blocks whose bits are set in @map, each with a bitmap of @bits */
static void add_blocks(GByteArray *bytes, uint8_t map, uint8_t bits, uint8_t stamp)
{
    uint8_t block[512 + BLOCK] = { 0 };

    for (int i = 0; i < DISK_BYTES / BLOCK; i++) {
        if (map & 1 << i) {
            be32_store(bytes->data + 3 * 512 + 4 * i, bytes->len / 512);
            memset(block, bits << i, 1);
            fuzz_fill(block + 512, i * BLOCK, BLOCK, stamp);
            g_byte_array_append(bytes, block, sizeof(block));
        }
    }
}

static void add_sparse(GByteArray *bytes, VpcFooter *footer, bool child, FuzzInput *in)
{
    VpcHeader header = { VPC_HEADER_COOKIE };
    uint8_t unused[512];
    uint8_t parent = fuzz_u8(in), map = fuzz_u8(in), bits = fuzz_u8(in), order = fuzz_u8(in);
    unsigned locators = child ? order / 4 % 4 : 0;

    memset(unused, 0xff, sizeof(unused));
    g_byte_array_append(bytes, (uint8_t *)footer, sizeof(*footer));
    g_byte_array_append(bytes, (uint8_t *)&header, sizeof(header));
    g_byte_array_append(bytes, unused, sizeof(unused));
    be64_store(header.table_offset, 3 * 512);
    be32_store(header.version, VPC_HEADER_VERSION);
    be32_store(header.entries, DISK_BYTES / BLOCK);
    be32_store(header.block_size, BLOCK);
    if (child) {
        g_autofree char *text = take_text(in);
        g_autoptr(GByteArray) name = encode(text, order & 3);

        memset(header.parent_uuid, parent % 8, sizeof(header.parent_uuid));
        if (name->len) {
            memcpy(header.parent_name, name->data, MIN(name->len, sizeof(header.parent_name)));
        }
    }
    for (unsigned i = 0; i < locators; i++) {
        add_locator(bytes, &header, i + order / 16, in);
    }
    add_blocks(bytes, map, bits, parent);
    memcpy(bytes->data + sizeof(*footer), &header, sizeof(header));
}

/* Build an image: its type, place, id and more come from the input; bytes are changed before the checksums are made */
static Image build(FuzzInput *in, unsigned number)
{
    uint8_t type = fuzz_u8(in), place = fuzz_u8(in), id = fuzz_u8(in);
    Image image = { places[number ? place % G_N_ELEMENTS(places) : 0], g_byte_array_new(), { 0 } };
    VpcFooter footer = { 0 };
    uint32_t kind = type % 8 == 0 ? VPC_FIXED : type % 8 == 1 ? VPC_DYNAMIC : VPC_DIFFERENCING;

    set_footer(&footer, kind, id % 8);
    if (kind == VPC_FIXED) {
        g_byte_array_set_size(image.bytes, DISK_BYTES);
        fuzz_fill(image.bytes->data, 0, DISK_BYTES, id);
    } else {
        add_sparse(image.bytes, &footer, kind == VPC_DIFFERENCING, in);
    }
    g_byte_array_append(image.bytes, (uint8_t *)&footer, sizeof(footer));
    for (int i = type / 8 % 4; i > 0; i--) {
        uint32_t at = fuzz_number(in, 2) % image.bytes->len;

        image.bytes->data[at] = fuzz_u8(in);
    }
    fuzz_vhd_repair(image.bytes->data, image.bytes->len, type & 128 ? 0 : FUZZ_SUM_ENDS | FUZZ_SUM_HEADER |
                    (kind == VPC_FIXED ? 0 : FUZZ_COPY_HEAD));
    return image;
}

static char *make_options(uint8_t flags, uint8_t more)
{
    GString *text = g_string_new("driver=vpc");

    if (flags & ROOT) {
        g_string_append_printf(text, ",parent-root=%s/in", fuzz_folder);
    }
    if (flags & SEARCH) {
        g_string_append_printf(text, ",parent-search=%s/in/sub:%s/out:%s/in/away", fuzz_folder, fuzz_folder,
                               fuzz_folder);
    }
    if (flags & DRIVES) {
        g_string_append_printf(text, ",drives=C=%s/in;D=%s/out;E=/", fuzz_folder, fuzz_folder);
    }
    if (flags & NAMED) {
        g_string_append_printf(text, ",parent=%s/in/link.vhd", fuzz_folder);
    }
    if (more & COMMIT) {
        g_string_append(text, ",backing.read-only=off");
    }
    g_string_append(text, flags & IGNORE_ID ? ",ignore-parent-id=on" : "");
    g_string_append(text, flags & SHALLOW ? ",max-depth=1" : "");
    return g_string_free(text, FALSE);
}

/* Offer all images but the child, and one that does not exist; the find() of the resolver */
static bool offer(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    Chain *chain = user;

    FUZZ_CHECK(query->overlay && query->names && query->places && query->depth > 0);
    for (const char *const *name = query->names; *name; name++) {
        FUZZ_CHECK(**name && !strchr(*name, '/'));
    }
    for (const char *const *place = query->places; *place; place++) {
        FUZZ_CHECK(**place);
    }
    for (unsigned i = 1; i < chain->count; i++) {
        g_autofree char *path = g_build_filename(fuzz_folder, chain->images[i].place, NULL);
        BlockStorage storage = fuzz_disk_storage(&chain->images[i].disk);

        if (chain->more & OFFER_FILES) {
            bdrv_offer_file(answer, path, i % 2 ? NULL : "vpc");
        } else {
            bdrv_offer_storage(answer, &storage, i % 2 ? NULL : "vpc");
        }
    }
    bdrv_offer_file(answer, "nowhere", NULL);
    return chain->more & GO_ON;
}

static BlockDriverState *open_child(Chain *chain, const char *path, const char *options, GError **errp)
{
    BlockStorage storage = fuzz_disk_storage(&chain->images[0].disk);
    BlockResolver resolver = { chain, offer };
    BlockOpenArgs args = {
        .filename = chain->flags & IN_STORAGE ? NULL : path, .options = options,
        .storage = chain->flags & IN_STORAGE ? &storage : NULL,
        .flags = (chain->flags & RDWR ? BDRV_O_RDWR : 0) | (chain->more & SNAPSHOT ? BDRV_O_SNAPSHOT : 0),
        .resolver = chain->more & RESOLVE ? &resolver : NULL,
    };

    return bdrv_open_with(&args, errp);
}

/* Print where the data of each piece is, for a reader of the finding */
static void say_where(BlockDriverState *bs, const char *when)
{
    int64_t size = bdrv_getlength(bs);
    BlockStatus st;

    for (int64_t at = 0; at < MIN(size, DISK_BYTES); at += st.bytes) {
        int ret = bdrv_block_status(bs, at, size - at, 0, &st);

        st.bytes = ret < 0 ? 512 : st.bytes;
        fuzz_say("%s: %d: %d bytes, depth %u%s%s, at %d\n", when, (int)at, (int)st.bytes, st.depth,
                 ret < 0 ? ", error" : "", st.zero ? ", zero" : "", (int)st.leaf_offset);
    }
}

/* Rebase to another parent, or commit: the disk must read as before */
/* Rebase to another parent, or commit: the disk must read as before */
static void manage(BlockDriverState *bs, const char *name, uint8_t more)
{
    static uint8_t before[DISK_BYTES], after[DISK_BYTES];
    int64_t size = MIN(bdrv_getlength(bs), DISK_BYTES);
    bool readable = bdrv_pread(bs, 0, before, size, 0) == 0;
    GError *err = NULL;
    bool ok = true;

    say_where(bs, "before");

    if (more & COMMIT) {
        ok = bdrv_commit(bs, 1, NULL, NULL, &err);
    } else if (more & (REBASE | ALONE)) {
        ok = bdrv_rebase(bs, more & ALONE ? NULL : name, NULL, &err);
    }
    FUZZ_CHECK(ok == !err);
    bdrv_error_free(err);
    say_where(bs, "after");
    if (readable) {
        FUZZ_CHECK(bdrv_pread(bs, 0, after, size, 0) == 0 && !memcmp(before, after, (size_t)size));
    }
}

static void use(BlockDriverState *bs, const char *name, uint8_t more)
{
    uint8_t buf[700], got[700];
    int64_t at = MIN(bdrv_getlength(bs), 900), bytes = MIN(bdrv_getlength(bs) - at, (int64_t)sizeof(buf));

    fuzz_look_at(bs);
    fuzz_fill(buf, at, bytes, 9);
    if (bdrv_pwrite(bs, at, buf, bytes, 0) == 0 && bdrv_pread(bs, at, got, bytes, 0) == 0) {
        FUZZ_CHECK(!memcmp(buf, got, (size_t)bytes));
    }
    bdrv_pwrite_zeroes(bs, 0, MIN(at, 600), 0);
    manage(bs, name, more);
    fuzz_look_at(bs);
}

static void put_files(Chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++) {
        Image *image = &chain->images[i];
        g_autofree char *path = g_build_filename(fuzz_folder, image->place, NULL);
        g_autofree char *folder = g_path_get_dirname(path);

        if (g_file_test(folder, G_FILE_TEST_IS_DIR) || g_mkdir(folder, 0755) == 0) {
            fuzz_put_file(image->place, image->bytes->data, image->bytes->len);
        }
        image->disk.limit = 16 << 20;
        fuzz_disk_load(&image->disk, image->bytes->data, image->bytes->len);
    }
}

static void clear(Chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++) {
        Image *image = &chain->images[i];
        g_autofree char *path = g_build_filename(fuzz_folder, image->place, NULL);

        g_remove(path);
        g_byte_array_unref(image->bytes);
        fuzz_disk_clear(&image->disk);
    }
}

/* Create a child of the first image */
static void try_create(const char *path)
{
    g_autofree char *child = g_build_filename(fuzz_folder, "in/sub/new.vhd", NULL);
    g_autofree char *options = g_strdup_printf("driver=vpc,size=16k,block_size=1k,backing_file=%s", path);

    if (bdrv_create(child, options, NULL)) {
        BlockDriverState *bs = bdrv_open(child, "driver=vpc", BDRV_O_RDWR, NULL);

        if (bs) {
            use(bs, path, REBASE);
        }
        bdrv_close(bs);
    }
    g_remove(child);
}

static void try_open(Chain *chain, const char *path, const char *new_parent)
{
    g_autofree char *options = make_options(chain->flags, chain->more);
    GError *err = NULL;

    fuzz_say("'%s' '%s' flags 0x%02x 0x%02x\n", path, options, chain->flags, chain->more);
    BlockDriverState *bs = open_child(chain, path, options, &err);

    FUZZ_CHECK(!bs == !!err);
    bdrv_error_free(err);
    if (bs) {
        use(bs, new_parent, chain->more);
        bdrv_close(bs);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    Chain chain = { .flags = fuzz_u8(&in) };

    chain.more = fuzz_u8(&in);
    chain.count = 1 + fuzz_u8(&in) % MAX_IMAGES;
    bool kept = chain.flags & ROOT;
    g_autofree char *new_parent = take_text(&in);
    g_autofree char *inside = g_strconcat(fuzz_folder, kept ? "/in" : "", NULL);
    g_autofree char *path = g_build_filename(fuzz_folder, places[0], NULL);

    for (unsigned i = 0; i < chain.count; i++) {
        chain.images[i] = build(&in, i);
    }
    put_files(&chain);
    fuzz_guard = (FuzzGuard) { .on = true, .inside = inside, .strict = kept && !(chain.more & SNAPSHOT) };
    try_open(&chain, path, new_parent);
    if (chain.more & CREATE && !kept) {
        try_create(path);
    }
    FUZZ_CHECK(chain.flags & RDWR || chain.more & (SNAPSHOT | CREATE | COMMIT) || fuzz_guard.written == 0);
    fuzz_guard.on = false;
    fuzz_guard.inside = fuzz_folder;
    clear(&chain);
    return 0;
}
