/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/fake_firewall.h"

#include <errno.h>

#include "firewall/firewall.h"

#define FAKE_STEPS 4096

size_t fake_firewall_commits;
size_t fake_firewall_steps;
uint16_t fake_firewall_refuses;
uint64_t fake_firewall_packets;

static struct lease_change staged[FAKE_STEPS];
static size_t n_staged;

int firewall_stage(struct firewall *fw, const struct lease_change *step, uint64_t now_ms)
{
	(void)fw;
	(void)now_ms;
	if (n_staged == FAKE_STEPS)
		return -ENOMEM;
	staged[n_staged++] = *step;
	return 0;
}

size_t firewall_staged(const struct firewall *fw)
{
	(void)fw;
	return n_staged;
}

size_t firewall_commit(struct firewall *fw, firewall_result_cb result, void *arg)
{
	size_t n = n_staged, failed = 0;

	(void)fw;
	n_staged = 0;
	fake_firewall_commits++;
	fake_firewall_steps += n;
	for (size_t i = 0; i < n; i++) {
		uint16_t port = staged[i].has ? staged[i].after.ext_port : 0;
		bool bad = port && port == fake_firewall_refuses;

		failed += bad;
		result(arg, i, bad ? -ENFILE : 0);
	}
	return failed;
}

int firewall_adopt(struct firewall *fw, uint64_t now_ms,
		   void (*each)(void *arg, const struct lease *lease), void *arg,
		   struct firewall_adopted *report)
{
	(void)fw;
	(void)now_ms;
	(void)each;
	(void)arg;
	*report = (struct firewall_adopted){0};
	return 0;
}

int firewall_packets(struct firewall *fw, const struct lease *l, uint64_t *packets)
{
	(void)fw;
	(void)l;
	*packets = fake_firewall_packets;
	return 0;
}

void firewall_again_begin(struct firewall *fw, const struct portset *tcp,
			  const struct portset *udp)
{
	(void)fw;
	(void)tcp;
	(void)udp;
}

int firewall_stage_again(struct firewall *fw, const struct lease *l, uint64_t now_ms)
{
	struct lease_change step = {.had = true, .has = true, .before = *l, .after = *l};

	return firewall_stage(fw, &step, now_ms);
}
