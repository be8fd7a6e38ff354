/* img-check.c - miniblk-img check: finds damage, and repairs it */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include "tools/common.h"
#include "tools/img-args.h"
#include "tools/img-chain.h"
#include "tools/img-image.h"
#include "tools/img-progress.h"
#include "tools/img.h"
#include "tools/json.h"

/* Exit statuses of qemu-img */
enum { CHECK_SOUND = 0, CHECK_FAILED = 1, CHECK_CORRUPT = 2, CHECK_LEAKS = 3, CHECK_UNSUPPORTED = 63 };

typedef struct CheckArgs {
    ImgImage image;
    unsigned fix;
    bool json, quiet;
    bool chain;                 /* check its parents, too */
    Json *out;
} CheckArgs;

/* Print a line, which may quote an image */
static void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void print_line(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args), *printable = tool_printable(text);
    va_end(args);
    tool_print("%s\n", printable);
}

static const char *level_name(BlockCheckLevel level)
{
    static const char *const names[] = {
        [BLOCK_CHECK_NOTE] = "note", [BLOCK_CHECK_LEAK] = "leak", [BLOCK_CHECK_CORRUPTION] = "corruption",
        [BLOCK_CHECK_ERROR] = "error",
    };

    return names[level];
}

/* Output for people */

static const char *remedy(const BlockFinding *f)
{
    return !f->fix ? "" : f->fix == BDRV_CHECK_FIX_LEAKS ? "-r leaks: " : "-r all: ";
}

static void print_finding(const BlockFinding *f, const char *before, int64_t count, const char *how)
{
    print_line("%s%s %s: %s", before, level_name(f->level), f->code, f->name);
    for (int i = 0; i < f->cases_count && i < count; i++) {
        print_line("    %s", f->cases[i].text);
    }
    if (count > f->cases_count) {
        print_line("    and %" PRId64 " more", count - f->cases_count);
    }
    if (f->advice) {
        print_line("    [%s%s]", how, f->advice);
    }
}

static void print_repaired(const BlockCheck *check)
{
    for (int i = 0; i < check->count; i++) {
        const BlockFinding *f = &check->findings[i];

        if (f->fixed > 0) {
            print_finding(f, "repaired ", f->fixed, "");
        }
    }
    tool_print("The following inconsistencies were found and repaired:\n\n    %" PRId64 " leaked clusters\n    %" PRId64
               " corruptions\n\nDouble checking the fixed image now...\n", check->leaks_fixed,
               check->corruptions_fixed);
}

/* Print the findings, the worst first. QEMU prints no notes */
static void print_findings(const BlockCheck *check)
{
    for (int level = BLOCK_CHECK_ERROR; level >= (tool_is_qemu ? BLOCK_CHECK_LEAK : BLOCK_CHECK_NOTE); level--) {
        for (int i = 0; i < check->count; i++) {
            const BlockFinding *f = &check->findings[i];

            if ((int)f->level == level && f->count > 0) {
                print_finding(f, "", f->count, remedy(f));
            }
        }
    }
}

static void print_totals(const BlockCheck *check)
{
    if (!check->corruptions && !check->leaks && !check->errors) {
        tool_print("No errors were found on the image.\n");
    }
    if (check->corruptions) {
        tool_print("\n%" PRId64 " errors were found on the image.\nData may be corrupted, or further writes to the "
                   "image may corrupt it.\n", check->corruptions);
    }
    if (check->leaks) {
        tool_print("\n%" PRId64 " leaked clusters were found on the image.\n"
                   "This means waste of disk space, but no harm to data.\n", check->leaks);
    }
    if (check->errors) {
        tool_print("\n%" PRId64 " internal errors have occurred during the check.\n", check->errors);
    }
    if (check->total_clusters && check->allocated_clusters) {
        tool_print("%" PRId64 "/%" PRId64 " = %.2f%% allocated, %.2f%% fragmented, 0.00%% compressed clusters\n",
                   check->allocated_clusters, check->total_clusters,
                   img_percent(check->allocated_clusters, check->total_clusters),
                   img_percent(check->fragmented_clusters, check->allocated_clusters));
    }
    if (check->image_end_offset) {
        tool_print("Image end offset: %" PRId64 "\n", check->image_end_offset);
    }
}

/* JSON output */

static void json_int_if(Json *json, const char *key, int64_t number)
{
    if (number) {
        json_int(json, key, number);
    }
}

static void json_cases(Json *json, const BlockFinding *f)
{
    json_key(json, "cases");
    json_begin_list(json);
    for (int i = 0; i < f->cases_count; i++) {
        const BlockCheckCase *one = &f->cases[i];

        json_begin_item(json);
        json_text(json, "text", one->text);
        if (one->offset >= 0) {
            json_int(json, "offset", one->offset);
        }
        if (one->cluster >= 0) {
            json_int(json, "block", one->cluster);
        }
        json_end(json);
    }
    json_end_list(json);
}

