/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leases that a daemon before us has left in the kernel. All is read first, then put
 * right, then handed on; what is not ours is counted and left alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/room.h"
#include "firewall/kernel.h"

#define ADOPT_TRIES 20
/* While the kernel resizes a hash, which takes it milliseconds, a dump may show an element
 * twice, or not at all: what does not fit together is looked at again before it counts. */
#define DOUBT_TRIES 4
#define DOUBT_MS 25
/* What ends so soon may do so between two dumps; it is let go, not put right. */
#define FLEETING_MS 1000

/* An element of `rev` or `held`. */
struct object {
	uint8_t key[ELEMENT_HOST_KEY];
	uint8_t port[ELEMENT_PORT];
	bool timed;
	bool used;
	uint64_t until_ms;
};

struct objects {
	struct object *one;
	size_t n;
	size_t room;
};

/* An element of one of the lease maps. */
struct found {
	struct element_key key;
	uint8_t dest[ELEMENT_DEST];
	uint8_t userdata_len;
	bool repair;
	bool superseded; /* a lease with filters has its place */
	size_t userdata;
	uint64_t until_ms; /* without the grace */
};

struct adoption {
	struct firewall *fw;
	/* A dump takes long: its times count from when each piece of it was read. */
	uint64_t now_ms;
	uint64_t clock_ms;
	enum element_map map;

	struct found *found;
	size_t n_found;
	size_t found_room;
	/* The leases whose elements are filters, put together. */
	struct filtered {
		struct lease lease;
		bool repair;
	} * filtered;
	size_t n_filtered;
	size_t filtered_room;
	uint8_t *userdata;
	size_t userdata_len;
	size_t userdata_room;

	struct objects *into;
	struct objects rev;
	struct objects held;
	uint64_t fleeting_ms; /* ends before that */
	bool doubtful;
	struct firewall_adopted *report;
};

static uint64_t adoption_now(const struct adoption *a)
{
	return a->now_ms + (clock_ms() - a->clock_ms);
}

/* Reading */

static int note_lease(void *arg, const struct dumped *d)
{
	struct adoption *a = arg;
	struct found *f = room_for(a->found, &a->found_room, a->n_found + 1, sizeof(*f));
	uint8_t *userdata = room_for(a->userdata, &a->userdata_room,
				     a->userdata_len + ELEMENT_USERDATA_MAX, 1);

	if (f)
		a->found = f;
	if (userdata)
		a->userdata = userdata;
	if (!f || !userdata)
		return -ENOMEM;
	if (d->key_len != element_map_key_len(a->map) ||
	    (element_map_has_dest(a->map) && d->data_len != ELEMENT_DEST) ||
	    d->userdata_len > ELEMENT_USERDATA_MAX) {
		a->report->foreign++;
		return 0;
	}
	f = &a->found[a->n_found++];
	memset(f, 0, sizeof(*f));
	f->key.map = (uint8_t)a->map;
	f->key.len = (uint8_t)d->key_len;
	memcpy(f->key.from, d->key, d->key_len);
	if (element_map_is_range(a->map))
		memcpy(f->key.to, d->key_to ? d->key_to : d->key, d->key_len);
	if (element_map_has_dest(a->map))
		memcpy(f->dest, d->data, ELEMENT_DEST);
	f->userdata = a->userdata_len;
	f->userdata_len = (uint8_t)d->userdata_len;
	if (d->userdata_len)
		memcpy(a->userdata + f->userdata, d->userdata, d->userdata_len);
	a->userdata_len += d->userdata_len;
	f->until_ms = LEASE_NO_DEADLINE;
	if (d->timed)
		f->until_ms = adoption_now(a) +
			      (d->left_ms > LEASE_KERNEL_GRACE_MS
				       ? d->left_ms - LEASE_KERNEL_GRACE_MS
				       : 0);
	return 0;
}

static int note_object(void *arg, const struct dumped *d)
{
	struct adoption *a = arg;
	struct object *o = room_for(a->into->one, &a->into->room, a->into->n + 1,
				    sizeof(*o));

	if (!o)
		return -ENOMEM;
	a->into->one = o;
	if (d->key_len > ELEMENT_HOST_KEY)
		return 0;
	o = &a->into->one[a->into->n++];
	memset(o, 0, sizeof(*o));
	memcpy(o->key, d->key, d->key_len);
	if (d->data && d->data_len == ELEMENT_PORT)
		memcpy(o->port, d->data, ELEMENT_PORT);
	o->timed = d->timed;
	o->until_ms = d->timed ? adoption_now(a) + d->left_ms : LEASE_NO_DEADLINE;
	return 0;
}

