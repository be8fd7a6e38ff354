/* candidates.c - VHD: lists the paths where the parent of a differencing disk may be */
/* SPDX-License-Identifier: MIT
 *
 * A differencing disk has up to nine names of its parent: one in the header, and up to eight parent locators, whose
 * data vpc/locator.c reads. Most of them are paths of the computer that made the image, often Windows paths. This file
 * turns them into paths of this computer. It opens no image: vpc/backing.c opens one path after another, and the first
 * image whose unique id is right is the parent.
 *
 * The paths, in the order in which they are tried:
 *  1. W2ru: relative to the folder of the child, its symbolic links resolved; then to the folder as the user named it
 *  2. MacX: a file URL; then the same text with its percent escapes as they are, because Xen's tools write none
 *  3. W2ku: through the option drives=; as it is, if it has no drive letter; its last part, in the child's folder
 *  4. the name in the header, by the rules of W2ku
 *  5. Wi2r and Wi2k, by the rules of W2ru and W2ku
 *  6. the last part of each of these names, in each folder of the option parent-search=
 *  7. each of these paths with other case, or with accents composed or decomposed, in the parts that the image named
 *
 * The names were written by whoever made the image, and must not be trusted. They are cut and joined as text. Their
 * number is limited: nine names give at most four paths each, and one more in each search folder; step 7 adds at most
 * MOST_SPELLINGS.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include "block/format/vpc/candidates.h"
#include "block/format/vpc/locator.h"
#include "block/format/vpc/on-disk.h"
#include "util/beneath.h"
#include "util/path.h"
#include "util/utf16.h"

#define MOST_SPELLINGS 64

static bool has_drive(const char *path)
{
    return g_ascii_isalpha(path[0]) && path[1] == ':';
}

static bool is_mapping(const char *item)
{
    return g_ascii_isalpha(item[0]) && item[1] == '=' && item[2];
}

bool vpc_accept_parent_rules(const VpcParentRules *rules, GError **errp)
{
    g_auto(GStrv) items = g_strsplit(rules->drives ? rules->drives : "", ";", -1);

    for (char **item = items; *item; item++) {
        if (**item && !is_mapping(*item)) {
            bdrv_set_error(errp, EINVAL, "drive map: '%s' is not a letter and a folder, such as C=/mnt/c",
                           *item);
            return false;
        }
    }
    return true;
}

/* Return the folder that stands for a drive; NULL: there is none. g_free() it */
static char *drive_folder(const VpcParentRules *rules, char letter)
{
    g_auto(GStrv) items = g_strsplit(rules->drives ? rules->drives : "", ";", -1);

    for (char **item = items; *item; item++) {
        if (is_mapping(*item) && g_ascii_tolower(**item) == g_ascii_tolower(letter)) {
            return g_strdup(*item + 2);
        }
    }
    return NULL;
}

typedef struct CandidateSearch {
    const VpcParentRules *rules;
    GPtrArray *found;           /* VpcCandidate * */
    GHashTable *seen;           /* their paths, made absolute */
    GPtrArray *names;           /* VpcCandidate *, path: only the last part of each name */
    const char *name;           /* the one whose places are added now */
    GHashTable *listings;       /* Listing *, by the path of the folder */
    GHashTable *wanted;         /* parts of names, as fold() has them, that folders are listed for */
    char *cwd;                  /* symbolic links resolved */
    char *resolved, *named;     /* the child's folder: where links lead, and as the user has it; or NULL */
} CandidateSearch;

static VpcCandidate *new_candidate(char *path, const char *name, char *source)
{
    VpcCandidate *c = g_new(VpcCandidate, 1);

    *c = (VpcCandidate) { .path = path, .name = g_strdup(name), .source = source };
    return c;
}

static void free_candidate(void *candidate)
{
    VpcCandidate *c = candidate;

    g_free(c->path);
    g_free(c->name);
    g_free(c->source);
    g_free(c);
}

/* Count the bytes of @path that are whole parts of @folder. The rest of @path was named by the image */
static size_t common_folder(const char *path, const char *folder)
{
    size_t n = 0, end = 0;

    for (; path[n] && path[n] == folder[n]; n++) {
        end = path[n] == '/' ? n : end;
    }
    return !folder[n] && (path[n] == '/' || (n > 0 && path[n - 1] == '/')) ? n : end;
}

