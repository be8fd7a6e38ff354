/* parents.c - where parents come from: the program's resolver, memory, and what long chains cost */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include "kit.h"
#include "medium.h"

enum { SECTOR = 512, SIZE = 64 << 10, LEVELS = 4 };

/* A chain of VHDs, 0 the root. Of each, the sector of its number has that number plus 1 */
typedef struct Family {
    Medium files[LEVELS];
    Disk *disks[LEVELS];        /* copies of them */
    char *uuids[LEVELS];
} Family;

/* What find() is to do, and what it was asked */
typedef struct Finder {
    Family *family;
    int level;                  /* what it offers; */
    const char *file;           /* or this; NULL: not that */
    const char *driver;
    bool search;                /* its answer */
    unsigned asked;             /* how often it was */
    char *said;                 /* the question, but for the depth: "child|uuid|name,name|place,place" */
    const void *storage;        /* the user of the question's storage */
    GPtrArray *made;            /* of Disk, by find_without_end */
} Finder;

static void must(bool ok, GError *err)
{
    if (!ok) {
        g_error("%s", bdrv_error_message(err));
    }
}

/* Images */

static void write_level(const Medium *medium, int level)
{
    BlockDriverState *bs = medium_open(medium, "driver=vpc", BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    uint8_t data[SECTOR];

    memset(data, level + 1, sizeof(data));
    g_assert_cmpint(bdrv_pwrite(bs, level * SECTOR, data, SECTOR, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static char *uuid_of(const Medium *medium)
{
    BlockDriverState *bs = medium_open(medium, "driver=vpc", BDRV_O_NO_BACKING);
    BlockInfo *info = bdrv_get_info(bs, NULL);
    char *uuid = g_strdup(bdrv_info_find(info, "uuid")->text);

    bdrv_info_free(info);
    bdrv_close(bs);
    return uuid;
}

static Disk *disk_of(const Medium *medium)
{
    int64_t size = medium_size(medium);
    g_autofree uint8_t *bytes = g_malloc((gsize)size);
    Disk *disk = disk_new();

    medium_read(medium, 0, bytes, size);
    disk_write(disk, 0, bytes, size);
    return disk;
}

static void create_child(const Medium *medium, const char *parent, const char *driver)
{
    g_autofree char *name = g_path_get_basename(parent);
    g_autofree char *options = g_strdup_printf("driver=vpc,block_size=4k,backing_file=%s,backing_fmt=%s,"
                                               "file.cache.no-flush=on", name, driver);

    medium_create(medium, options);
}

static Family family_new(void)
{
    Family f;

    for (int i = 0; i < LEVELS; i++) {
        g_autofree char *name = g_strdup_printf("level-%d", i);

        f.files[i] = medium_on_file(name);
        if (i == 0) {
            medium_create(&f.files[i], "driver=vpc,size=64k,block_size=4k");
        } else {
            create_child(&f.files[i], f.files[i - 1].file, "vpc");
        }
        write_level(&f.files[i], i);
        f.uuids[i] = uuid_of(&f.files[i]);
        f.disks[i] = disk_of(&f.files[i]);
    }
    return f;
}

/* Now they are in memory only, and nothing that an image says of its parent is true */
static void remove_files(Family *f)
{
    for (int i = 0; i < LEVELS; i++) {
        medium_clear(&f->files[i]);
    }
}

static void family_free(Family *f)
{
    remove_files(f);
    for (int i = 0; i < LEVELS; i++) {
        disk_free(f->disks[i]);
        g_free(f->uuids[i]);
    }
}

/* Each sector up to @top's is its own level's */
static void check_contents(BlockDriverState *bs, int top)
{
    uint8_t got[SIZE], want[SIZE] = { 0 };

    for (int i = 0; i <= top; i++) {
        memset(want + i * SECTOR, i + 1, SECTOR);
    }
    g_assert_cmpint(bdrv_getlength(bs), ==, SIZE);
    g_assert_cmpint(bdrv_pread(bs, 0, got, SIZE, 0), ==, 0);
    kit_assert_same(got, want, SIZE, 0);
}

/* Finders */

static void note_question(Finder *f, const BlockBackingQuery *q)
{
    g_autofree char *names = g_strjoinv(",", (char **)q->names), *places = g_strjoinv(",", (char **)q->places);

    f->asked++;
    g_assert_cmpuint(q->depth, >=, 1);
    g_free(f->said);
    f->said = g_strjoin("|", q->overlay, q->uuid ? q->uuid : "-", names, places, NULL);
    f->storage = q->storage ? q->storage->user : NULL;
}

/* What is handed over does not last */
static void offer_disk(BlockBackingAnswer *answer, Disk *disk, const char *driver)
{
    BlockStorage storage = disk_storage(disk);
    char text[8] = "";

    if (driver) {
        g_strlcpy(text, driver, sizeof(text));
    }
    bdrv_offer_storage(answer, &storage, driver ? text : NULL);
    memset(&storage, 0xee, sizeof(storage));
    memset(text, 0xee, sizeof(text));
}

static void offer_path(BlockBackingAnswer *answer, const char *path, const char *driver)
{
    char *copy = g_strdup(path);

    bdrv_offer_file(answer, copy, driver);
    memset(copy, 0xee, strlen(copy));
    g_free(copy);
}

static bool find_none(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    Finder *f = user;

    note_question(f, query);
    return f->search;
}

static bool find_one(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    Finder *f = user;

    note_question(f, query);
    if (f->file) {
        offer_path(answer, f->file, f->driver);
    } else {
        offer_disk(answer, f->family->disks[f->level], f->driver);
    }
    return f->search;
}

/* As a program would that has images by their unique ids */
static bool find_by_uuid(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    Finder *f = user;

    note_question(f, query);
    g_assert_cmpuint(query->depth, ==, f->asked);
    for (int i = 0; i < LEVELS; i++) {
        if (!g_strcmp0(f->family->uuids[i], query->uuid)) {
            g_assert_true(f->storage == f->family->disks[i + 1]);
            offer_disk(answer, f->family->disks[i], NULL);
        }
    }
    return false;
}

/* And one that leaves it to the library to see which is the right one */
static bool find_all(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    Finder *f = user;

    note_question(f, query);
    for (int i = 0; i < LEVELS; i++) {
        offer_disk(answer, f->family->disks[i], NULL);
    }
    return false;
}

/* In files and in memory by turns */
static bool find_by_turns(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    Finder *f = user;
    int level = LEVELS - 1 - (int)query->depth;

    note_question(f, query);
    if (query->depth % 2) {
        offer_disk(answer, f->family->disks[level], NULL);
    } else {
        offer_path(answer, f->family->files[level].file, NULL);
    }
    return false;
}

/* A child of a child of a child; f->level of them, then the root. 0: no root */
static bool find_without_end(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    Finder *f = user;
    bool end = f->level && (int)query->depth == f->level;

    f->asked++;
    g_ptr_array_add(f->made, disk_clone(f->family->disks[end ? 0 : 1]));
    offer_disk(answer, f->made->pdata[f->made->len - 1], NULL);
    return false;
}

static void clear_finder(Finder *f)
{
    g_free(f->said);
    if (f->made) {
        g_ptr_array_unref(f->made);
    }
}

typedef bool Find(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer);

static BlockDriverState *open_with(Finder *f, Find *find, const BlockOpenArgs *args, GError **errp)
{
    BlockOpenArgs all = *args;
    BlockResolver resolver = { f, find };

    all.resolver = &resolver;
    BlockDriverState *bs = bdrv_open_with(&all, errp);

    memset(&resolver, 0xee, sizeof(resolver));
    return bs;
}

/* @level of the family, from its file; @more: options */
static BlockDriverState *open_file(Finder *f, Find *find, int level, const char *more, GError **errp)
{
    g_autofree char *options = g_strconcat("driver=vpc", more, NULL);

    return open_with(f, find, &(BlockOpenArgs) { f->family->files[level].file, .options = options }, errp);
}

static BlockDriverState *open_disk(Finder *f, Find *find, int level, const char *more, unsigned flags, GError **errp)
{
    g_autofree char *options = g_strconcat("driver=vpc", more, NULL);
    BlockStorage storage = disk_storage(f->family->disks[level]);

    return open_with(f, find, &(BlockOpenArgs) { .storage = &storage, .options = options, .flags = flags }, errp);
}

static void assert_opened(BlockDriverState *bs, GError *err, int top)
{
    must(bs != NULL, err);
    check_contents(bs, top);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
}

static void assert_refused(BlockDriverState *bs, GError *err, int code, const char *pattern)
{
    g_assert_null(bs);
    if (bdrv_error_code(err) != code || !g_regex_match_simple(pattern, bdrv_error_message(err), 0, 0)) {
        g_error("error %d, '%s', should be %d and like '%s'", bdrv_error_code(err), bdrv_error_message(err), code,
                pattern);
    }
    bdrv_error_free(err);
}

/* The resolver */

static void test_chain_in_memory(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;

    remove_files(&family);
    assert_opened(open_disk(&f, find_by_uuid, LEVELS - 1, "", 0, &err), err, LEVELS - 1);
    g_assert_cmpuint(f.asked, ==, LEVELS - 1);
    clear_finder(&f);
    family_free(&family);
}

/* The scratch image that is put over the one that is opened is none of the chain, to a resolver */
static void test_snapshot_is_no_depth(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;

    assert_opened(open_disk(&f, find_by_uuid, LEVELS - 1, "", BDRV_O_RDWR | BDRV_O_SNAPSHOT, &err), err, LEVELS - 1);
    g_assert_cmpuint(f.asked, ==, LEVELS - 1);
    clear_finder(&f);
    family_free(&family);
}

/* Nor to max-depth, and in errors */
static void test_snapshot_is_no_depth_in_errors(void)
{
    Family family = family_new();
    Finder f = { .family = &family, .made = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free) };
    GError *err = NULL;
    BlockDriverState *bs = open_disk(&f, find_without_end, 1, ",ignore-parent-id=on,max-depth=50", BDRV_O_SNAPSHOT, &err);

    assert_refused(bs, err, ELOOP, "^parent \\(in storage\\), 50 images down the chain: .* 50 images down the chain, has a "
                   "parent, too: max-depth is 50");
    g_assert_cmpuint(f.asked, ==, 50);
    err = NULL;
    bs = open_disk(&f, find_none, 1, "", BDRV_O_SNAPSHOT, &err);
    g_assert_null(bs);
    g_assert_false(g_str_has_prefix(bdrv_error_message(err), "parent"));
    bdrv_error_free(err);
    clear_finder(&f);
    family_free(&family);
}

static void test_files_and_memory(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;

    assert_opened(open_file(&f, find_by_turns, LEVELS - 1, "", &err), err, LEVELS - 1);
    g_assert_cmpuint(f.asked, ==, LEVELS - 1);
    clear_finder(&f);
    family_free(&family);
}

/* Each image is refused as the parent of some, and that of another */
static void test_tries_all_offers(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;

    remove_files(&family);
    assert_opened(open_disk(&f, find_all, LEVELS - 1, "", 0, &err), err, LEVELS - 1);
    clear_finder(&f);
    family_free(&family);
}

static void test_question(void)
{
    Family family = family_new();
    Finder f = { .family = &family, .search = true };
    g_autofree char *parent = g_canonicalize_filename(family.files[0].file, NULL);
    GError *err = NULL;

    assert_opened(open_file(&f, find_none, 1, "", &err), err, 1);
    g_auto(GStrv) said = g_strsplit(f.said, "|", 4);
    g_autofree char *place = g_canonicalize_filename(said[3], NULL);

    g_assert_cmpstr(said[0], ==, family.files[1].file);
    g_assert_cmpstr(said[1], ==, family.uuids[0]);
    g_assert_cmpstr(said[2], ==, "level-0");
    g_assert_cmpstr(place, ==, parent);
    g_assert_null(f.storage);
    clear_finder(&f);
    family_free(&family);
}

/* Nothing is beside it, but its parent still has a name */
static void test_question_from_storage(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    g_autofree char *beginning = g_strjoin("|", "", family.uuids[0], "level-0", "", NULL);

    g_assert_null(open_disk(&f, find_none, 1, "", 0, NULL));
    g_assert_true(g_str_has_prefix(f.said, beginning));
    g_assert_true(f.storage == family.disks[1]);
    clear_finder(&f);
    family_free(&family);
}

/* Of two images that are the parent, the one that the program says */
static void test_before_places(void)
{
    Family family = family_new();
    g_autofree char *elsewhere = kit_path("elsewhere");
    Finder f = { .family = &family, .file = elsewhere, .search = true };
    GError *err = NULL;

    g_assert_cmpint(link(family.files[0].file, elsewhere), ==, 0);
    BlockDriverState *bs = open_file(&f, find_one, 1, "", &err);
    must(bs != NULL, err);
    g_assert_cmpstr(bdrv_get_filename(bdrv_get_backing(bs)), ==, elsewhere);
    assert_opened(bs, NULL, 1);
    unlink(elsewhere);
    clear_finder(&f);
    family_free(&family);
}

static void test_options_win(void)
{
    static const char *const keys[] = { ",parent=", ",backing.file.filename=", ",backing.file.driver=file,parent=" };
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *options = g_strconcat(keys[i], family.files[0].file, NULL);

        assert_opened(open_file(&f, find_none, 1, options, &err), err, 1);
    }
    g_assert_cmpuint(f.asked, ==, 0);
    clear_finder(&f);
    family_free(&family);
}

static void test_true_searches(void)
{
    Family family = family_new();
    Finder f = { .family = &family, .search = true };
    GError *err = NULL;

    assert_opened(open_file(&f, find_none, LEVELS - 1, "", &err), err, LEVELS - 1);
    g_assert_cmpuint(f.asked, ==, LEVELS - 1);
    clear_finder(&f);
    family_free(&family);
}

static void test_false_does_not(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;
    BlockDriverState *bs = open_file(&f, find_none, 1, "", &err);

    assert_refused(bs, err, ENOENT, "the program's resolver knows none, and wants no other place looked at");
    clear_finder(&f);
    family_free(&family);
}

static void test_wrong_offer_is_named(void)
{
    Family family = family_new();
    Finder f = { .family = &family, .level = 2 };
    GError *err = NULL;
    BlockDriverState *bs = open_file(&f, find_one, 1, "", &err);

    assert_refused(bs, err, ENOENT,
                   ": storage \\(the program's resolver\\): its unique id is .*, the parent's is [^;]*; parent=FILE says ");
    f.file = family.files[3].file;
    f.search = true;
    unlink(family.files[0].file);
    bs = open_file(&f, find_one, 1, "", &err);
    assert_refused(bs, err, ENOENT,
                   "level-3 \\(the program's resolver\\): its unique id .*; .*level-0 \\(W2ru locator\\)");
    clear_finder(&f);
    family_free(&family);
}

static void test_wrong_offer_then_places(void)
{
    Family family = family_new();
    Finder f = { .family = &family, .level = 2, .search = true };
    GError *err = NULL;

    assert_opened(open_file(&f, find_one, 1, "", &err), err, 1);
    clear_finder(&f);
    family_free(&family);
}

static void test_id_can_be_ignored(void)
{
    Family family = family_new();
    Finder f = { .family = &family, .level = 0 };
    GError *err = NULL;
    BlockDriverState *bs = open_file(&f, find_one, 2, ",ignore-parent-id=on", &err);
    uint8_t got[SECTOR];

    must(bs != NULL, err);
    g_assert_cmpint(bdrv_pread(bs, SECTOR, got, SECTOR, 0), ==, 0);
    g_assert_true(kit_is_zero(got, SECTOR));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    clear_finder(&f);
    family_free(&family);
}

/* With a raw image, which has no unique id, for the root */
static Family raw_family(void)
{
    Family f = family_new();

    for (int i = 0; i < 2; i++) {
        unlink(f.files[i].file);
        disk_free(f.disks[i]);
    }
    medium_create(&f.files[0], "driver=raw,size=64k");
    medium_write(&f.files[0], 0, "\1", 1);
    create_child(&f.files[1], f.files[0].file, "raw");
    for (int i = 0; i < 2; i++) {
        f.disks[i] = disk_of(&f.files[i]);
    }
    return f;
}

static void test_raw_parent(void)
{
    Family family = raw_family();
    Finder f = { .family = &family, .driver = "raw" };
    GError *err = NULL;
    BlockDriverState *bs = open_file(&f, find_one, 1, "", &err);
    uint8_t byte;

    must(bs != NULL, err);
    g_assert_cmpstr(bdrv_get_driver_name(bdrv_get_backing(bs)), ==, "raw");
    g_assert_cmpint(bdrv_pread(bs, 0, &byte, 1, 0), ==, 0);
    g_assert_cmpint(byte, ==, 1);
    g_assert_nonnull(strstr(f.said, "|-|"));
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    clear_finder(&f);
    family_free(&family);
}

static void test_driver_of_options_wins(void)
{
    Family family = raw_family();
    Finder f = { .family = &family, .driver = "vpc" };
    GError *err = NULL;
    BlockDriverState *bs = open_file(&f, find_one, 1, ",backing.driver=raw", &err);

    must(bs != NULL, err);
    g_assert_cmpstr(bdrv_get_driver_name(bdrv_get_backing(bs)), ==, "raw");
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    clear_finder(&f);
    family_free(&family);
}

static void test_own_storage(void)
{
    Family family = family_new();
    Finder f = { .family = &family, .level = 1 };
    GError *err = NULL;
    BlockDriverState *bs = open_disk(&f, find_one, 1, ",ignore-parent-id=on", 0, &err);

    assert_refused(bs, err, ENOENT, "storage \\(the program's resolver\\): it is one of the images that lead to it");
    g_assert_cmpuint(f.asked, ==, 1);
    clear_finder(&f);
    family_free(&family);
}

/* Three that lead to one another: 3 to 2, 2 to 1, 1 to 3 */
static bool find_circle(void *user, const BlockBackingQuery *query, BlockBackingAnswer *answer)
{
    Finder *f = user;

    f->asked++;
    offer_disk(answer, f->family->disks[3 - query->depth % 3], NULL);
    return false;
}

static void test_circle_in_memory(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;
    BlockDriverState *bs = open_disk(&f, find_circle, 3, ",ignore-parent-id=on", 0, &err);

    assert_refused(bs, err, ENOENT, "^parent \\(in storage\\), 2 images down the chain: .*: it is one of the images");
    g_assert_cmpuint(f.asked, ==, 3);
    clear_finder(&f);
    family_free(&family);
}

/* It is locked against us by ourselves, but that is not what is wrong */
static void test_own_file(void)
{
    Family family = family_new();
    g_autofree char *other = kit_path("other"), *name = g_path_get_basename(family.files[1].file);
    Finder f = { .family = &family, .file = other };
    const BlockOpenArgs args = { family.files[1].file, NULL, "driver=vpc,ignore-parent-id=on", BDRV_O_RDWR };

    for (int i = 0; i < 2; i++) {
        GError *err = NULL;

        g_assert_cmpint(i ? symlink(name, other) : link(family.files[1].file, other), ==, 0);
        BlockDriverState *bs = open_with(&f, find_one, &args, &err);
        assert_refused(bs, err, ENOENT, "other \\(the program's resolver\\): it is one of the images");
        unlink(other);
    }
    clear_finder(&f);
    family_free(&family);
}

/* The one, the other, or both are opened through a filter */
static void test_own_file_below_filter(void)
{
    Family family = family_new();
    const char *file = family.files[1].file;

    for (int i = 1; i < 4; i++) {
        const char *above = i & 1 ? "file.driver=blkdebug,file.image." : "file.";
        const char *behind = i & 2 ? "backing.file.driver=blkdebug,backing.file.image." : "backing.file.";
        g_autofree char *options = g_strdup_printf("driver=vpc,ignore-parent-id=on,%sfilename=%s,%sfilename=%s", above,
                                                   file, behind, file);
        GError *err = NULL;
        BlockDriverState *bs = bdrv_open(NULL, options, 0, &err);

        assert_refused(bs, err, ELOOP, "^parent( '.*/level-1')?: it is one of the images that lead");
    }
    family_free(&family);
}

static void test_depth_ends(void)
{
    Family family = family_new();
    Finder f = { .family = &family, .made = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free) };
    GError *err = NULL;
    BlockDriverState *bs = open_disk(&f, find_without_end, 1, ",ignore-parent-id=on,max-depth=50", 0, &err);

    assert_refused(bs, err, ELOOP, "50 images down the chain, has a parent, too: max-depth is 50");
    g_assert_cmpuint(f.asked, ==, 50);
    clear_finder(&f);
    family_free(&family);
}

static void test_parent_root_holds_files(void)
{
    Family family = family_new();
    Finder f = { .family = &family, .file = family.files[0].file };
    GError *err = NULL;
    BlockDriverState *bs = open_file(&f, find_one, 1, ",parent-root=/proc", &err);

    assert_refused(bs, err, ENOENT, "level-0 \\(the program's resolver\\): it is not inside the folder '/proc'");
    clear_finder(&f);
    family_free(&family);
}

static void test_parent_root_and_storage(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;

    assert_opened(open_file(&f, find_one, 1, ",parent-root=/proc", &err), err, 1);
    clear_finder(&f);
    family_free(&family);
}

/* What a guest wrote into its disk must not make a program look for files */
static void test_not_for_a_guess(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;
    const BlockOpenArgs args = { family.files[1].file, .flags = BDRV_O_PROBE };
    BlockDriverState *bs = open_with(&f, find_none, &args, &err);

    assert_refused(bs, err, EACCES, "only guessed");
    g_assert_cmpuint(f.asked, ==, 0);
    clear_finder(&f);
    family_free(&family);
}

static void test_not_without_backing(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    BlockDriverState *bs = open_disk(&f, find_none, 1, "", BDRV_O_NO_BACKING, NULL);

    g_assert_nonnull(bs);
    g_assert_cmpuint(f.asked, ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    clear_finder(&f);
    family_free(&family);
}

static void test_no_find(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;

    assert_opened(open_file(&f, NULL, 1, "", &err), err, 1);
    family_free(&family);
}

/* Storage */

static void test_snapshot_in_memory(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;

    BlockDriverState *bs = open_disk(&f, find_all, LEVELS - 1, "", BDRV_O_SNAPSHOT | BDRV_O_RDWR, &err);
    must(bs != NULL, err);
    for (int i = 0; i < LEVELS; i++) {
        family.disks[i]->writes = 0;
    }
    check_contents(bs, LEVELS - 1);
    g_assert_cmpint(bdrv_pwrite(bs, 0, "x", 1, 0), ==, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    for (int i = 0; i < LEVELS; i++) {
        g_assert_cmpuint(family.disks[i]->writes, ==, 0);
    }
    clear_finder(&f);
    family_free(&family);
}

static void test_commit_in_memory(void)
{
    Family family = family_new();
    Finder f = { .family = &family };
    GError *err = NULL;

    BlockDriverState *bs = open_disk(&f, find_all, 1, ",backing.read-only=off", 0, &err);
    must(bs != NULL, err);
    must(bdrv_commit(bs, 1, NULL, NULL, &err), err);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    assert_opened(open_disk(&f, find_none, 0, "", 0, &err), err, 1);
    clear_finder(&f);
    family_free(&family);
}

/* Storage is for the one image that it was brought for */
static void test_memory_beside_storage(void)
{
    Disk *disk = disk_new();
    BlockStorage storage = disk_storage(disk);
    GError *err = NULL;
    uint8_t byte;

    BlockDriverState *bs = bdrv_open_storage(&storage, "driver=cow,backing.driver=raw,backing.file.driver=mem,"
                                             "backing.file.size=1M", BDRV_O_RDWR, &err);
    must(bs != NULL, err);
    g_assert_cmpint(bdrv_getlength(bs), ==, 1 << 20);
    g_assert_cmpint(bdrv_pwrite(bs, 8192, "x", 1, 0), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 8192, &byte, 1, 0), ==, 0);
    g_assert_cmpint(byte, ==, 'x');
    g_assert_cmpuint(disk->writes, >, 0);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    disk_free(disk);
}

/* Long chains */

/* Two chains that join are no circle */
static void test_two_chains_join(void)
{
    Family family = family_new();
    Medium twin = medium_on_file("twin");
    g_autofree char *options = g_strdup_printf("driver=cow,file.driver=vpc,file.file.filename=%s,backing.driver=vpc,"
                                               "backing.file.filename=%s", twin.file, family.files[1].file);
    GError *err = NULL;

    create_child(&twin, family.files[0].file, "vpc");
    BlockDriverState *bs = bdrv_open(NULL, options, 0, &err);
    assert_opened(bs, err, 1);
    medium_clear(&twin);
    family_free(&family);
}

/* Nor are two images that share a file */
static void test_two_in_one_file(void)
{
    Family family = family_new();
    Medium both = medium_on_file("both");
    GString *options = g_string_new("driver=vpc,backing.driver=vpc");
    int64_t end = 0;
    GError *err = NULL;

    for (int i = 0; i < 2; i++) {
        int64_t size = family.disks[i]->size;
        g_autofree uint8_t *bytes = g_malloc((gsize)size);
        const char *prefix = i ? "" : "backing.";

        disk_read(family.disks[i], 0, bytes, size);
        if (i == 0) {
            g_assert_true(g_file_set_contents(both.file, (char *)bytes, size, NULL));
        } else {
            medium_write(&both, end, bytes, size);
        }
        g_string_append_printf(options, ",%sfile.driver=raw,%sfile.offset=%" G_GINT64_FORMAT ",%sfile.size=%"
                               G_GINT64_FORMAT ",%sfile.file.filename=%s", prefix, prefix, end, prefix, size, prefix,
                               both.file);
        end += size;
    }
    assert_opened(bdrv_open(NULL, options->str, 0, &err), err, 1);
    g_string_free(options, TRUE);
    medium_clear(&both);
    family_free(&family);
}

static char *long_name(int level)
{
    return g_strdup_printf("long-%d", level);
}

/* So many levels, one over the other */
static void make_long(int levels)
{
    for (int i = 0; i < levels; i++) {
        g_autofree char *name = long_name(i), *parent = long_name(i - 1);
        Medium medium = medium_on_file(name);

        if (i == 0) {
            medium_create(&medium, "driver=vpc,size=64k,block_size=4k,file.cache.no-flush=on");
        } else {
            create_child(&medium, parent, "vpc");
        }
        g_free(medium.file);
    }
}

static void remove_long(int levels)
{
    for (int i = 0; i < levels; i++) {
        g_autofree char *name = long_name(i), *path = kit_path(name);

        unlink(path);
    }
}

static BlockDriverState *open_long(int levels, const char *options, GError **errp)
{
    g_autofree char *name = long_name(levels - 1), *path = kit_path(name);

    return bdrv_open(path, options, 0, errp);
}

static unsigned count_descriptors(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned count = 0;

    while (g_dir_read_name(dir)) {
        count++;
    }
    g_dir_close(dir);
    return count;
}

/* False: so many can't be had */
static bool limit_descriptors(rlim_t count, struct rlimit *old)
{
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, old), ==, 0);
    struct rlimit new = { count, old->rlim_max };

    return setrlimit(RLIMIT_NOFILE, &new) == 0;
}