static int read_maps(struct adoption *a)
{
	for (a->map = 0; a->map < ELEMENT_MAPS; a->map++) {
		int err = elements_dump(a->fw, element_map_name(a->map), note_lease, a);

		if (err)
			return err;
	}
	return 0;
}

static int read_all(struct adoption *a)
{
	int err;

	a->n_found = a->userdata_len = a->rev.n = a->held.n = 0;
	a->report->foreign = 0;
	err = read_maps(a);
	a->into = &a->rev;
	if (!err)
		err = elements_dump(a->fw, "rev", note_object, a);
	a->into = &a->held;
	if (!err)
		err = elements_dump(a->fw, "held", note_object, a);
	return err;
}

/* Putting right */

static int by_key(const void *x, const void *y)
{
	return memcmp(x, y,
		      ELEMENT_HOST_KEY); /* the key stands first, padded with zeros */
}

static int by_element(const void *x, const void *y)
{
	const struct found *a = x, *b = y;

	return memcmp(&a->key, &b->key, sizeof(a->key));
}

static void drop_doubles(struct adoption *a)
{
	size_t out = 0;

	if (a->n_found)
		qsort(a->found, a->n_found, sizeof(*a->found), by_element);
	for (size_t i = 0; i < a->n_found; i++)
		if (!out || by_element(&a->found[out - 1], &a->found[i]))
			a->found[out++] = a->found[i];
	a->doubtful = a->doubtful || out < a->n_found;
	a->n_found = out;
}

static void drop_double_objects(struct adoption *a, struct objects *os)
{
	size_t out = 0;

	if (os->n)
		qsort(os->one, os->n, sizeof(*os->one), by_key);
	for (size_t i = 0; i < os->n; i++)
		if (!out || by_key(&os->one[out - 1], &os->one[i]))
			os->one[out++] = os->one[i];
	a->doubtful = a->doubtful || out < os->n;
	os->n = out;
}

static struct object *find_object(const struct objects *os, const void *key, size_t len)
{
	uint8_t padded[ELEMENT_HOST_KEY] = {0};

	memcpy(padded, key, len);
	return os->n ? bsearch(padded, os->one, os->n, sizeof(*os->one), by_key) : NULL;
}

static int decode(const struct adoption *a, const struct found *f, struct lease *l)
{
	uint64_t until = f->until_ms, longer = FIREWALL_OWNER_MS - LEASE_KERNEL_GRACE_MS;
	int err = element_decode(&f->key, f->dest, a->userdata + f->userdata,
				 f->userdata_len, until, l);

	if (err || !lease_idles(l) || until == LEASE_NO_DEADLINE)
		return err;
	/* It outlives its owner by more than others outlive their time. */
	until = until > longer ? until - longer : 0;
	return element_decode(&f->key, f->dest, a->userdata + f->userdata,
			      f->userdata_len, until, l);
}

/* Is all there that belongs to this lease? Counts it among the users of its port. */
static bool is_whole(struct adoption *a, const struct lease *l)
{
	struct port_use *use = &a->fw->use[PORT_USE(l->protocol, l->ext_port)];
	uint8_t key[ELEMENT_HOST_KEY] = {0};
	uint8_t port[ELEMENT_PORT] = {(uint8_t)(l->ext_port >> 8), (uint8_t)l->ext_port};
	struct object *held, *rev = NULL;

	if (lease_is_pinhole(l))
		return true;
	element_held_key(l, key);
	held = find_object(&a->held, key, ELEMENT_PORT_KEY);
	use->leases++;
	if (held) {
		held->used = true;
		use->until_ms = held->until_ms;
	}
	if (!l->twin)
		return held;
	element_rev_key(l, key);
	rev = find_object(&a->rev, key, ELEMENT_HOST_KEY);
	if (rev)
		rev->used = true;
	return held && rev && !memcmp(rev->port, port, sizeof(port));
}