/* Return whether @path leads down from @folder. @common: as common_folder() has it. "." is in no path */
static bool is_below(const char *path, const char *folder, size_t common)
{
    if (!strcmp(folder, ".")) {
        return *path != '/' && !g_str_has_prefix(path, "../");
    }
    return common == strlen(folder) && strcmp(folder, "/") != 0;
}

/* Add a candidate. Takes @path, which is in @folder or, by way of "..", near it. @how: what was done to the name
 * that @source has, "" if nothing */
static void add(CandidateSearch *s, const char *folder, char *path, const char *source, const char *how)
{
    bool possible = strlen(path) < PATH_MAX;

    if (possible && g_hash_table_add(s->seen, g_canonicalize_filename(path, s->cwd))) {
        VpcCandidate *c = new_candidate(path, s->name, g_strconcat(source, how, NULL));

        c->exact = !*how;
        c->ours = common_folder(path, folder);
        c->below = is_below(path, folder, c->ours);
        g_ptr_array_add(s->found, c);
    } else {
        g_free(path);
    }
}

static void add_beside_child(CandidateSearch *s, const char *name, const char *source, const char *how)
{
    if (s->resolved) {
        add(s, s->resolved, path_join(s->resolved, name), source, how);
    }
    if (s->named) {
        add(s, s->named, path_join(s->named, name), source, how);
    }
}

/* Add a path of this host; a file on another host has no path here */
static void add_path(CandidateSearch *s, const char *path, const char *source)
{
    g_autofree char *folder = has_drive(path) ? drive_folder(s->rules, path[0]) : NULL;

    if (folder) {
        g_autofree char *rooted = path_join("/", path + 2);     /* ".." of a drive's root is that root */

        add(s, folder, path_join(folder, rooted), source, ", drive map");
    } else if (path[0] == '/' && path[1] != '/') {
        add(s, "/", path_join("/", path), source, "");
    } else if (!has_drive(path) && path[0] != '/') {
        add_beside_child(s, path, source, "");
    }
}

/* Add @path, which has '/'. @absolute: it is meant to be, so that its last part is worth a look beside the child */
static void add_name(CandidateSearch *s, const char *path, const char *source, bool absolute)
{
    const char *last = path_last(has_drive(path) ? path + 2 : path);

    if (!last) {
        return;
    }
    for (s->name = path; g_str_has_prefix(s->name, "./"); s->name += 2) {
    }
    add_path(s, path, source);
    if (absolute) {
        add_beside_child(s, last, source, ", last part");
    }
    g_ptr_array_add(s->names, new_candidate(g_strdup(last), s->name, g_strdup(source)));
}

/* Add a path that has backslashes, which are changed in place */
static void add_windows_name(CandidateSearch *s, char *path, const char *source, bool absolute)
{
    g_strdelimit(path, "\\", '/');
    /* what switches off Windows's limit on the length of paths */
    bool verbatim = g_str_has_prefix(path, "//?/") && has_drive(path + 4);

    add_name(s, path + (verbatim ? 4 : 0), source, absolute);
}

/* Add the path that a URL names: "file://localhost/a", "file:///a", or without a host, as Xen's tools write it:
 * "file://./a", "file://a" */
static void add_url(CandidateSearch *s, const char *url, const char *source)
{
    if (g_ascii_strncasecmp(url, "file:", 5)) {
        return;
    }
    const char *path = url + 5;

    path += g_str_has_prefix(path, "//") ? 2 : 0;
    path += g_ascii_strncasecmp(path, "localhost/", 10) ? 0 : 9;
    g_autofree char *plain = g_uri_unescape_string(path, NULL);

    if (plain) {
        add_name(s, plain, source, false);
    }
    add_name(s, path, source, false);
}

static void candidates_add_locator(CandidateSearch *s, const VpcLocatorData *locator)
{
    const char *source = vpc_locator_name(locator->code);
    bool absolute = locator->code == VPC_LOCATOR_W2KU || locator->code == VPC_LOCATOR_WI2K;
    g_autofree char *text = vpc_locator_text(locator);

    if (locator->code == VPC_LOCATOR_MACX) {
        add_url(s, text, source);
    } else {
        add_windows_name(s, text, source, absolute);
    }
}

static void add_locators(CandidateSearch *s, const VpcLocatorData *locators, uint32_t code)
{
    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        if (locators[i].code == code && locators[i].bytes && g_bytes_get_size(locators[i].bytes) > 0) {
            candidates_add_locator(s, &locators[i]);
        }
    }
}

