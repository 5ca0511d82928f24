/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "base/log.h"
#include "igd/page.h"

/* One page, as long as somebody still reads it. */
struct sheet {
	size_t readers; /* the status among them */
	size_t len;
	char text[];
};

struct status {
	struct channel *channel;
	struct sheet *sheet; /* NULL: none yet */
	uint64_t made_ms;
	bool asked;     /* the core has more to say */
	uint32_t place; /* where the part that was asked for begins */
	size_t n;
	struct record_row rows[PAGE_ROWS];
};

static void sheet_release(struct sheet *s)
{
	if (s && !--s->readers)
		free(s);
}

static void sheet_returned(const void *body, size_t len, void *arg)
{
	(void)body;
	(void)len;
	sheet_release(arg);
}

static struct sheet *sheet_new(const struct record_state *state,
			       const struct record_row *rows, size_t n, bool more,
			       uint64_t now_ms)
{
	char *draft = malloc(PAGE_SIZE(n));
	struct sheet *s;
	struct text t;

	if (!draft)
		return NULL;
	t = text_in(draft, PAGE_SIZE(n));
	page_write(&t, state, rows, n, more, now_ms);
	s = t.bad ? NULL : malloc(sizeof(*s) + t.len);
	if (s) {
		s->readers = 1;
		s->len = t.len;
		memcpy(s->text, draft, t.len);
	}
	free(draft);
	return s;
}

static int status_ask(struct status *st, uint32_t place)
{
	const struct record_list from = {.place = place};
	int err = channel_send(st->channel, RECORD_LIST, &from, 1);

	st->asked = !err;
	st->place = place;
	return err;
}

int status_page(struct status *st, uint64_t now_ms, struct front_answer *out)
{
	int err;

	if (st->sheet && now_ms - st->made_ms < STATUS_FRESH_MS) {
		st->sheet->readers++;
		*out = (struct front_answer){.status = 200,
					     .type = PAGE_TYPE,
					     .headers = page_headers,
					     .body = st->sheet->text,
					     .len = st->sheet->len,
					     .returned = sheet_returned,
					     .lent = st->sheet};
		return 0;
	}
	if (st->asked)
		return -EAGAIN;
	st->n = 0;
	err = status_ask(st, 0);
	return err ? -EIO : -EAGAIN;
}

static int row_compare(const struct record_row *a, const struct record_row *b)
{
	if (a->ext_port != b->ext_port)
		return a->ext_port < b->ext_port ? -1 : 1;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	return memcmp(&a->internal, &b->internal, sizeof(a->internal));
}

/* They come in order, but for the pinholes; and qsort() asks the kernel how much memory
 * there is, which the sandbox does not allow. */
void status_rows(struct status *st, const struct record_row *rows, size_t n)
{
	for (size_t i = 0; i < n && st->asked && st->n < PAGE_ROWS; i++) {
		struct record_row *at = st->rows + st->n;

		if (!page_row_valid(&rows[i]))
			continue;
		while (at > st->rows && row_compare(at - 1, &rows[i]) > 0)
			at--;
		memmove(at + 1, at, (size_t)(st->rows + st->n - at) * sizeof(*at));
		*at = rows[i];
		st->n++;
	}
}

bool status_listed(struct status *st, const struct record_list *next,
		   const struct record_state *state, uint64_t now_ms)
{
	if (!st->asked)
		return false;
	/* A place that is not further on would have no end. */
	if (next->place > st->place && st->n < PAGE_ROWS &&
	    status_ask(st, next->place) == 0)
		return false;
	st->asked = false;
	sheet_release(st->sheet);
	st->sheet = sheet_new(state, st->rows, st->n, next->place != 0, now_ms);
	st->made_ms = now_ms;
	if (!st->sheet)
		log_warn("no memory for the status page");
	return true;
}

struct status *status_new(struct channel *channel)
{
	struct status *st = calloc(1, sizeof(*st));

	if (st)
		st->channel = channel;
	return st;
}
