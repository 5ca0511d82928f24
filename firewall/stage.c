/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Staging: what a step of the book means for the elements in the kernel, held against what was
 * there before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/room.h"
#include "firewall/staged.h"

/* Longer than any lease; keeps the kernel's arithmetic far from its limits. */
#define TIMEOUT_MAX_MS (3650ULL * 24 * 3600 * 1000)

static int reserve(struct firewall *fw)
{
	struct staged *staged = room_for(fw->staged, &fw->staged_room, fw->n_staged + 1,
					 sizeof(*staged));
	uint8_t *userdata = room_for(fw->userdata, &fw->userdata_room,
				     fw->userdata_len + 2 * ELEMENT_USERDATA_MAX, 1);
	struct element_key *key = room_for(
		fw->key, &fw->key_room, fw->n_keys + 2 * LEASE_FILTERS_MAX, sizeof(*key));
	uint32_t *message = room_for(fw->message, &fw->message_room,
				     CHUNK_STEPS * 2 * OBJECTS, sizeof(*message));

	if (staged)
		fw->staged = staged;
	if (userdata)
		fw->userdata = userdata;
	if (key)
		fw->key = key;
	if (message)
		fw->message = message;
	return staged && userdata && key && message ? 0 : -ENOMEM;
}

/* The set of its owner, and how long that is in there. */
static const char *owner_of(const struct firewall *fw, const struct lease *l,
			    uint64_t left_ms, uint64_t *owner_ms)
{
	uint64_t idle_ms = l->idle_s * 1000ULL;
	const char *set;

	*owner_ms = learn_active_ms(fw);
	if (!l->idle_s || lease_is_pinhole(l))
		return NULL;
	if (!lease_idles(l))
		return LEARN_ACTIVE;
	set = learn_owners(fw, l->idle_s, owner_ms);
	/* Of one that is rounded up it is in there for longer. */
	*owner_ms = *owner_ms + left_ms > idle_ms ? *owner_ms + left_ms - idle_ms : 1;
	return set;
}

/* Never as long as its owner, so that it is never made again when it is gone. */
static void set_idle_timeout(const struct firewall *fw, struct staged *s,
			     const struct lease *l, uint64_t now_ms)
{
	uint64_t left = l->kernel_ms > now_ms ? l->kernel_ms - now_ms : 0;

	s->owner_after = owner_of(fw, l, left, &s->owner_ms);
	if (!lease_idles(l) || !s->owner_after)
		return;
	s->timeout_ms = s->owner_ms + FIREWALL_OWNER_MS;
	s->until_ms = now_ms + s->timeout_ms;
	s->rev_ms = s->timeout_ms + 2000ULL * l->idle_s;
}

static void set_timeout(struct staged *s, const struct lease *l, uint64_t now_ms)
{
	uint64_t left = l->kernel_ms > now_ms ? l->kernel_ms - now_ms : 0;

	s->timeout_ms = s->rev_ms = 0;
	s->until_ms = LEASE_NO_DEADLINE;
	if (l->kernel_ms == LEASE_NO_DEADLINE)
		return;
	if (left > TIMEOUT_MAX_MS)
		left = TIMEOUT_MAX_MS;
	s->timeout_ms = s->rev_ms = left + LEASE_KERNEL_GRACE_MS;
	s->until_ms = now_ms + s->timeout_ms;
}

static void stage_port(struct staged *s, const struct lease *l)
{
	element_held_key(l, s->held);
	element_owner_key(l, s->owner);
	s->use = PORT_USE(l->protocol, l->ext_port);
	s->pinhole = lease_is_pinhole(l);
}

static void stage_before(const struct firewall *fw, struct staged *s,
			 const struct lease *l)
{
	uint64_t ignored;

	s->owner_before = owner_of(fw, l, 0, &ignored);
	s->had_rev = l->twin;
	element_rev_key(l, s->rev_before);
	stage_port(s, l);
}

static void stage_after(struct firewall *fw, struct staged *s, const struct lease *l,
			uint64_t now_ms)
{
	s->has_rev = l->twin;
	element_dest(l, s->dest);
	element_rev_key(l, s->rev_after);
	stage_port(s, l);
	s->port[0] = (uint8_t)(l->ext_port >> 8);
	s->port[1] = (uint8_t)l->ext_port;
	s->userdata = fw->userdata_len;
	s->userdata_len = (uint8_t)element_userdata(l, fw->userdata + s->userdata);
	set_timeout(s, l, now_ms);
	set_idle_timeout(fw, s, l, now_ms);
}

