/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_LOG_H
#define DEBUG_LOG_H

#include <stdarg.h>
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/**
 * Print one message with a newline on every console that the level reaches.
 * Formats: %d %i %u %x %X %c %s %p %% with l, ll, z, width, zero padding and '-'; %.*s.
 */
void log_print(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_print(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_print(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_print(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)

/** Like the above, but at most once for each place in the source: for what a guest can trigger. */
#define log_once(level, ...)                                                                       \
    do {                                                                                           \
        static bool said_;                                                                         \
        if (!__atomic_exchange_n(&said_, true, __ATOMIC_RELAXED))                                  \
            log_print(level, __VA_ARGS__);                                                         \
    } while (0)

/** Stop the machine: registers, backtrace and the last trace entries of every LP, then halt. */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** An internal invariant; never a check of anything that a guest or the parent controls. */
#define assert_hv(cond)                                                                            \
    do {                                                                                           \
        if (!(cond))                                                                               \
            panic("assertion failed: %s (%s:%d)", #cond, __FILE__, __LINE__);                      \
    } while (0)

#endif
