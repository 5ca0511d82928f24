/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Group commit. A step becomes up to six messages: what was there is deleted, what is there
 * now is added, in the lease's map, in `rev` and in `held`; of a lease with filters there are
 * more. Of one that lasts while its host sends there is the owner besides; the kernel renews
 * all but `rev` by itself, so a renewal renews that. One element per message, so that the
 * kernel's answer names the step that is to blame; the others go again without it.
 *
 * A lease that gets its first filter, or loses its last, moves from one map to another. The
 * kernel's commit shows the two maps one after the other: in between a packet would find the
 * lease in neither. So those are added in one transaction and deleted in the next.
 */
#include <assert.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "firewall/staged.h"

#define CHUNK_BYTES (512 * 1024)
#define COMMIT_TRIES 8

enum act { ACT_DEL, ACT_ADD };

#define MESSAGE(step, object, act)                                                       \
	((uint32_t)((step) << 4 | (unsigned int)(object) << 1 | (unsigned int)(act)))
#define MESSAGE_STEP(m) ((m) >> 4)
#define MESSAGE_OBJECT(m) ((m) >> 1 & 7)
#define MESSAGE_ACT(m) ((m)&1)
static_assert(OBJECTS <= 8, "an object takes three bits");

/* Building */

static void put(struct firewall *fw, size_t step, unsigned int object, enum act act,
		const char *set, uint16_t type, uint16_t flags,
		const struct kernel_element *e)
{
	size_t index = fw->batch.n;

	element_message(&fw->batch, fw->table, set, type, flags, e);
	if (fw->batch.n > index)
		fw->message[index] = MESSAGE(step, object, act);
}

static void put_del(struct firewall *fw, size_t step, unsigned int object,
		    const char *set, const struct kernel_element *e)
{
	const struct staged *s = &fw->staged[step];

	if (s->gone[object])
		return;
	put(fw, step, object, ACT_DEL, set,
	    fw->destroy ? NFT_MSG_DESTROYSETELEM_ : NFT_MSG_DELSETELEM, 0, e);
}

/* A renewal is an add without NLM_F_EXCL, where the kernel takes it as one. */
static void put_add(struct firewall *fw, size_t step, unsigned int object,
		    const char *set, const struct kernel_element *e, bool in_place)
{
	put(fw, step, object, ACT_ADD, set, NFT_MSG_NEWSETELEM,
	    in_place ? NLM_F_CREATE : NLM_F_CREATE | NLM_F_EXCL, e);
}

static struct kernel_element element_of(const struct element_key *key)
{
	struct kernel_element e = {.key = key->from, .key_len = key->len};

	if (element_map_is_range(key->map))
		e.key_to = key->to;
	return e;
}

static void build_lease_dels(struct firewall *fw, size_t step)
{
	const struct staged *s = &fw->staged[step];

	for (unsigned int i = 0; i < s->n_before; i++) {
		const struct element_key *key = &fw->key[s->before + i];
		struct kernel_element e = element_of(key);

		if (s->after_of[i] &&
		    staged_keeps(fw, s, OBJECT_LEASE + s->after_of[i] - 1U))
			continue;
		put_del(fw, step, OBJECT_LEASE + i, element_map_name(key->map), &e);
	}
}

static void build_dels(struct firewall *fw, size_t step)
{
	const struct staged *s = &fw->staged[step];
	struct kernel_element e;

	if (!s->moves && !s->rearm)
		build_lease_dels(fw, step);
	if (s->had_rev && !staged_keeps(fw, s, OBJECT_REV)) {
		e = (struct kernel_element){.key = s->rev_before,
					    .key_len = ELEMENT_HOST_KEY};
		put_del(fw, step, OBJECT_REV, "rev", &e);
	}
	if (s->owner_before && !s->rearm) {
		e = (struct kernel_element){.key = s->owner, .key_len = ELEMENT_HOST_KEY};
		put_del(fw, step, OBJECT_OWNER, s->owner_before, &e);
	}
}

static void build_adds(struct firewall *fw, size_t step)
{
	const struct staged *s = &fw->staged[step];
	struct kernel_element e;

	for (unsigned int i = 0; i < s->n_after && !s->rearm; i++) {
		const struct element_key *key = &fw->key[s->after + i];

		e = element_of(key);
		if (element_map_has_dest(key->map)) {
			e.data = s->dest;
			e.data_len = ELEMENT_DEST;
		}
		e.timeout_ms = s->timeout_ms;
		e.counted = s->pinhole;
		e.packets = i ? 0 : s->packets;
		e.userdata = fw->userdata + s->userdata;
		e.userdata_len = s->userdata_len;
		put_add(fw, step, OBJECT_LEASE + i, element_map_name(key->map), &e,
			staged_keeps(fw, s, OBJECT_LEASE + i));
	}
	if (s->owner_after && !s->rearm) {
		e = (struct kernel_element){.key = s->owner,
					    .key_len = ELEMENT_HOST_KEY,
					    .timeout_ms = s->owner_ms};
		if (s->force[OBJECT_OWNER])
			put_del(fw, step, OBJECT_OWNER, s->owner_after, &e);
		put_add(fw, step, OBJECT_OWNER, s->owner_after, &e, false);
	}
	if (!s->has_rev)
		return;
	e = (struct kernel_element){.key = s->rev_after,
				    .key_len = ELEMENT_HOST_KEY,
				    .data = s->port,
				    .data_len = ELEMENT_PORT,
				    .timeout_ms = s->rev_ms};
	put_add(fw, step, OBJECT_REV, "rev", &e, staged_keeps(fw, s, OBJECT_REV));
}

