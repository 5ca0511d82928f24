/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The trigger worker's reader of the packet log, and its count of remotes held against a simple
 * one. An input is a datagram of netlink; the packets in it are counted, at times that their
 * own bytes say.
 */
#include <linux/netlink.h>

#include "tests/fuzz/fuzz.h"
#include "trigger/count.h"
#include "trigger/packet.h"

#define WINDOW_MS 1000
#define PACKETS 256

static struct run {
	struct count *count;
	uint64_t now_ms;
	size_t n;
	struct {
		struct packet p;
		uint64_t at_ms;
	} seen[PACKETS];
} run;

/* To how many remotes within the window, of those that were told since it began anew. */
static unsigned int count_simply(const struct packet *p)
{
	unsigned int n = 0;

	for (size_t i = 0; i < run.n; i++) {
		bool again = run.seen[i].p.protocol != p->protocol ||
			     run.seen[i].p.port != p->port ||
			     run.now_ms - run.seen[i].at_ms > WINDOW_MS;

		for (size_t k = i + 1; k < run.n && !again; k++)
			again = run.seen[k].p.protocol == p->protocol &&
				run.seen[k].p.port == p->port &&
				run.seen[k].p.remote.s_addr ==
					run.seen[i].p.remote.s_addr;
		n += !again;
	}
	return n;
}

static void take_packet(void *arg, const struct packet *p)
{
	unsigned int n, simply;

	must(arg == &run);
	must(p->port && p->remote_port);
	must(p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP);
	if (run.n == PACKETS)
		return;
	run.now_ms += p->remote_port % 1024;
	run.seen[run.n].p = *p;
	run.seen[run.n++].at_ms = run.now_ms;
	n = count_add(run.count, p->protocol, p->port, p->remote, run.now_ms);
	simply = count_simply(p);
	must(n == (simply < COUNT_REMOTES ? simply : COUNT_REMOTES));
	must(count_ports(run.count) <= run.n);
	if (p->group != 1)
		return;
	count_forget(run.count, p->protocol, p->port);
	for (size_t i = 0; i < run.n; i++)
		if (run.seen[i].p.protocol == p->protocol &&
		    run.seen[i].p.port == p->port)
			run.seen[i].p.protocol = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	uint8_t *block = feed_block(&f, &size);

	memset(&run, 0, sizeof(run));
	run.count = count_new(WINDOW_MS);
	must(run.count);
	packet_read(block, size, take_packet, &run);
	count_free(run.count);
	free(block);
	return 0;
}