static bool is_orphan(const struct adoption *a, const struct object *o)
{
	return !o->used && o->timed && o->until_ms > a->fleeting_ms;
}

/* Those without a timeout are not removed: they may be the admin's. */
static int remove_orphans(struct adoption *a, const char *set, struct objects *os,
			  uint8_t key_len)
{
	uint8_t *keys = malloc(os->n * key_len + 1);
	size_t n = 0;
	int err;

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < os->n; i++)
		if (is_orphan(a, &os->one[i]))
			memcpy(keys + n++ * key_len, os->one[i].key, key_len);
		else if (!os->one[i].used && !os->one[i].timed)
			a->report->foreign++;
	a->report->orphans += n;
	err = elements_delete(a->fw, set, keys, key_len, n);
	free(keys);
	return err;
}

static bool has_orphans(const struct adoption *a, const struct objects *os)
{
	for (size_t i = 0; i < os->n; i++)
		if (is_orphan(a, &os->one[i]))
			return true;
	return false;
}

/* By key, and then by filter. */
static int by_lease(const void *x, const void *y)
{
	const struct lease *a = &((const struct filtered *)x)->lease;
	const struct lease *b = &((const struct filtered *)y)->lease;
	int order = memcmp(&a->internal, &b->internal, sizeof(a->internal));

	if (!order)
		order = a->protocol - b->protocol;
	if (!order)
		order = a->ext_port - b->ext_port;
	if (!order)
		order = memcmp(&a->filters[0].addr, &b->filters[0].addr,
			       sizeof(a->filters[0].addr));
	return order ? order : a->filters[0].port - b->filters[0].port;
}

static struct found *find_found(const struct adoption *a, const struct element_key *key)
{
	struct found like = {.key = *key};

	return a->n_found ? bsearch(&like, a->found, a->n_found, sizeof(*a->found),
				    by_element)
			  : NULL;
}

