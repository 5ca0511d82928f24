/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Log lines on stderr with the <N> prefix that journald reads (sd-daemon(3)), and entries with
 * fields on its own socket. At most 50 lines a second, of which 40 are events, then one with
 * the count: however many leases come and go, what is said once is not lost among them. Text
 * from the network is escaped first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARN = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* Names the process in each line ("igd br-lan"). Prefixes <N> are written when stderr is
 * the journal's (JOURNAL_STREAM is set), else plain lines for a terminal. */
void log_open(const char *who);
void log_set_debug(bool on);
bool log_debug_on(void);

void log_line(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Before the sandbox: what has fields goes to the journal's own socket at that path, if
 * stderr is the journal's. */
void log_open_journal(const char *path);

struct log_field {
	const char *name; /* as the journal wants it: PORTREEVE_HOST */
	const char *value;
};
/* May an event go out now? One that may not is counted, and the number is said a second later. */
bool log_admit(void);

/* The line of log_line(), with its fields where there is a journal, if log_admit() said yes
 * before it was put together. */
void log_event(enum log_level level, const struct log_field *fields, size_t n,
	       const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Error: an operator must act. Warning: we went on without something. Info: a lease came
 * or went, one line. Debug: state changes, and all that a client can cause at will. */
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                   \
	do {                                                                             \
		if (log_debug_on())                                                      \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__);                          \
	} while (0)

/* Writes text with control characters, quotes, backslashes and all that is no valid UTF-8
 * as \xNN; cut to fit, always terminated. Returns buf. */
const char *log_escape(const char *text, char *buf, size_t size);