/* Userdata cannot be changed where it stands, nor can data. */
static bool same_contents(const struct firewall *fw, const struct staged *s,
			  const struct lease *before)
{
	uint8_t dest[ELEMENT_DEST];
	uint8_t *userdata = fw->userdata + s->userdata + ELEMENT_USERDATA_MAX;

	element_dest(before, dest);
	return !memcmp(dest, s->dest, sizeof(dest)) &&
	       element_userdata(before, userdata) == s->userdata_len &&
	       !memcmp(userdata, fw->userdata + s->userdata, s->userdata_len);
}

static bool is_live(enum element_map map)
{
	return map != ELEMENT_DISABLED && map != ELEMENT_DISABLED_FROM;
}

/* Which elements stay, and which of them as they are. */
static void stage_match(const struct firewall *fw, struct staged *s,
			const struct lease *before)
{
	bool same = same_contents(fw, s, before);
	enum element_map from = fw->key[s->before].map, to = fw->key[s->after].map;

	s->moves = from != to && is_live(from) && is_live(to);
	for (uint8_t i = 0; i < s->n_after; i++)
		for (uint8_t j = 0; j < s->n_before; j++) {
			if (memcmp(&fw->key[s->after + i], &fw->key[s->before + j],
				   sizeof(*fw->key)))
				continue;
			s->before_of[i] = (uint8_t)(j + 1);
			s->after_of[j] = (uint8_t)(i + 1);
			s->renews[OBJECT_LEASE + i] = same;
		}
	s->renews[OBJECT_REV] = s->had_rev && s->has_rev &&
				!memcmp(s->rev_before, s->rev_after, ELEMENT_HOST_KEY);
}

/* From fw->key[at] on; how many, or -errno. */
static int stage_keys(struct firewall *fw, const struct lease *l, size_t at)
{
	size_t n = element_count(l);

	for (size_t i = 0; i < n; i++) {
		int err = element_key_of(l, i, &fw->key[at + i]);

		if (err)
			return err;
	}
	return (int)n;
}

bool staged_keeps(const struct firewall *fw, const struct staged *s, unsigned int object)
{
	return s->renews[object] && fw->in_place && !s->force[object];
}

/* again: the kernel may have lost some of it */
static int stage(struct firewall *fw, const struct lease_change *step, uint64_t now_ms,
		 bool again)
{
	const struct lease *before = &step->before, *after = &step->after;
	struct staged *s;
	int n = reserve(fw);

	if (n < 0)
		return n;
	if (step->had && step->has && !lease_same_key(before, after))
		return -EINVAL;
	s = &fw->staged[fw->n_staged];
	memset(s, 0, sizeof(*s));
	s->before = fw->n_keys;
	if (step->had && (n = stage_keys(fw, before, s->before)) < 0)
		return n;
	s->n_before = step->had ? (uint8_t)n : 0;
	s->after = s->before + s->n_before;
	if (step->has && (n = stage_keys(fw, after, s->after)) < 0)
		return n;
	s->n_after = step->has ? (uint8_t)n : 0;
	if (step->had)
		stage_before(fw, s, before);
	if (step->has)
		stage_after(fw, s, after, now_ms);
	if (step->had && step->has)
		stage_match(fw, s, before);
	s->rearm = !again && s->renews[OBJECT_LEASE] && lease_idles(before) &&
		   lease_idles(after) && before->idle_s == after->idle_s &&
		   !after->elsewhere;
	/* One that is not renewed where it stands begins to count anew. */
	if (s->pinhole && step->had && step->has && !staged_keeps(fw, s, OBJECT_LEASE))
		firewall_packets(fw, before, &s->packets);
	fw->n_keys = s->after + s->n_after;
	fw->userdata_len += s->userdata_len;
	fw->n_staged++;
	return 0;
}

int firewall_stage(struct firewall *fw, const struct lease_change *step, uint64_t now_ms)
{
	return stage(fw, step, now_ms, false);
}

void firewall_again_begin(struct firewall *fw, const struct portset *tcp,
			  const struct portset *udp)
{
	/* Which leases share a port is known; that its `held` is there is not. */
	for (uint32_t port = 0; port < 65536; port++) {
		if (!tcp || portset_has(tcp, (uint16_t)port))
			fw->use[PORT_USE(IPPROTO_TCP, port)].until_ms = 0;
		if (!udp || portset_has(udp, (uint16_t)port))
			fw->use[PORT_USE(IPPROTO_UDP, port)].until_ms = 0;
	}
}

int firewall_stage_again(struct firewall *fw, const struct lease *l, uint64_t now_ms)
{
	struct lease_change step = {.had = true, .has = true, .before = *l, .after = *l};

	return stage(fw, &step, now_ms, true);
}

size_t firewall_staged(const struct firewall *fw)
{
	return fw->n_staged;
}

void staged_drop(struct firewall *fw)
{
	fw->n_staged = 0;
	fw->n_keys = 0;
	fw->userdata_len = 0;
}