static void json_finding(Json *json, const BlockFinding *f, int64_t count)
{
    json_begin_item(json);
    json_text(json, "code", f->code);
    json_text(json, "class", level_name(f->level));
    json_int(json, "count", count);
    json_bool(json, "repairable", f->fix != 0);
    json_text(json, "text", f->name);
    if (f->advice) {
        json_text(json, "advice", f->advice);
    }
    json_cases(json, f);
    json_end(json);
}

/* List the findings that were repaired if @fixed, else those that remain */
static void json_findings(Json *json, const char *key, const BlockCheck *check, bool fixed)
{
    json_key(json, key);
    json_begin_list(json);
    for (int i = 0; i < check->count; i++) {
        const BlockFinding *f = &check->findings[i];
        int64_t count = fixed ? f->fixed : f->count;

        if (count > 0) {
            json_finding(json, f, count);
        }
    }
    json_end_list(json);
}

/* Fill an object that was begun. @repaired: the check with repairs; NULL: nothing was repaired */
static void json_check(Json *json, const CheckArgs *args, const BlockCheck *check, const BlockCheck *repaired)
{
    json_int_if(json, "image-end-offset", check->image_end_offset);
    json_int_if(json, "total-clusters", check->total_clusters);
    json_int_if(json, "corruptions-fixed", repaired ? repaired->corruptions_fixed : 0);
    json_int_if(json, "corruptions", check->corruptions);
    json_int(json, "check-errors", check->errors);
    json_int_if(json, "leaks-fixed", repaired ? repaired->leaks_fixed : 0);
    json_int_if(json, "leaks", check->leaks);
    json_int_if(json, "allocated-clusters", check->allocated_clusters);
    json_text(json, "filename", args->image.filename);
    json_text(json, "format", bdrv_get_driver_name(args->image.bs));
    json_int_if(json, "fragmented-clusters", check->fragmented_clusters);
    json_findings(json, "findings", check, false);
    if (repaired) {
        json_findings(json, "repaired", repaired, true);
    }
    json_warnings(json, args->image.bs);
}

/* The check */

static int status_of(const BlockCheck *check)
{
    if (check->errors) {
        tool_error("Check failed");
        return CHECK_FAILED;
    }
    return check->corruptions ? CHECK_CORRUPT : check->leaks ? CHECK_LEAKS : CHECK_SOUND;
}

static void print_check(const CheckArgs *args, const BlockCheck *check, const BlockCheck *repaired)
{
    if (args->quiet) {
        return;
    }
    if (!args->json) {
        print_findings(check);
        print_totals(check);
        return;
    }
    (args->chain ? json_begin_item : json_begin)(args->out);
    json_check(args->out, args, check, repaired);
    json_end(args->out);
    if (!args->chain) {
        tool_print("\n");
    }
}

/* Print an image of a chain that could not be checked, so that every image is in the list */
static void print_unchecked(const CheckArgs *args, const char *why)
{
    if (args->chain && args->json && !args->quiet) {
        json_begin_item(args->out);
        json_text(args->out, "filename", args->image.filename);
        json_text(args->out, "error", why);
        json_end(args->out);
    }
}

static int report_failure(const CheckArgs *args, GError *err)
{
    int code = bdrv_error_code(err);

    print_unchecked(args, bdrv_error_message(err));
    if (code == ENOTSUP) {
        tool_error("This image format does not support checks");
    } else {
        tool_error("Check of '%s' failed: %s", args->image.filename, bdrv_error_message(err));
    }
    bdrv_error_free(err);
    return code == ENOTSUP ? CHECK_UNSUPPORTED : CHECK_FAILED;
}

static bool was_repaired(const BlockCheck *check)
{
    return check->corruptions_fixed || check->leaks_fixed || check->notes_fixed;
}

static int check(const CheckArgs *args)
{
    GError *err = NULL;
    ImgProgress progress;

    img_progress_start(&progress, false, args->quiet || args->json, 0);
    BlockCheck *second = NULL;
    BlockCheck *first = bdrv_check_telling(args->image.bs, args->fix, img_progress_report, &progress, &err);

    img_progress_end(&progress, first != NULL);
    bool repaired = first && was_repaired(first);

    if (repaired) {
        if (!args->json && !args->quiet) {
            print_repaired(first);
        }
        second = bdrv_check(args->image.bs, 0, &err);
    }
    const BlockCheck *last = repaired ? second : first;
    int status = last ? status_of(last) : report_failure(args, err);

    if (last) {
        print_check(args, last, repaired ? first : NULL);
    }
    bdrv_check_free(second);
    bdrv_check_free(first);
    return status;
}