/* `held` outlives each of the leases that share the port; it goes with the last. */
static void build_held(struct firewall *fw, size_t step)
{
	struct staged *s = &fw->staged[step];
	struct port_use *use = &fw->use[s->use];
	struct kernel_element e = {.key = s->held, .key_len = ELEMENT_PORT_KEY};
	uint32_t others = use->leases - (s->n_before && use->leases ? 1 : 0);
	bool was = use->leases > 0,
	     in_place = was && fw->in_place && !s->force[OBJECT_HELD];

	s->use_before = *use;
	if (s->pinhole || s->rearm)
		return;
	use->leases = others + (s->n_after ? 1 : 0);
	if (!use->leases) {
		put_del(fw, step, OBJECT_HELD, "held", &e);
		use->until_ms = 0;
		return;
	}
	if (!s->n_after || (others && use->until_ms >= s->until_ms))
		return;
	use->until_ms = s->until_ms;
	e.timeout_ms = s->timeout_ms;
	if ((was && !in_place) || s->force[OBJECT_HELD])
		put_del(fw, step, OBJECT_HELD, "held", &e);
	put_add(fw, step, OBJECT_HELD, "held", &e, in_place);
}

static void build_step(struct firewall *fw, size_t step)
{
	build_dels(fw, step);
	build_adds(fw, step);
	build_held(fw, step);
}

/* All steps from `first` on that fit one transaction; the end of them. */
static size_t build(struct firewall *fw, size_t first, size_t limit)
{
	size_t end = first;

	nl_batch_begin(&fw->batch);
	for (; end < limit && nl_batch_size(&fw->batch) < CHUNK_BYTES; end++)
		if (!fw->staged[end].err && !fw->staged[end].late)
			build_step(fw, end);
	for (size_t i = first; i < end; i++)
		if (!fw->staged[i].err && fw->staged[i].late)
			build_step(fw, i);
	return end;
}

static void unbuild_steps(struct firewall *fw, size_t first, size_t end, bool late)
{
	for (size_t i = end; i-- > first;)
		if (!fw->staged[i].err && fw->staged[i].late == late)
			fw->use[fw->staged[i].use] = fw->staged[i].use_before;
}

/* The book of ports as it was before build(), backwards. `late` must be as it was then. */
static void unbuild(struct firewall *fw, size_t first, size_t end)
{
	unbuild_steps(fw, first, end, true);
	unbuild_steps(fw, first, end, false);
}

/* Sending */

/* Whom it hit is noted aside: unbuild() must still know who took part, and when. */
struct blame {
	struct firewall *fw;
	size_t first;
	bool progress;
	bool late[CHUNK_STEPS];
	int err[CHUNK_STEPS];
};

static void note_error(void *arg, size_t index, int err)
{
	struct blame *b = arg;
	uint32_t m = b->fw->message[index];
	struct staged *s = &b->fw->staged[MESSAGE_STEP(m)];
	unsigned int object = MESSAGE_OBJECT(m);
	enum act act = MESSAGE_ACT(m);
	/* Of an element that we may put back as it should be: a lease's own one. */
	bool ours = object == OBJECT_HELD || object == OBJECT_OWNER || s->renews[object];
	size_t step = MESSAGE_STEP(m) - b->first;

	b->progress = true;
	if (act == ACT_DEL && err == -ENOENT && !s->gone[object])
		s->gone[object] = true; /* it expired: the kernel was faster */
	else if (act == ACT_ADD && err == -EEXIST && ours && !s->force[object]) {
		s->force[object] = true;
		if (object >= OBJECT_REV)
			s->gone[object] = false;
		else
			s->gone[OBJECT_LEASE + s->before_of[object] - 1U] = false;
	} else if (act == ACT_ADD && err == -EEXIST && object == OBJECT_REV && !s->late)
		b->late[step] = true;
	else if (!b->err[step])
		b->err[step] = err;
}

/* What the kernel said takes effect. */
static void settle(const struct blame *b, size_t end)
{
	for (size_t i = b->first; i < end; i++) {
		struct staged *s = &b->fw->staged[i];

		if (!s->err)
			s->err = b->err[i - b->first];
		s->late = s->late || b->late[i - b->first];
	}
}

static void fail_all(struct firewall *fw, size_t first, size_t end, int err)
{
	for (size_t i = first; i < end; i++)
		if (!fw->staged[i].err)
			fw->staged[i].err = err;
}