static void add_header_name(CandidateSearch *s, const VpcHeader *header)
{
    g_autofree char *text = vpc_header_name(header);

    add_windows_name(s, text, "name in the header", true);
}

static void add_search_folders(CandidateSearch *s)
{
    g_auto(GStrv) folders = g_strsplit(s->rules->search ? s->rules->search : "", ":", -1);

    for (char **folder = folders; *folder; folder++) {
        for (guint i = 0; **folder && i < s->names->len; i++) {
            const VpcCandidate *name = s->names->pdata[i];

            s->name = name->name;
            add(s, *folder, path_join(*folder, name->path), name->source, ", search folder");
        }
    }
}

/* The entries of a folder that are in s->wanted */
typedef struct Listing {
    GPtrArray *entries;         /* char *, in the order of bytes */
    bool there;                 /* it is a folder, or something else that has the name */
    bool readable;              /* false: its entries are not known */
} Listing;

static void free_listing(void *listing)
{
    g_ptr_array_unref(((Listing *)listing)->entries);
    g_free(listing);
}

/* Return a text that is the same for names that differ in case only, or in how accents are written. g_free() it */
static char *fold(const char *name)
{
    if (!g_utf8_validate(name, -1, NULL)) {
        return g_ascii_strdown(name, -1);
    }
    g_autofree char *apart = g_utf8_normalize(name, -1, G_NORMALIZE_NFD), *lower = g_utf8_casefold(apart, -1);

    return g_utf8_normalize(lower, -1, G_NORMALIZE_NFC);
}

