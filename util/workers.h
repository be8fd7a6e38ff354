/* workers.h - one function in several threads at once */
/* SPDX-License-Identifier: MIT */
#ifndef UTIL_WORKERS_H
#define UTIL_WORKERS_H

#define WORKERS_MAX 256

/* Call @work(@user) in @count threads, up to WORKERS_MAX, and return when all calls have returned. The caller's thread
 * is one of them: if the system starts fewer threads, fewer calls are made, but always one. What @work returns is
 * dropped. The threads end before this returns */
void workers_run(unsigned count, void *(*work)(void *user), void *user);

#endif