/* The second transaction of those that move. */
static void finish_moves(struct firewall *fw, size_t first, size_t end)
{
	struct blame b = {.fw = fw, .first = first};
	int err = -ECANCELED;

	for (int t = 0; t < COMMIT_TRIES && err == -ECANCELED; t++) {
		nl_batch_begin(&fw->batch);
		for (size_t i = first; i < end; i++)
			if (fw->staged[i].moves && !fw->staged[i].err)
				build_lease_dels(fw, i);
		memset(b.err, 0, sizeof(b.err));
		err = nl_commit(&fw->nl, &fw->batch, note_error, &b);
		if (err)
			settle(&b, end);
	}
	for (size_t i = first; err && i < end; i++)
		if (fw->staged[i].moves && !fw->staged[i].err)
			fw->staged[i].err = err == -ECANCELED ? -EIO : err;
}

static bool any_moves(const struct firewall *fw, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		if (fw->staged[i].moves && !fw->staged[i].err)
			return true;
	return false;
}

/* Commits the steps from `first` on that fit one transaction, without those that the kernel
 * refuses. Where the next ones begin. */
static size_t commit_chunk(struct firewall *fw, size_t first, size_t limit)
{
	struct blame b = {.fw = fw, .first = first};
	size_t end = first;
	int err = -EIO;

	for (int i = 0; i < COMMIT_TRIES; i++) {
		end = build(fw, first, limit);
		limit = end; /* a retry is never larger */
		b.progress = false;
		memset(b.err, 0, sizeof(b.err));
		memset(b.late, 0, sizeof(b.late));
		err = nl_commit(&fw->nl, &fw->batch, note_error, &b);
		if (!err && any_moves(fw, first, end))
			finish_moves(fw, first, end);
		if (!err)
			return end;
		unbuild(fw, first, end);
		settle(&b, end);
		if (err != -ECANCELED || !b.progress)
			break;
	}
	/* Nobody in particular is to blame: smaller pieces may pass (-ENOBUFS, -ENOMEM). */
	if (end - first > 1 && err != -EPERM && err != -EOPNOTSUPP)
		return commit_chunk(fw, first, first + (end - first) / 2);
	fail_all(fw, first, end, err == -ECANCELED ? -EIO : err);
	return end;
}

/* The rules that look into the maps that are used now. */
static int adapt(struct firewall *fw)
{
	bool filters = false, pinholes = false;

	for (size_t i = 0; i < fw->n_staged; i++) {
		const struct staged *s = &fw->staged[i];

		if (!s->n_after)
			continue;
		filters = filters || fw->key[s->after].map == ELEMENT_LEASES_FROM;
		pinholes = pinholes || s->pinhole;
	}
	return ruleset_adapt(fw, filters, pinholes);
}

size_t firewall_commit(struct firewall *fw, firewall_result_cb result, void *arg)
{
	size_t failed = 0, n = fw->n_staged;
	int adapted = adapt(fw);

	if (adapted)
		fail_all(fw, 0, n, adapted);
	for (size_t i = 0; i < n && !adapted;) {
		size_t limit = n - i < CHUNK_STEPS ? n : i + CHUNK_STEPS;

		i = commit_chunk(fw, i, limit);
	}
	for (size_t i = 0; i < n; i++) {
		int err = fw->staged[i].err;

		failed += err != 0;
		if (result)
			result(arg, i, err);
	}
	staged_drop(fw);
	return failed;
}

/* Deleting by key */

struct skip {
	uint8_t *gone;
	const size_t *sent;
};

static void note_gone(void *arg, size_t index, int err)
{
	struct skip *skip = arg;

	if (err == -ENOENT)
		skip->gone[skip->sent[index]] = 1;
}

static int delete_chunk(struct firewall *fw, const char *set, const uint8_t *keys,
			uint8_t key_len, size_t n)
{
	uint8_t gone[CHUNK_STEPS] = {0};
	size_t sent[CHUNK_STEPS];
	struct skip skip = {.gone = gone, .sent = sent};
	int err = 0;

	for (int t = 0; t < COMMIT_TRIES; t++) {
		nl_batch_begin(&fw->batch);
		for (size_t i = 0; i < n; i++) {
			struct kernel_element e = {.key = keys + i * key_len,
						   .key_len = key_len};

			if (gone[i])
				continue;
			sent[fw->batch.n] = i;
			element_message(&fw->batch, fw->table, set,
					fw->destroy ? NFT_MSG_DESTROYSETELEM_
						    : NFT_MSG_DELSETELEM,
					0, &e);
		}
		err = nl_commit(&fw->nl, &fw->batch, note_gone, &skip);
		if (err != -ECANCELED)
			break;
	}
	return err;
}

int elements_delete(struct firewall *fw, const char *set, const uint8_t *keys,
		    uint8_t key_len, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i += CHUNK_STEPS)
		err = delete_chunk(fw, set, keys + i * key_len, key_len,
				   n - i < CHUNK_STEPS ? n - i : CHUNK_STEPS);
	return err;
}