static void test_too_few_descriptors(void)
{
    enum { CHAIN = 100 };
    unsigned before = count_descriptors();
    struct rlimit old;
    GError *err = NULL;

    make_long(CHAIN);
    g_assert_true(limit_descriptors(50, &old));
    BlockDriverState *bs = open_long(CHAIN, "driver=vpc", &err);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
    assert_refused(bs, err, EMFILE, "^parent '.*/long-[0-9]+': with [34][0-9] of the chain's images open: "
                   "Could not open '.*/long-[0-9]+': Too many open files$");
    g_assert_cmpuint(count_descriptors(), ==, before);
    remove_long(CHAIN);
}

/* Seconds that this process worked; the best of three */
static double cost_of_opening(int levels, const char *options)
{
    double best = G_MAXDOUBLE;

    for (int i = 0; i < 3; i++) {
        struct timespec from, to;
        GError *err = NULL;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
        BlockDriverState *bs = open_long(levels, options, &err);
        must(bs != NULL, err);
        g_assert_cmpint(bdrv_close(bs), ==, 0);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
        best = MIN(best, (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9);
    }
    return best;
}

/* Eight times as many levels cost eight times as much, and not 64 times */
static void check_cost(const char *options)
{
    enum { FEW = 400, MANY = 8 * FEW };
    struct rlimit old;

    if (!limit_descriptors(MANY + 100, &old)) {
        g_test_skip("so many files can't be open here");
        return;
    }
    make_long(MANY);
    mallopt(M_PERTURB, 0);      /* MALLOC_PERTURB_ overwrites megabytes where a realloc() has a large free chunk */
    double few = cost_of_opening(FEW, options), many = cost_of_opening(MANY, options);
    g_test_message("%d levels: %.4f s, %d levels: %.4f s", FEW, few, MANY, many);
    g_assert_cmpfloat(many, <, 20 * few);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
    remove_long(MANY);
}

static void test_cost_is_linear(void)
{
    check_cost("driver=vpc");
}

/* A folder that has as many files as are open: it must not be listed for each of them */
static void test_cost_of_search_folder(void)
{
    check_cost("driver=vpc,parent-search=/proc/self/fd");
}

static void *open_and_close(void *data)
{
    Finder *f = data;
    GError *err = NULL;
    g_autofree char *options = g_strdup_printf(",ignore-parent-id=on,max-depth=%d", f->level);
    BlockDriverState *bs = open_disk(f, find_without_end, 1, options, 0, &err);

    must(bs != NULL, err);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    return NULL;
}

/* Of the root on, which alone has something in the first sector */
static void change_all(BlockDriverState *bs, unsigned root)
{
    uint8_t sector[SECTOR] = { 0 };
    BlockStatus st;

    g_assert_cmpint(bdrv_block_status(bs, 0, SECTOR, BDRV_STATUS_WANT_ZERO, &st), ==, 0);
    g_assert_true(st.data && !st.zero && !st.here);
    g_assert_cmpuint(st.depth, ==, root);
    g_assert_cmpint(bdrv_pwrite(bs, 9 * SECTOR + 7, "of a sector", 11, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite_zeroes(bs, 0, SIZE, 0), ==, 0);
    g_assert_cmpint(bdrv_pdiscard(bs, 0, SIZE), ==, 0);
    g_assert_cmpint(bdrv_flush(bs), ==, 0);
    g_assert_cmpint(bdrv_pread(bs, 0, sector, SECTOR, 0), ==, 0);
    g_assert_true(kit_is_zero(sector, SECTOR));
    g_assert_cmpint(bdrv_block_status(bs, 0, SECTOR, BDRV_STATUS_WANT_ZERO, &st), ==, 0);
    g_assert_true(st.here);
}

static void *change_long_chain(void *data)
{
    Finder *f = data;
    GError *err = NULL;
    g_autofree char *options = g_strdup_printf(",ignore-parent-id=on,max-depth=%d", f->level);
    BlockDriverState *bs = open_disk(f, find_without_end, 1, options, BDRV_O_RDWR | BDRV_O_UNMAP, &err);

    must(bs != NULL, err);
    change_all(bs, (unsigned)f->level);
    BlockInfo *info = bdrv_get_info(bs, &err);
    must(info != NULL, err);
    bdrv_info_free(info);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    return NULL;
}

static void *change_snapshot_of_long_chain(void *data)
{
    Finder *f = data;
    GError *err = NULL;
    g_autofree char *options = g_strdup_printf(",ignore-parent-id=on,max-depth=%d", f->level);
    BlockDriverState *bs = open_disk(f, find_without_end, 1, options, BDRV_O_RDWR | BDRV_O_UNMAP | BDRV_O_SNAPSHOT,
                                     &err);

    must(bs != NULL, err);
    change_all(bs, (unsigned)f->level + 1);     /* the scratch file is an image that the resolver is not asked for */
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    return NULL;
}

static void *rebase_long_chain(void *data)
{
    Finder *f = data;
    GError *err = NULL;
    g_autofree char *options = g_strdup_printf(",ignore-parent-id=on,max-depth=%d", f->level);
    BlockDriverState *bs = open_disk(f, find_without_end, 1, options, BDRV_O_RDWR, &err);
    uint8_t got[3];

    must(bs != NULL, err);
    must(bdrv_rebase(bs, NULL, NULL, &err), err);
    g_assert_null(bdrv_get_backing(bs));
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(bdrv_pread(bs, i * SECTOR, &got[i], 1, 0), ==, 0);
    }
    g_assert_cmpmem(got, 3, "\1\2\0", 3);
    g_assert_cmpint(bdrv_close(bs), ==, 0);
    return NULL;
}

/* However long the chain is */
static void on_small_stack(size_t stack, void *(*use)(void *))
{
    Family family = family_new();
    Finder f = { .family = &family, .level = 4096, .made = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free) };
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    g_assert_cmpint(pthread_attr_setstacksize(&attr, stack), ==, 0);
    g_assert_cmpint(pthread_create(&thread, &attr, use, &f), ==, 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    g_assert_cmpuint(f.asked, ==, f.level);
    clear_finder(&f);
    family_free(&family);
}

static void test_small_stack(void)
{
    on_small_stack(32 << 10, open_and_close);
}

static void test_small_stack_changes(void)
{
    on_small_stack(128 << 10, change_long_chain);
}

static void test_small_stack_snapshot(void)
{
    on_small_stack(128 << 10, change_snapshot_of_long_chain);
}

static void test_small_stack_rebase(void)
{
    on_small_stack(128 << 10, rebase_long_chain);
}

int main(int argc, char **argv)
{
    kit_init(argc, argv);
    g_test_add_func("/resolver/chain-in-memory", test_chain_in_memory);
    g_test_add_func("/resolver/files-and-memory", test_files_and_memory);
    g_test_add_func("/resolver/tries-all-offers", test_tries_all_offers);
    g_test_add_func("/resolver/question", test_question);
    g_test_add_func("/resolver/question-from-storage", test_question_from_storage);
    g_test_add_func("/resolver/before-places", test_before_places);
    g_test_add_func("/resolver/options-win", test_options_win);
    g_test_add_func("/resolver/true-searches", test_true_searches);
    g_test_add_func("/resolver/false-does-not", test_false_does_not);
    g_test_add_func("/resolver/wrong-offer-is-named", test_wrong_offer_is_named);
    g_test_add_func("/resolver/wrong-offer-then-places", test_wrong_offer_then_places);
    g_test_add_func("/resolver/id-can-be-ignored", test_id_can_be_ignored);
    g_test_add_func("/resolver/raw-parent", test_raw_parent);
    g_test_add_func("/resolver/driver-of-options-wins", test_driver_of_options_wins);
    g_test_add_func("/resolver/own-storage", test_own_storage);
    g_test_add_func("/resolver/circle-in-memory", test_circle_in_memory);
    g_test_add_func("/resolver/own-file", test_own_file);
    g_test_add_func("/resolver/snapshot-is-no-depth", test_snapshot_is_no_depth);
    g_test_add_func("/resolver/snapshot-is-no-depth-in-errors", test_snapshot_is_no_depth_in_errors);
    g_test_add_func("/resolver/depth-ends", test_depth_ends);
    g_test_add_func("/resolver/parent-root-holds-files", test_parent_root_holds_files);
    g_test_add_func("/resolver/parent-root-and-storage", test_parent_root_and_storage);
    g_test_add_func("/resolver/not-for-a-guess", test_not_for_a_guess);
    g_test_add_func("/resolver/not-without-backing", test_not_without_backing);
    g_test_add_func("/resolver/no-find", test_no_find);
    g_test_add_func("/storage/snapshot", test_snapshot_in_memory);
    g_test_add_func("/storage/commit", test_commit_in_memory);
    g_test_add_func("/storage/memory-beside-it", test_memory_beside_storage);
    g_test_add_func("/chain/own-file-below-filter", test_own_file_below_filter);
    g_test_add_func("/chain/two-join", test_two_chains_join);
    g_test_add_func("/chain/two-in-one-file", test_two_in_one_file);
    g_test_add_func("/chain/too-few-descriptors", test_too_few_descriptors);
    g_test_add_func("/chain/cost-is-linear", test_cost_is_linear);
    g_test_add_func("/chain/cost-of-search-folder", test_cost_of_search_folder);
    g_test_add_func("/chain/small-stack", test_small_stack);
    g_test_add_func("/chain/small-stack-changes", test_small_stack_changes);
    g_test_add_func("/chain/small-stack-snapshot", test_small_stack_snapshot);
    g_test_add_func("/chain/small-stack-rebase", test_small_stack_rebase);
    return kit_run();
}
