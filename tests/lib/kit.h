/* kit.h - seeds, scratch files and patterns for the contract and crash tests */
/* SPDX-License-Identifier: MIT */
#ifndef TESTS_KIT_H
#define TESTS_KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include <miniblk/block.h>

/* Instead of g_test_init(). Takes "--seed N" or "--seed N-M" out of the arguments; without it the
 * environment's MINIBLK_TEST_SEEDS says the same. */
void kit_init(int argc, char **argv);

/* Instead of g_test_run(); the scratch folder goes if all went well */
int kit_run(void);

/* False: no higher seed has anything new to try */
typedef bool KitScript(unsigned seed, const void *data);

/* True where MINIBLK_TEST_LONG is set: "./test --all" does so for the tests of the suite "long" */
bool kit_is_long(void);

/* True where MINIBLK_TEST_BRIEF is set, as in the sanitized builds: they look at paths through the code, and a few seeds
 * and scenarios take all of these */
bool kit_is_brief(void);

/* True of each @share-th seed, from @phase on. True of all where kit_is_long(), or where seeds were asked for */
bool kit_takes(unsigned seed, unsigned share, unsigned phase);

/* Run @script with seeds 0, 1, 2 ... @count - 1, or with those that were asked for; with the first quarter of them
 * unless kit_is_long(), with the first sixteenth if kit_is_brief(). Where it dies, the command that runs it again with
 * this seed is printed. */
void kit_each_seed(unsigned count, KitScript *script, const void *data);

/* A file in the scratch folder: below MINIBLK_TEST_DIR, or below the current folder; g_free() it */
char *kit_path(const char *name);

/* Bytes that tell who wrote them (@stamp) and where they belong (@at) */
uint8_t kit_byte(int64_t at, unsigned stamp);
void kit_fill(uint8_t *buf, int64_t at, int64_t bytes, unsigned stamp);

bool kit_is_zero(const uint8_t *buf, int64_t bytes);

/* Fail, saying where they begin to differ */
void kit_assert_same(const uint8_t *got, const uint8_t *want, int64_t bytes, int64_t at);

/* All bytes of the disk, which are asserted to be readable; g_free() them */
uint8_t *kit_read_all(BlockDriverState *bs);

#endif