static int note_filtered(struct adoption *a, const struct lease *l)
{
	struct filtered *more = room_for(a->filtered, &a->filtered_room,
					 a->n_filtered + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	a->filtered = more;
	a->filtered[a->n_filtered++] = (struct filtered){.lease = *l};
	return 0;
}

/* Of one lease are the elements of one key and one inside port. */
static bool same_lease(const struct lease *a, const struct lease *b)
{
	return lease_same_key(a, b) && a->int_port == b->int_port &&
	       a->enabled == b->enabled && addr_equal(&a->internal, &b->internal);
}

/* The elements of one lease end together; they were read one after the other. */
static void merge_filtered(struct adoption *a)
{
	struct element_key key;
	size_t out = 0;

	if (a->n_filtered)
		qsort(a->filtered, a->n_filtered, sizeof(*a->filtered), by_lease);
	for (size_t i = 0; i < a->n_filtered; i++) {
		const struct lease *l = &a->filtered[i].lease;
		struct lease *into = out ? &a->filtered[out - 1].lease : NULL;

		if (!into || !same_lease(into, l)) {
			a->filtered[out++] = a->filtered[i];
		} else if (into->n_filters < LEASE_FILTERS_MAX) {
			into->filters[into->n_filters++] = l->filters[0];
		} else {
			a->report->foreign++;
		}
	}
	a->n_filtered = out;
	for (size_t i = 0; i < a->n_filtered; i++) {
		struct filtered *f = &a->filtered[i];
		struct lease open = f->lease;
		struct found *found;

		/* Whoever added or took off the filters was killed between its two
		 * transactions: the narrower one stays. */
		open.n_filters = 0;
		found = element_key(&open, &key) ? NULL : find_found(a, &key);
		if (found)
			found->superseded = true;
		f->repair = !is_whole(a, &f->lease) &&
			    f->lease.kernel_ms > a->fleeting_ms;
		a->doubtful = a->doubtful || f->repair;
	}
}

/* Sorts out what was read, and sees whether it fits together. */
static int check_all(struct adoption *a)
{
	struct lease l;
	size_t out = 0;

	a->doubtful = false;
	a->n_filtered = 0;
	a->fleeting_ms = adoption_now(a) + FLEETING_MS;
	drop_doubles(a);
	drop_double_objects(a, &a->rev);
	drop_double_objects(a, &a->held);
	/* Those in use only: the pages of the others are not there yet, and need not be. */
	for (size_t i = 0; i < PORT_USES; i++)
		if (a->fw->use[i].leases || a->fw->use[i].until_ms || a->fw->use[i].zero)
			a->fw->use[i] = (struct port_use){0};
	for (size_t i = 0; i < a->n_found; i++) {
		int err = decode(a, &a->found[i], &l);

		if (err) {
			log_debug("firewall: an element of %s is not ours: %s",
				  element_map_name(a->found[i].key.map), strerror(-err));
			a->report->foreign++;
			continue;
		}
		if (l.n_filters) {
			err = note_filtered(a, &l);
			if (err)
				return err;
			continue;
		}
		a->found[out++] = a->found[i];
	}
	a->n_found = out;
	merge_filtered(a);
	for (size_t i = 0; i < a->n_found; i++) {
		if (a->found[i].superseded || decode(a, &a->found[i], &l))
			continue;
		a->found[i].repair = !is_whole(a, &l) && l.kernel_ms > a->fleeting_ms;
		a->doubtful = a->doubtful || a->found[i].repair;
	}
	a->doubtful = a->doubtful || has_orphans(a, &a->rev) || has_orphans(a, &a->held);
	return 0;
}

static int read_and_check(struct adoption *a)
{
	static const struct timespec pause = {.tv_nsec = DOUBT_MS * 1000000};

	for (int doubts = 0;; doubts++) {
		int err = -EINTR;

		for (int i = 0; i < ADOPT_TRIES && err == -EINTR; i++)
			err = read_all(a);
		if (err)
			return err;
		err = check_all(a);
		if (err || !a->doubtful || doubts == DOUBT_TRIES)
			return err;
		nanosleep(&pause, NULL);
	}
}

static int repair(struct adoption *a)
{
	struct lease l;

	for (size_t i = 0; i < a->n_found; i++) {
		const struct element_key *key = &a->found[i].key;
		int err;

		if (a->found[i].superseded) {
			err = elements_delete(a->fw, element_map_name(key->map),
					      key->from, key->len, 1);
			if (err)
				return err;
			a->report->repaired++;
			continue;
		}
		if (!a->found[i].repair || decode(a, &a->found[i], &l))
			continue;
		err = firewall_stage_again(a->fw, &l, adoption_now(a));
		if (err)
			return err;
		a->report->repaired++;
	}
	for (size_t i = 0; i < a->n_filtered; i++) {
		int err = a->filtered[i].repair
				  ? firewall_stage_again(a->fw, &a->filtered[i].lease,
							 adoption_now(a))
				  : 0;

		if (err)
			return err;
		a->report->repaired += a->filtered[i].repair;
	}
	if (firewall_commit(a->fw, NULL, NULL))
		log_warn("firewall: not every lease that was found could be put right");
	return 0;
}

static void hand_on(struct adoption *a,
		    void (*each)(void *arg, const struct lease *lease), void *arg)
{
	struct lease l;

	for (size_t i = 0; i < a->n_found; i++) {
		if (a->found[i].superseded || decode(a, &a->found[i], &l))
			continue;
		a->report->leases++;
		each(arg, &l);
	}
	for (size_t i = 0; i < a->n_filtered; i++) {
		a->report->leases++;
		each(arg, &a->filtered[i].lease);
	}
}

static void adoption_fini(struct adoption *a)
{
	free(a->found);
	free(a->filtered);
	free(a->userdata);
	free(a->rev.one);
	free(a->held.one);
}

int firewall_adopt(struct firewall *fw, uint64_t now_ms,
		   void (*each)(void *arg, const struct lease *lease), void *arg,
		   struct firewall_adopted *report)
{
	struct adoption a = {.fw = fw, .now_ms = now_ms, .report = report};
	int err;

	memset(report, 0, sizeof(*report));
	a.clock_ms = clock_ms();
	err = read_and_check(&a);
	if (!err)
		err = repair(&a);
	if (!err)
		err = remove_orphans(&a, "rev", &a.rev, ELEMENT_HOST_KEY);
	if (!err)
		err = remove_orphans(&a, "held", &a.held, ELEMENT_PORT_KEY);
	if (err)
		staged_drop(fw);
	else
		hand_on(&a, each, arg);
	adoption_fini(&a);
	return err;
}