/* Open the image, check it, and close it. Returns the exit status */
static int check_image(CheckArgs *args)
{
    GError *err = NULL;

    if (args->chain && !args->json && !args->quiet) {
        g_autofree char *printable = tool_printable(args->image.filename);

        tool_print("image: %s\n", printable);
    }
    if (!img_open_silently(&args->image, &err)) {
        print_unchecked(args, bdrv_error_message(err));
        bdrv_error_free(err);
        return CHECK_FAILED;
    }
    tool_print_warnings(args->image.bs, args->image.filename, &args->image.warnings);
    int status = check(args);
    int ret = bdrv_close(args->image.bs);   /* warnings of closing are not printed: they are among the findings */

    args->image.bs = NULL;
    if (ret < 0) {
        tool_error("Could not close '%s': %s", args->image.filename, g_strerror(-ret));
    }
    return ret < 0 ? CHECK_FAILED : status;
}

/* Return the worse of two statuses. A parent whose format has no checks, such as raw, makes nothing worse */
static int worse(int a, int b)
{
    static const int order[] = { CHECK_FAILED, CHECK_CORRUPT, CHECK_LEAKS, CHECK_SOUND };

    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        if (a == order[i] || b == order[i]) {
            return order[i];
        }
    }
    return CHECK_UNSUPPORTED;
}

/* Check the image and all its parents */
static int check_chain(const CheckArgs *args)
{
    CheckArgs one = *args;
    char *end;
    int status = check_image(&one);
    GPtrArray *parents = img_find_chain(&args->image, &end);

    for (guint i = 0; i < parents->len; i++) {
        const ChainImage *parent = g_ptr_array_index(parents, i);

        if (!args->json && !args->quiet) {
            tool_print("\n");
        }
        one.image = (ImgImage) { .filename = parent->filename, .options = parent->options, .named = true,
                                 .flags = args->image.flags };
        status = worse(status, check_image(&one));
    }
    if (end) {
        tool_error("The chain of '%s' can't be opened: %s", args->image.filename, end);
        status = worse(status, CHECK_CORRUPT);
    }
    g_ptr_array_unref(parents);
    g_free(end);
    return status;
}

static void parse_fix(CheckArgs *args, const char *text)
{
    if (!strcmp(text, "leaks")) {
        args->fix = BDRV_CHECK_FIX_LEAKS;
    } else if (!strcmp(text, "all")) {
        args->fix = BDRV_CHECK_FIX_LEAKS | BDRV_CHECK_FIX_ERRORS;
    } else {
        img_usage_error("Unknown option value for -r (expecting 'leaks' or 'all'): %s", text);
    }
}

static bool check_parse_args(CheckArgs *args, int argc, char **argv)
{
    static const struct option long_options[] = {
        IMG_COMMON_OPTIONS, IMG_IMAGE_OPTIONS, { "repair", 1, NULL, 'r' }, { "output", 1, NULL, IMG_OPT_OUTPUT },
        { "backing-chain", 0, NULL, IMG_OPT_BACKING_CHAIN }, { 0 }
    };
    const char *cache = "writeback";
    int c;

    while ((c = img_getopt(argc, argv, ":hf:r:T:qU", long_options)) != -1) {
        if (c == 'r') {
            parse_fix(args, optarg);
        } else if (c == 'T') {
            cache = optarg;
        } else if (c == 'q') {
            args->quiet = true;
        } else if (c == IMG_OPT_BACKING_CHAIN) {
            args->chain = true;
        } else if (c == IMG_OPT_OUTPUT && !img_parse_output(optarg, &args->json)) {
            return false;
        } else {
            img_take_option(&args->image, c);
        }
    }
    args->image.filename = img_one_filename(argc, argv);
    if (args->chain && args->fix) {
        img_usage_error("-r repairs one image: name each of the chain that is to be repaired");
    }
    return img_parse_cache("source ", cache, &args->image.flags);
}

int img_check(int argc, char **argv)
{
    CheckArgs args = { 0 };

    if (!check_parse_args(&args, argc, argv)) {
        return CHECK_FAILED;
    }
    Json json = { 0 };
    bool listed = args.chain && args.json && !args.quiet;

    args.out = &json;
    args.image.flags |= BDRV_O_CHECK | (args.fix ? BDRV_O_RDWR : 0);
    if (listed) {
        json_begin_list(&json);
    }
    int status = args.chain ? check_chain(&args) : check_image(&args);
    if (listed) {
        json_end_list(&json);
        tool_print("\n");
    }
    return status;
}