/* Open a folder to list it. NULL: there is none, or it is not to be listed */
static DIR *open_folder(const CandidateSearch *s, const char *path, bool *there)
{
    int found = beneath_find(s->rules->root, path, true);
    int fd = found < 0 ? -1 : openat(found, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    *there = found >= 0;
    if (found >= 0) {
        close(found);
    }
    if (fd >= 0 && !dir) {
        close(fd);
    }
    return dir;
}

static int by_bytes(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Add a candidate that says that @folder has more entries than VPC_PARENT_ENTRIES */
static void add_cut(CandidateSearch *s, const char *folder)
{
    VpcCandidate *c = new_candidate(g_strdup(folder), "", g_strdup("names in other case"));

    c->cut = true;
    g_ptr_array_add(s->found, c);
}

static const Listing *list_folder(CandidateSearch *s, const char *folder)
{
    Listing *listing = g_hash_table_lookup(s->listings, folder);
    const struct dirent *entry = NULL;

    if (listing) {
        return listing;
    }
    listing = g_new0(Listing, 1);
    listing->entries = g_ptr_array_new_with_free_func(g_free);
    DIR *dir = open_folder(s, folder, &listing->there);

    listing->readable = dir != NULL;
    for (int i = 0; i < VPC_PARENT_ENTRIES && dir && (entry = readdir(dir)); i++) {
        g_autofree char *folded = fold(entry->d_name);

        if (g_hash_table_contains(s->wanted, folded)) {
            g_ptr_array_add(listing->entries, g_strdup(entry->d_name));
        }
    }
    if (dir) {
        closedir(dir);
    }
    g_ptr_array_sort(listing->entries, by_bytes);
    g_hash_table_insert(s->listings, g_strdup(folder), listing);
    if (entry) {
        add_cut(s, folder);
    }
    return listing;
}

/* A name that is looked for part by part, from the user's folder down */
typedef struct Spelling {
    const VpcCandidate *as;
    char **parts;               /* of its path that the image named */
    guint most;                 /* s->found is not to be longer */
} Spelling;

static void add_spellings(CandidateSearch *s, const Spelling *spelling, const char *folder, unsigned part);

static void add_spelling(CandidateSearch *s, const Spelling *spelling, const char *folder, const char *entry,
                         unsigned part)
{
    g_autofree char *path = g_build_filename(folder, entry, NULL);

    if (spelling->parts[part + 1]) {
        add_spellings(s, spelling, path, part + 1);
    } else if (s->found->len < spelling->most) {
        add(s, folder, g_steal_pointer(&path), spelling->as->source, ", in other case");
    }
}

/* Go on with each entry of @folder that may be meant by this part of the name: the one that is written so first */
static void add_spellings(CandidateSearch *s, const Spelling *spelling, const char *folder, unsigned part)
{
    const char *name = spelling->parts[part];
    const Listing *listing = list_folder(s, folder);
    g_autofree char *wanted = fold(name);

    if ((listing->there && !listing->readable) ||
        g_ptr_array_find_with_equal_func(listing->entries, name, g_str_equal, NULL)) {
        add_spelling(s, spelling, folder, name, part);
    }
    for (guint i = 0; i < listing->entries->len && s->found->len < spelling->most; i++) {
        const char *entry = listing->entries->pdata[i];
        g_autofree char *folded = fold(entry);

        if (strcmp(entry, name) && !strcmp(folded, wanted)) {
            add_spelling(s, spelling, folder, entry, part);
        }
    }
}

/* Return the parts of c->path that the image named. g_strfreev() them */
static char **parts_of(const VpcCandidate *c)
{
    return g_strsplit(c->path + c->ours + (c->path[c->ours] == '/'), "/", -1);
}

static void add_other_case(CandidateSearch *s)
{
    guint count = s->found->len;

    for (guint i = 0; i < count; i++) {
        g_auto(GStrv) parts = parts_of(s->found->pdata[i]);

        for (char **part = parts; *part; part++) {
            g_hash_table_add(s->wanted, fold(*part));
        }
    }
    for (guint i = 0; i < count; i++) {
        const VpcCandidate *c = s->found->pdata[i];
        g_auto(GStrv) parts = parts_of(c);
        g_autofree char *folder = c->ours ? g_strndup(c->path, c->ours) : g_strdup(*c->path == '/' ? "/" : ".");

        s->name = c->name;
        if (*parts) {
            add_spellings(s, &(Spelling) { c, parts, count + MOST_SPELLINGS }, folder, 0);
        }
    }
}

static void start(CandidateSearch *s, const char *child)
{
    const char *told = s->rules->real;
    g_autofree char *real = told || s->rules->root ? g_strdup(told) : path_resolve(child);

    s->cwd = path_resolve(".");
    if (!s->cwd) {
        s->cwd = g_strdup("/");
    }
    if (*child) {
        s->named = g_path_get_dirname(child);
    }
    if (real && *child) {
        g_autofree char *named = g_canonicalize_filename(s->named, s->cwd);
        g_autofree char *resolved = g_path_get_dirname(real);

        /* the same folder is named in the user's words */
        s->resolved = strcmp(named, resolved) ? g_steal_pointer(&resolved) : NULL;
    }
}

static void add_all(CandidateSearch *s, const VpcHeader *header, const VpcLocatorData *locators)
{
    add_locators(s, locators, VPC_LOCATOR_W2RU);
    add_locators(s, locators, VPC_LOCATOR_MACX);
    add_locators(s, locators, VPC_LOCATOR_W2KU);
    add_header_name(s, header);
    add_locators(s, locators, VPC_LOCATOR_WI2R);
    add_locators(s, locators, VPC_LOCATOR_WI2K);
}

GPtrArray *vpc_parent_candidates(const VpcHeader *header, const VpcLocatorData locators[VPC_LOCATORS],
                                 const char *child, const VpcParentRules *rules)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(free_candidate);
    g_autoptr(GHashTable) listings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_listing);
    g_autoptr(GHashTable) wanted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    CandidateSearch s = { rules, g_ptr_array_new_with_free_func(free_candidate), seen, names,
                 .listings = listings, .wanted = wanted };

    start(&s, child);
    add_all(&s, header, locators);
    add_search_folders(&s);
    if (!rules->exact) {
        add_other_case(&s);
    }
    g_free(s.cwd);
    g_free(s.resolved);
    g_free(s.named);
    return s.found;
}

GPtrArray *vpc_parent_names(const VpcHeader *header, const VpcLocatorData locators[VPC_LOCATORS])
{
    static const VpcParentRules none;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func(free_candidate);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(free_candidate);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    CandidateSearch s = { &none, places, seen, found };

    add_all(&s, header, locators);
    for (guint i = 0; i < found->len; i++) {
        const VpcCandidate *name = found->pdata[i];

        if (g_hash_table_add(seen, g_strdup(name->path))) {
            g_ptr_array_add(names, g_strdup(name->path));
        }
    }
    g_ptr_array_add(names, NULL);
    return names;
}
