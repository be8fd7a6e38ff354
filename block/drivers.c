/* drivers.c - the list of drivers: those of the library, and those that were registered */
/* SPDX-License-Identifier: MIT
 *
 * A driver's table is the last thing in the driver's own file. The type of the table is in miniblk/driver.h.
 *
 * The list only becomes longer. A reader takes no lock: an entry is complete when a pointer leads to it.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <glib.h>
#include "block/drivers.h"

#define MAX_NAME 64

/* Formats in the order of probing, raw last because it accepts every file; then filters and protocols. The option
 * "drivers" of the build leaves some out */
static const BlockDriver *const built_in[] = {
#ifndef MINIBLK_WITHOUT_VPC
    &bdrv_vpc,
#endif
    &bdrv_raw,
#ifndef MINIBLK_WITHOUT_VPC
    &bdrv_split,
#endif
#ifndef MINIBLK_WITHOUT_COW
    &bdrv_cow,
#endif
#ifndef MINIBLK_WITHOUT_BLKDEBUG
    &bdrv_blkdebug,
#endif
#ifndef MINIBLK_WITHOUT_BLKLOGWRITES
    &bdrv_blklogwrites,
#endif
    &bdrv_probe_guard,
#ifndef MINIBLK_WITHOUT_FILE
    &bdrv_file,
    &bdrv_host_device,
    &bdrv_host_cdrom,
#endif
#ifdef MINIBLK_NBD
    &bdrv_nbd,
#endif
    &bdrv_mem,
#ifndef MINIBLK_WITHOUT_NULL
    &bdrv_null,
    &bdrv_null_co,
    &bdrv_null_aio,
#endif
};

/* What a table must have at least: all fields up to read() */
#define LEAST_SIZE (offsetof(BlockDriver, read) + sizeof(((BlockDriver *)NULL)->read))

/* A driver that was registered */
typedef struct Registered {
    BlockDriver table;              /* a copy; fields that the driver does not know are zero */
    const BlockDriver *origin;
    struct Registered *next;        /* atomic; NULL: this is the last one */
} Registered;

static Registered *registered;      /* atomic */
static pthread_mutex_t registering = PTHREAD_MUTEX_INITIALIZER;    /* held to append */

/* Return where the pointer to the entry behind @drv is. NULL: @drv is not in the list */
static Registered **link_behind(const BlockDriver *drv)
{
    Registered **link = &registered;

    if (drv == built_in[G_N_ELEMENTS(built_in) - 1]) {
        return link;
    }
    for (Registered *r; (r = __atomic_load_n(link, __ATOMIC_ACQUIRE)); link = &r->next) {
        if (&r->table == drv) {
            return &r->next;
        }
    }
    return NULL;
}

const BlockDriver *bdrv_next_driver(const BlockDriver *drv)
{
    if (!drv) {
        return built_in[0];
    }
    for (size_t i = 0; i + 1 < G_N_ELEMENTS(built_in); i++) {
        if (built_in[i] == drv) {
            return built_in[i + 1];
        }
    }
    Registered **link = link_behind(drv), *next = link ? __atomic_load_n(link, __ATOMIC_ACQUIRE) : NULL;

    return next ? &next->table : NULL;
}

static bool is_called(const BlockDriver *drv, const char *name)
{
    return name && (g_str_equal(drv->name, name) || (drv->alias && g_str_equal(drv->alias, name)));
}

const BlockDriver *bdrv_listed_driver(const char *name)
{
    const BlockDriver *drv = NULL;

    while ((drv = bdrv_next_driver(drv)) && !is_called(drv, name)) {
    }
    return drv;
}

static bool is_word(const char *word, const char *more)
{
    size_t length = 0;

    while (g_ascii_isalnum(word[length]) || (word[length] && strchr(more, word[length]))) {
        length++;
    }
    return length > 0 && length <= MAX_NAME && !word[length];
}

bool bdrv_is_driver_name(const char *name)
{
    return is_word(name, "-_");
}

static bool takes_prefix(const BlockDriver *drv, const char *prefix)
{
    return drv->prefixes && g_strv_contains(drv->prefixes, prefix);
}

