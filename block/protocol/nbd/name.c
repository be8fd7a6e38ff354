/* name.c - names of NBD exports: URIs (nbd://…), and QEMU's older form (nbd:…) */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <glib.h>
#include "block/protocol/nbd/nbd.h"
#include "util/keyval.h"

#define EXPORT ":exportname="

const char *const nbdc_prefixes[] = { "nbd", "nbd+tcp", "nbd+unix", NULL };

static bool no_url(GError **errp)
{
    bdrv_set_error(errp, EINVAL, "No valid URL specified");
    return false;
}

static void take_unix(KeyVal *kv, const char *path)
{
    keyval_set(kv, "server.type", "unix");
    keyval_set(kv, "server.path", path);
}

static void take_inet(KeyVal *kv, const char *host, const char *port)
{
    keyval_set(kv, "server.type", "inet");
    keyval_set(kv, "server.host", host);
    keyval_set(kv, "server.port", port);
}

/* Split "host:port" or "[address]:port". Return the host, and in *@port the port, NULL if it is missing. NULL: it is
 * neither of these */
static char *split_host(const char *text, const char **port)
{
    const char *end = *text == '[' ? strchr(text, ']') : text + strcspn(text, ":");

    if (!end) {
        return NULL;
    }
    char *host = *text == '[' ? g_strndup(text + 1, (size_t)(end - text - 1)) : g_strndup(text, (size_t)(end - text));

    end += *end == ']';
    *port = *end == ':' ? end + 1 : NULL;
    if (!*host || (*end && *end != ':') || (*port && (!**port || strchr(*port, ':')))) {
        g_clear_pointer(&host, g_free);
    }
    return host;
}

/* Return the value of "socket" in "a=b&socket=c". NULL: it is missing, or there are other keys */
static char *socket_in(const char *query)
{
    bool good = g_str_has_prefix(query, "socket=") && !strchr(query, '&');

    return good ? g_uri_unescape_string(query + strlen("socket="), NULL) : NULL;
}

static bool take_uri(KeyVal *kv, const char *name, GError **errp)
{
    const char *start = strstr(name, "://") + 3, *slash = start + strcspn(start, "/?"), *query = strchr(slash, '?');
    g_autofree char *authority = g_strndup(start, (size_t)(slash - start));
    g_autofree char *path = query ? g_strndup(slash, (size_t)(query - slash)) : g_strdup(slash);
    g_autofree char *export = g_uri_unescape_string(path + (*path == '/'), NULL);
    bool local = g_str_has_prefix(name, "nbd+unix:");

    if (!export || (local && (*authority || !query)) || (!local && query)) {
        return no_url(errp);
    }
    if (*export) {
        keyval_set(kv, "export", export);
    }
    if (local) {
        g_autofree char *socket = socket_in(query + 1);

        if (!socket || !*socket) {
            return no_url(errp);
        }
        take_unix(kv, socket);
        return true;
    }
    const char *port = NULL;
    g_autofree char *host = split_host(authority, &port);

    if (!host) {
        return no_url(errp);
    }
    take_inet(kv, host, port ? port : "10809");
    return true;
}

static bool take_old_name(KeyVal *kv, const char *address, GError **errp)
{
    const char *end = strstr(address, EXPORT), *port = NULL;
    g_autofree char *server = end ? g_strndup(address, (size_t)(end - address)) : g_strdup(address);

    if (end && end[strlen(EXPORT)]) {
        keyval_set(kv, "export", end + strlen(EXPORT));
    }
    if (!*server) {
        bdrv_set_error(errp, EINVAL, "NBD server address missing");
        return false;
    }
    if (g_str_has_prefix(server, "unix:")) {
        take_unix(kv, server + strlen("unix:"));
        return true;
    }
    g_autofree char *host = split_host(server, &port);

    if (!host || !port) {
        bdrv_set_error(errp, EINVAL, "error parsing address '%s'", server);
        return false;
    }
    take_inet(kv, host, port);
    return true;
}

char *nbdc_parse_name(const char *name, const char **rest, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();
    const char *after = strchr(name, ':') + 1;

    if (g_str_has_prefix(after, "//")) {
        return take_uri(kv, name, errp) ? keyval_format(kv) : NULL;
    }
    if (!g_str_has_prefix(name, "nbd:")) {
        no_url(errp);
        return NULL;
    }
    return take_old_name(kv, after, errp) ? keyval_format(kv) : NULL;
}

char *nbdc_name_of(const NbdState *s)
{
    static const char plain[] = "/:@!$'()*+,;=";
    const char *slash = *s->export ? "/" : "";
    g_autofree char *export = g_uri_escape_string(s->export, plain, true);

    if (s->path) {
        g_autofree char *path = g_uri_escape_string(s->path, plain, true);

        return g_strdup_printf("nbd+unix://%s%s?socket=%s", slash, export, path);
    }
    bool colons = strchr(s->host, ':') != NULL;     /* an IPv6 address */

    return g_strdup_printf("nbd://%s%s%s:%s%s%s", colons ? "[" : "", s->host, colons ? "]" : "", s->port, slash,
                           export);
}
