/* module.c - finds drivers by their names, and loads modules: block-NAME.so */
/* SPDX-License-Identifier: MIT
 *
 * dlopen() and dlsym() may be called by several threads, and two threads that load one file get the same table, which
 * bdrv_register() takes once. So there is no lock here. A module stays in memory: images may be open with it.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "block/drivers.h"

#define PREFIX "block-"
#define SUFFIX ".so"

/* Return the path by which the shared library was loaded; NULL: it is a part of the program, or the path is relative,
 * and perhaps the program has left that folder */
static const char *library_path(void)
{
    static const char here;
    struct link_map *map = NULL;
    Dl_info info;

    return dladdr1(&here, &info, (void **)&map, RTLD_DL_LINKMAP) && map && map->l_name && *map->l_name == '/' ?
        map->l_name : NULL;
}

/* Add the folder of the library, and "miniblk" in it. In a build folder modules are beside the library */
static void add_own_folders(GPtrArray *folders)
{
    const char *path = library_path();
    char *real = path ? realpath(path, NULL) : NULL;

    if (real) {
        char *folder = g_path_get_dirname(real);

        g_ptr_array_add(folders, g_build_filename(folder, "miniblk", NULL));
        g_ptr_array_add(folders, folder);
    } else {
        g_ptr_array_add(folders, g_strdup(MINIBLK_MODULE_FOLDER));
    }
    free(real);
}

/* Return the folders of modules, in the order of searching */
static GPtrArray *module_folders(void)
{
    const char *said = secure_getenv("MINIBLK_MODULE_PATH");
    char **parts = g_strsplit(said ? said : "", ":", -1);
    GPtrArray *folders = g_ptr_array_new_with_free_func(g_free);

    for (size_t i = 0; parts[i]; i++) {
        if (*parts[i]) {
            g_ptr_array_add(folders, g_strdup(parts[i]));
        }
    }
    g_strfreev(parts);
    add_own_folders(folders);
    return folders;
}

/* Return the path of the module @name; NULL: there is none */
static char *find_module(const char *name)
{
    GPtrArray *folders = module_folders();
    g_autofree char *file = g_strconcat(PREFIX, name, SUFFIX, NULL);
    char *path = NULL;

    for (unsigned i = 0; !path && i < folders->len; i++) {
        path = g_build_filename(folders->pdata[i], file, NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
            g_clear_pointer(&path, g_free);
        }
    }
    g_ptr_array_unref(folders);
    return path;
}

/* Load a file. Before that, let it see the library's functions, even if the program loaded the library only for
 * itself */
static void *open_module(const char *path, GError **errp)
{
    const char *library = library_path();

    if (library) {
        dlopen(library, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!handle) {
        const char *said = dlerror(), *why = said ? said : "dlopen() does not say why";
        size_t length = strlen(path);
        bool twice = !strncmp(why, path, length) && !strncmp(why + length, ": ", 2);

        bdrv_set_error(errp, ENOTSUP, "the module '%s' cannot be loaded: %s", path, twice ? why + length + 2 : why);
    }
    return handle;
}

static bool is_equal(const char *said, const char *name)
{
    return said && g_str_equal(said, name);
}

/* Check what a module exports, and register its driver */
static bool take_module(const char *path, const char *name, void *handle, GError **errp)
{
    const BlockModule *module = dlsym(handle, "miniblk_module");
    const void *copy = dlsym(handle, "bdrv_register");
    GError *err = NULL;

    if (!module) {
        bdrv_set_error(&err, ENOTSUP, "it exports no 'miniblk_module'");
    } else if (module->abi != BLOCK_MODULE_ABI) {
        bdrv_set_error(&err, ENOTSUP, "it was built for the interface %u, and this library has the interface %d",
                       module->abi, BLOCK_MODULE_ABI);
    } else if (copy && copy != (const void *)(uintptr_t)bdrv_register) {
        bdrv_set_error(&err, ENOTSUP, "it is linked with another copy of the library");
    } else if (!module->driver || module->driver_size < offsetof(BlockDriver, description)) {
        bdrv_set_error(&err, EINVAL, "it has no table of a driver");
    } else if (!is_equal(module->driver->name, name) && !is_equal(module->driver->alias, name)) {
        bdrv_set_error(&err, EINVAL, "its driver is called '%s', not '%s'",
                       module->driver->name ? module->driver->name : "", name);
    } else {
        bdrv_register(module->driver, module->driver_size, &err);
    }
    if (err) {
        bdrv_set_error(errp, bdrv_error_code(err), "the module '%s' cannot be used: %s", path, err->message);
        bdrv_error_free(err);
        return false;
    }
    return true;
}

bool bdrv_load_module(const char *name, GError **errp)
{
    g_autofree char *path = bdrv_is_driver_name(name) && !bdrv_listed_driver(name) ? find_module(name) : NULL;
    void *handle = path ? open_module(path, errp) : NULL;

    if (!handle) {
        return !path;
    }
    bool ok = take_module(path, name, handle, errp);

    if (!ok) {
        dlclose(handle);
    }
    return ok;
}

const BlockDriver *bdrv_load_driver(const char *name, GError **errp)
{
    if (!bdrv_load_module(name, errp)) {
        return NULL;
    }
    const BlockDriver *drv = bdrv_listed_driver(name);

    if (!drv && g_str_equal(name, "nbd")) {
        bdrv_set_error(errp, ENOTSUP, "driver 'nbd' is not built in");
    } else if (!drv) {
        bdrv_set_error(errp, ENOENT, "Unknown driver '%s'", name);
    }
    return drv;
}

const BlockDriver *bdrv_find_driver(const char *name)
{
    return bdrv_load_driver(name, NULL);
}

/* Append the names of the modules in @folder that are neither in @names nor in the list of drivers */
static void add_module_names(GString *names, const char *folder)
{
    DIR *dir = opendir(folder);

    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name);

        if (!g_str_has_prefix(entry->d_name, PREFIX) || !g_str_has_suffix(entry->d_name, SUFFIX) ||
            length < strlen(PREFIX SUFFIX)) {
            continue;
        }
        g_autofree char *name = g_strndup(entry->d_name + strlen(PREFIX), length - strlen(PREFIX SUFFIX));
        g_autofree char *word = g_strconcat(" ", name, " ", NULL);

        if (bdrv_is_driver_name(name) && !bdrv_listed_driver(name) && !strstr(names->str, word)) {
            g_string_append_printf(names, "%s ", name);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

char *bdrv_module_names(void)
{
    GPtrArray *folders = module_folders();
    g_autoptr(GString) names = g_string_new(" ");

    for (unsigned i = 0; i < folders->len; i++) {
        add_module_names(names, folders->pdata[i]);
    }
    g_ptr_array_unref(folders);
    return g_strdup(g_strstrip(names->str));
}
