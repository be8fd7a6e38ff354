/* options.c - print the option tables of all drivers, or with "checks" what they check, a line each, for manual.py */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <miniblk/driver.h>

static void print_type(const BlockOption *opt)
{
    static const char *const words[] = {
        [BLOCK_OPT_STRING] = "text", [BLOCK_OPT_SIZE] = "size", [BLOCK_OPT_INT] = "number", [BLOCK_OPT_BOOL] = "on|off",
        [BLOCK_OPT_ON_OFF] = "on|off",
        [BLOCK_OPT_NODE] = "",
    };

    if (opt->type != BLOCK_OPT_ENUM) {
        printf("%s", words[opt->type]);
        return;
    }
    for (int i = 0; opt->values[i]; i++) {
        printf("%s%s", i ? "|" : "", opt->values[i]);
    }
}

static void print_table(const char *driver, const char *when, const char *prefix, const BlockOption *table)
{
    for (const BlockOption *opt = table; opt && opt->name; opt++) {
        if (opt->type == BLOCK_OPT_LIST) {
            char below[128];

            snprintf(below, sizeof(below), "%s%s.N.", prefix, opt->name);
            print_table(driver, when, below, opt->items);
            continue;
        }
        printf("%s\t%s\t%s%s%s", driver, when, prefix, opt->name, opt->type == BLOCK_OPT_NODE ? ".*" : "=");
        print_type(opt);
        printf("\t%s%s\n", !opt->def ? "required" : *opt->def ? "default " : "", opt->def ? opt->def : "");
    }
}

static void print_checks(const BlockDriver *drv)
{
    static const char *const levels[] = {
        [BLOCK_CHECK_NOTE] = "note", [BLOCK_CHECK_LEAK] = "leak", [BLOCK_CHECK_CORRUPTION] = "corruption",
    };

    for (const BlockCheckKind *kind = drv->check_kinds; kind && kind->code; kind++) {
        printf("%s\t%s\t%s\t%s\n", kind->code, levels[kind->level],
               !kind->fix ? "no" : kind->fix == BDRV_CHECK_FIX_LEAKS ? "leaks" : "all", kind->name);
    }
}

int main(int argc, char **argv)
{
    const BlockDriver *drv = NULL;

    bdrv_find_driver("nbd");        /* its table is in the list once its module is loaded */
    while ((drv = bdrv_next_driver(drv))) {
        if (argc > 1 && !strcmp(argv[1], "checks")) {
            print_checks(drv);
            continue;
        }
        printf("%s\tdriver\t%s\t\n", drv->name, drv->alias ? drv->alias : "");
        print_table(drv->name, "open", "", drv->open_options);
        print_table(drv->name, "create", "", drv->create_options);
        print_table(drv->name, "amend", "", drv->amend_options);
        print_table(drv->name, "resize", "", drv->resize_options);
    }
    return 0;
}
