/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/journal.h"

#define LOG_PER_SECOND 50
#define LOG_EVENTS_PER_SECOND 40 /* of them: the rest stay free for what is said once */

static struct {
	char who[40];
	bool journal;
	bool debug;
	int entries;     /* the journal's socket, or -1 */
	uint64_t second; /* the one that `lines` counts */
	unsigned int lines;
	unsigned int events; /* of the lines */
	unsigned int dropped;
} lg = {.entries = -1};

void log_open(const char *who)
{
	snprintf(lg.who, sizeof(lg.who), "%s", who);
	lg.journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_open_journal(const char *path)
{
	if (lg.entries >= 0)
		close(lg.entries);
	lg.entries = journal_is(STDERR_FILENO, getenv("JOURNAL_STREAM"))
			     ? journal_connect(path)
			     : -1;
}

void log_set_debug(bool on)
{
	lg.debug = on;
}

bool log_debug_on(void)
{
	return lg.debug;
}

/* One write per line, so that lines of several processes do not mix. */
static void log_write(enum log_level level, const char *text)
{
	char line[1100];
	int n;

	if (lg.journal)
		n = snprintf(line, sizeof(line), "<%d>%s: %s\n", (int)level, lg.who,
			     text);
	else
		n = snprintf(line, sizeof(line), "%s: %s\n", lg.who, text);
	if (n >= (int)sizeof(line)) {
		n = (int)sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nowhere left to say so */
}

/* The second of the present; what the one before left out is said when it ends. */
static void log_tick(void)
{
	uint64_t second = clock_ms() / 1000;
	char text[64];

	if (second == lg.second)
		return;
	if (lg.dropped) {
		snprintf(text, sizeof(text), "%u log lines left out", lg.dropped);
		log_write(LOG_LEVEL_WARN, text);
	}
	lg.second = second;
	lg.lines = 0;
	lg.events = 0;
	lg.dropped = 0;
}

static bool log_fits(bool fits)
{
	if (fits)
		lg.lines++;
	else
		lg.dropped++;
	return fits;
}

bool log_admit(void)
{
	log_tick();
	if (!log_fits(lg.lines < LOG_PER_SECOND && lg.events < LOG_EVENTS_PER_SECOND))
		return false;
	lg.events++;
	return true;
}

static bool log_admit_line(void)
{
	log_tick();
	return log_fits(lg.lines < LOG_PER_SECOND);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	char text[1024];
	va_list ap;

	if (level != LOG_LEVEL_ERROR && !log_admit_line())
		return;
	va_start(ap, fmt);
	errno = saved; /* for %m */
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_write(level, text);
	errno = saved;
}

/* An entry of the journal. false: it has to be said otherwise. */
static bool log_entry(enum log_level level, const struct log_field *fields, size_t n,
		      const char *text)
{
	const char priority[] = {(char)('0' + level), '\0'};
	struct journal_entry e = {.n = 0};

	if (lg.entries < 0)
		return false;
	journal_add(&e, "MESSAGE", text);
	journal_add(&e, "PRIORITY", priority);
	journal_add(&e, "SYSLOG_IDENTIFIER", lg.who);
	for (size_t i = 0; i < n; i++)
		journal_add(&e, fields[i].name, fields[i].value);
	return !journal_send(lg.entries, &e);
}

void log_event(enum log_level level, const struct log_field *fields, size_t n,
	       const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!log_entry(level, fields, n, text))
		log_write(level, text);
}

/* The length of the UTF-8 sequence at s, RFC 3629 section 4; 0: not one. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		   : (s[0] & 0xf0) == 0xe0       ? 3
		   : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0) /* C1 controls */
		return 0;
	if ((n == 3 && s[0] == 0xe0 && s[1] < 0xa0) ||
	    (n == 3 && s[0] == 0xed && s[1] > 0x9f) ||
	    (n == 4 && s[0] == 0xf0 && s[1] < 0x90) ||
	    (n == 4 && s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

const char *log_escape(const char *text, char *buf, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t used = 0;

	while (*s) {
		size_t n = utf8_length(s);
		bool plain = n > 1 || (n == 1 && *s >= 0x20 && *s != 0x7f && *s != '"' &&
				       *s != '\\');

		if (used + (plain ? n : 4) >= size)
			break;
		if (plain) {
			memcpy(buf + used, s, n);
			used += n;
			s += n;
		} else {
			snprintf(buf + used, 5, "\\x%02x", *s);
			used += 4;
			s++;
		}
	}
	if (size)
		buf[used] = '\0';
	return buf;
}
