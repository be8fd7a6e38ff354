/* json.c - JSON on standard output, in QEMU's layout */
/* SPDX-License-Identifier: MIT */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "tools/common.h"
#include "tools/json.h"

void json_key(Json *json, const char *key)
{
    tool_print("%s\n%*s\"%s\": ", json->first ? "" : ",", json->depth * 4, "", key);
    json->first = false;
}

static void begin(Json *json, const char *bracket)
{
    tool_print("%s", bracket);
    json->depth++;
    json->first = true;
}

static void end(Json *json, const char *bracket)
{
    json->depth--;
    tool_print("\n%*s%s", json->depth * 4, "", bracket);
    json->first = false;
}

void json_begin(Json *json)
{
    begin(json, "{");
}

void json_end(Json *json)
{
    end(json, "}");
}

void json_begin_list(Json *json)
{
    begin(json, "[");
}

void json_begin_item(Json *json)
{
    tool_print("%s\n%*s", json->first ? "" : ",", json->depth * 4, "");
    json_begin(json);
}

void json_end_list(Json *json)
{
    end(json, "]");
}

static void append_char(GString *out, gunichar c)
{
    static const char letters[] = "\b\f\n\r\t\"\\", escapes[] = "bfnrt\"\\";
    const char *letter = c && c < 0x7f ? strchr(letters, (int)c) : NULL;

    if (letter) {
        g_string_append_printf(out, "\\%c", escapes[letter - letters]);
    } else if (c > 0xffff) {
        g_string_append_printf(out, "\\u%04X\\u%04X", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
    } else if (c < 0x20 || c > 0x7e) {
        g_string_append_printf(out, "\\u%04X", c);
    } else {
        g_string_append_c(out, (char)c);
    }
}

void json_text(Json *json, const char *key, const char *text)
{
    GString *out = g_string_new(NULL);

    json_key(json, key);
    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        bool valid = c < 0x110000;

        append_char(out, valid ? c : 0xfffd);
        text = valid ? g_utf8_next_char(text) : text + 1;
    }
    tool_print("\"%s\"", out->str);
    g_string_free(out, TRUE);
}

void json_int(Json *json, const char *key, int64_t number)
{
    json_key(json, key);
    tool_print("%" PRId64, number);
}

void json_bool(Json *json, const char *key, bool on)
{
    json_key(json, key);
    tool_print("%s", on ? "true" : "false");
}

void json_warnings(Json *json, BlockDriverState *bs)
{
    BlockWarning warning;

    if (!bdrv_get_warning(bs, 0)) {
        return;
    }
    json_key(json, "warnings");
    json_begin_list(json);
    for (unsigned n = 0; bdrv_get_warning_facts(bs, n, &warning); n++) {
        json_begin_item(json);
        json_text(json, "code", warning.code);
        json_text(json, "text", warning.text);
        json_end(json);
    }
    json_end_list(json);
}