/* Check the names of a new driver against the list. The caller holds registering */
static bool has_new_names(const BlockDriver *drv, GError **errp)
{
    for (const BlockDriver *other = NULL; (other = bdrv_next_driver(other));) {
        if (is_called(other, drv->name) || is_called(other, drv->alias)) {
            bdrv_set_error(errp, EEXIST, "driver '%s': there is a driver '%s' already", drv->name,
                           is_called(other, drv->name) ? drv->name : drv->alias);
            return false;
        }
        for (size_t i = 0; drv->prefixes && drv->prefixes[i]; i++) {
            if (takes_prefix(other, drv->prefixes[i])) {
                bdrv_set_error(errp, EEXIST, "driver '%s': names with '%s:' belong to the driver '%s' already",
                               drv->name, drv->prefixes[i], other->name);
                return false;
            }
        }
    }
    return true;
}

/* Check the words of a table by themselves */
static bool has_good_words(const BlockDriver *drv, GError **errp)
{
    if (!drv->name || !bdrv_is_driver_name(drv->name) || (drv->alias && !bdrv_is_driver_name(drv->alias))) {
        bdrv_set_error(errp, EINVAL, "'%s' is no name of a driver: that has 1 to %d letters, digits, '-' and '_'",
                       drv->name && bdrv_is_driver_name(drv->name) ? drv->alias : drv->name ? drv->name : "", MAX_NAME);
        return false;
    }
    for (size_t i = 0; drv->prefixes && drv->prefixes[i]; i++) {
        if (!is_word(drv->prefixes[i], "-_+.") || g_str_equal(drv->prefixes[i], "json")) {
            bdrv_set_error(errp, EINVAL, "driver '%s': '%s' cannot be the prefix of names", drv->name,
                           drv->prefixes[i]);
            return false;
        }
    }
    return true;
}

/* Return whether all options lie inside a struct of @size bytes */
static bool options_fit(const BlockOption *table, size_t size)
{
    while (table && table->name && table->at < size) {
        table++;
    }
    return !table || !table->name;
}

/* Check what the layer relies on without looking again */
static bool is_complete(const BlockDriver *drv, GError **errp)
{
    const char *problem =
        !drv->open || !drv->read ? "open() and read() are required" :
        drv->prefixes && !drv->parse_name ? "it has prefixes, and no parse_name()" :
        drv->is_protocol && drv->map ? "a protocol has no map()" :
        drv->map_done && !drv->map ? "it has map_done(), and no map()" :
        drv->check && !drv->check_kinds ? "it has check(), and no check_kinds" :
        !options_fit(drv->open_options, drv->open_size) || !options_fit(drv->create_options, drv->create_size) ||
        !options_fit(drv->amend_options, drv->amend_size) || !options_fit(drv->resize_options, drv->resize_size) ?
        "the size of a struct of options is too small for its table" : NULL;

    if (problem) {
        bdrv_set_error(errp, EINVAL, "driver '%s': %s", drv->name, problem);
    }
    return !problem;
}

/* Copy a table of @size bytes. False: it is too short, or has something that this library does not know */
static bool copy_table(BlockDriver *table, const BlockDriver *driver, size_t size, GError **errp)
{
    const char *bytes = (const char *)driver;

    *table = (BlockDriver) { 0 };
    if (size < LEAST_SIZE) {
        bdrv_set_error(errp, EINVAL, "the table of a driver has %zu bytes, and needs %zu at least", size, LEAST_SIZE);
        return false;
    }
    for (size_t i = sizeof(*table); i < size; i++) {
        if (bytes[i]) {
            bdrv_set_error(errp, ENOTSUP, "the driver uses a field %zu bytes into its table, and the tables of this "
                           "library have %zu: the driver needs a newer one", i, sizeof(*table));
            return false;
        }
    }
    memcpy(table, driver, MIN(size, sizeof(*table)));
    return true;
}

static bool is_registered(const BlockDriver *driver)
{
    Registered *r = __atomic_load_n(&registered, __ATOMIC_ACQUIRE);

    while (r && r->origin != driver) {
        r = __atomic_load_n(&r->next, __ATOMIC_ACQUIRE);
    }
    return r != NULL;
}

bool bdrv_register(const BlockDriver *driver, size_t size, GError **errp)
{
    Registered *entry = g_new0(Registered, 1), **link = &registered;

    entry->origin = driver;
    bool ok = copy_table(&entry->table, driver, size, errp) && has_good_words(&entry->table, errp) &&
              is_complete(&entry->table, errp);

    pthread_mutex_lock(&registering);
    bool again = ok && is_registered(driver);

    ok = ok && (again || has_new_names(&entry->table, errp));
    if (ok && !again) {
        while (*link) {
            link = &(*link)->next;
        }
        __atomic_store_n(link, entry, __ATOMIC_RELEASE);
        entry = NULL;
    }
    pthread_mutex_unlock(&registering);
    g_free(entry);
    return ok;
}
