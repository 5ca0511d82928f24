/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps the kernel's sets of hosts that have leases: a little after leases have changed, and
 * once a second at most. Each host is in them until the last of its leases ends in the kernel;
 * if we are gone by then, the kernel lets it go.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/room.h"
#include "daemon/core_inside.h"

#define LOOK_SOON_MS 100
#define LOOK_EVERY_MS 1000
#define SLACK_MS 1000 /* by so much a time may differ from what it should be */

struct hosts {
	uint64_t now_ms;
	struct firewall_host *host;
	size_t n;
	size_t room;
	bool failed; /* no memory */
};

/* When the kernel drops it, as far as is known now; what lasts while its host sends lasts on. */
static uint64_t until(const struct lease *l, uint64_t now_ms)
{
	if (lease_idles(l))
		return now_ms + l->idle_s * 1000ULL;
	if (l->kernel_ms == LEASE_NO_DEADLINE)
		return now_ms + LEASE_SILENCE_MS;
	return l->kernel_ms + LEASE_KERNEL_GRACE_MS;
}

/* Those of one host come one behind the other. */
static void note_lease(void *arg, const struct lease *l)
{
	struct hosts *h = arg;
	uint64_t until_ms = until(l, h->now_ms);
	struct firewall_host *last = h->n ? &h->host[h->n - 1] : NULL, *more;

	if (!l->enabled || h->failed)
		return;
	if (last && addr_equal(&last->addr, &l->internal)) {
		if (until_ms > last->until_ms)
			last->until_ms = until_ms;
		return;
	}
	more = room_for(h->host, &h->room, h->n + 1, sizeof(*more));
	h->failed = !more;
	if (!more)
		return;
	h->host = more;
	h->host[h->n++] = (struct firewall_host){l->internal, until_ms};
}

/* Has to be told, as the hosts are others, or one would leave too late, or soon too early. */
static bool differ(const struct core *c, const struct hosts *h)
{
	const struct core_holders *told = &c->holders;

	if (told->n != h->n)
		return true;
	for (size_t i = 0; i < h->n; i++) {
		const struct firewall_host *was = &told->host[i], *is = &h->host[i];
		uint64_t half_ms = told->at_ms + (was->until_ms - told->at_ms) / 2;

		if (!addr_equal(&was->addr, &is->addr) ||
		    was->until_ms > is->until_ms + SLACK_MS ||
		    (is->until_ms > was->until_ms && h->now_ms >= half_ms))
			return true;
	}
	return false;
}

static void arm(struct core *c, uint64_t ms)
{
	const struct timeval in = {.tv_sec = (time_t)(ms / 1000),
				   .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	event_add(c->holders.due, &in);
}

/* Half of the time of the host that leaves first. */
static void arm_next(struct core *c)
{
	const struct core_holders *told = &c->holders;
	uint64_t now_ms = clock_ms(), next_ms = UINT64_MAX;

	for (size_t i = 0; i < told->n; i++) {
		uint64_t left_ms = told->host[i].until_ms > now_ms
					   ? told->host[i].until_ms - now_ms
					   : 0;

		if (left_ms / 2 < next_ms)
			next_ms = left_ms / 2;
	}
	if (told->n)
		arm(c, next_ms > LOOK_EVERY_MS ? next_ms : LOOK_EVERY_MS);
}

static void tell(struct core *c, struct hosts *h)
{
	struct core_holders *told = &c->holders;
	int err = firewall_set_hosts(c->firewall, h->host, h->n);

	if (err && err != -ENOENT) { /* without the table: it comes back with them */
		errno = -err;
		log_warn("the sets of hosts that have leases could not be kept: %m");
	}
	free(told->host);
	told->host = h->host;
	told->n = h->n;
	told->at_ms = h->now_ms;
}

void core_holders_due(int fd, short what, void *arg)
{
	struct core *c = arg;
	struct hosts h = {.now_ms = clock_ms()};

	(void)fd;
	(void)what;
	c->holders.looked_ms = h.now_ms;
	c->holders.waits = false;
	registry_each_by_host(ledger_book(c->ledger), note_lease, &h);
	if (!h.failed && differ(c, &h))
		tell(c, &h);
	else
		free(h.host);
	arm_next(c);
}

void core_holders_changed(struct core *c)
{
	struct core_holders *told = &c->holders;
	uint64_t since_ms = clock_ms() - told->looked_ms;

	if (told->waits || !told->due)
		return;
	told->waits = true;
	arm(c, since_ms >= LOOK_EVERY_MS ? LOOK_SOON_MS : LOOK_EVERY_MS - since_ms);
}
