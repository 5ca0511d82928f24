/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random requests, ends, commits and refusals of the kernel, against a plain list of leases
 * that follows the steps alone. After each round the book must be that list, its indexes
 * must agree with each other, and each answer must keep what the protocols promise.
 */
#include "registry_rig.h"

#include <errno.h>
#include <stdio.h>

#include "lease/claims.h"
#include "lease/filters.h"

#define OPERATIONS 100000
#define MODEL_MAX 2048
#define GROUPS_MAX 64
#define HOSTS 8
#define PER_HOST 12

struct model {
	struct entry {
		bool used;
		bool gone; /* ended, not confirmed */
		struct lease lease;
	} entry[MODEL_MAX];
	struct group {
		size_t n;
		struct lease_change step[3 * PER_HOST];
	} group[GROUPS_MAX];
	size_t n_groups;
	uint64_t random;
	size_t filtered, pinholes;
	size_t grants, renewals, ends, refusals, reverts, waits, moves;
};

static uint32_t dice(struct model *m, uint32_t sides)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (uint32_t)(m->random >> 16) % sides;
}

static struct entry *model_find(struct model *m, const struct lease *key)
{
	for (size_t i = 0; i < MODEL_MAX; i++)
		if (m->entry[i].used && lease_same_key(&m->entry[i].lease, key))
			return &m->entry[i];
	return NULL;
}

static void model_add(struct model *m, const struct lease *l)
{
	size_t i = 0;

	while (m->entry[i].used)
		assert_true(++i < MODEL_MAX);
	m->entry[i] = (struct entry){.used = true, .lease = *l};
}

static void same_lease(const struct lease *a, const struct lease *b)
{
	struct lease like = *a;

	/* When to listen for a host is nobody else's business: there is no step for that. */
	like.gone_ms = b->gone_ms;
	like.look_ms = b->look_ms;
	assert_memory_equal(&like, b, sizeof(like));
}

/* A step says what was there and what is there now; believe only what fits. */
static void model_step(struct model *m, const struct lease_change *s)
{
	struct entry *e = model_find(m, s->has ? &s->after : &s->before);

	if (!s->had) {
		assert_null(e); /* also no gone one: its port is in use */
		model_add(m, &s->after);
		m->grants++;
		return;
	}
	assert_non_null(e);
	assert_false(e->gone);
	same_lease(&e->lease, &s->before);
	if (!s->has) {
		assert_int_not_equal(s->end, LEASE_END_NONE);
		e->gone = true;
		m->ends++;
		return;
	}
	assert_true(lease_same_key(&s->before, &s->after));
	assert_true(addr_equal(&s->before.internal, &s->after.internal));
	m->moves += s->before.int_port != s->after.int_port;
	m->renewals++;
	e->lease = s->after;
}

static void model_confirm(struct model *m, const struct lease_change *s)
{
	if (!s->has)
		model_find(m, &s->before)->used = false;
}

static void model_revert(struct model *m, const struct lease_change *s)
{
	struct entry *e = model_find(m, s->has ? &s->after : &s->before);

	assert_non_null(e);
	if (!s->had) {
		e->used = false;
	} else {
		e->gone = false;
		e->lease = s->before;
	}
}

/* The steps of one request or of one end are a group: the kernel takes all or none. */
static void groups_add(struct rig *g, struct model *m)
{
	for (size_t i = 0; i < g->out.n;) {
		struct group *gr = &m->group[m->n_groups];
		uint32_t who = g->out.step[i].who;

		assert_true(m->n_groups < GROUPS_MAX);
		for (gr->n = 0; i < g->out.n && g->out.step[i].who == who; i++) {
			assert_true(gr->n < 3 * PER_HOST);
			model_step(m, &g->out.step[i]);
			gr->step[gr->n++] = g->out.step[i];
		}
		m->n_groups++;
	}
	g->out.n = 0;
}

/* In any order of groups, each confirmed or taken back. */
static void groups_settle(struct rig *g, struct model *m)
{
	while (m->n_groups) {
		struct group *gr = &m->group[dice(m, (uint32_t)m->n_groups)];
		bool revert = dice(m, 5) == 0;

		for (size_t i = 0; i < gr->n; i++) {
			struct lease_change *s = &gr->step[revert ? gr->n - 1 - i : i];

			if (revert) {
				registry_revert(g->book, s);
				model_revert(m, s);
			} else {
				registry_confirm(g->book, s);
				model_confirm(m, s);
			}
		}
		m->reverts += revert;
		*gr = m->group[--m->n_groups];
	}
}

struct seen {
	struct model *m;
	size_t n;
	size_t shown;
	uint64_t next;
};

static bool same_inside(const struct lease *a, const struct lease *b)
{
	return a->protocol == b->protocol && a->int_port == b->int_port &&
	       addr_equal(&a->internal, &b->internal);
}

static void check_filters(const struct lease *l)
{
	struct lease again = *l;

	assert_int_equal(filters_check(&again), LEASE_OK);
	assert_memory_equal(&again, l, sizeof(again));
	assert_true(!l->n_filters || !l->remote_len);
	for (size_t i = l->n_filters; i < LEASE_FILTERS_MAX; i++)
		assert_int_equal(l->filters[i].len, 0);
}

static void check_lease(void *arg, const struct lease *l)
{
	struct seen *s = arg;
	struct entry *e = model_find(s->m, l);
	size_t twins = 0;

	assert_non_null(e);
	assert_false(e->gone);
	same_lease(&e->lease, l);
	assert_true(l->claims != 0);
	assert_true((l->until_gone & ~l->claims) == 0);
	for (unsigned int by = 0; by < LEASE_BY_END; by++) {
		assert_true(l->until_ms[by] <= l->deadline_ms);
		assert_int_equal(l->until_ms[by] != 0, l->claims >> by & 1);
	}
	assert_true(l->kernel_ms <= l->deadline_ms);
	assert_true(!l->has_nonce || claim_has(l, LEASE_BY_PCP));
	for (size_t i = 0; i < MODEL_MAX; i++) {
		const struct entry *o = &s->m->entry[i];

		if (!o->used)
			continue;
		if (!o->gone && same_inside(&o->lease, l))
			twins += o->lease.twin;
		/* One external port leads to one host, and from one remote to one lease. */
		if (lease_is_pinhole(l) != lease_is_pinhole(&o->lease) ||
		    o->lease.protocol != l->protocol || o->lease.ext_port != l->ext_port)
			continue;
		if (!lease_is_pinhole(l))
			assert_true(addr_equal(&o->lease.internal, &l->internal));
		if (!o->gone && !lease_same_key(&o->lease, l) &&
		    addr_equal(&o->lease.internal, &l->internal))
			assert_false(filters_overlap(&o->lease, l));
	}
	assert_int_equal(twins, !lease_is_pinhole(l));
	assert_true(!lease_is_pinhole(l) || (l->ext_port == l->int_port && l->enabled));
	check_filters(l);
	s->n++;
	s->shown += table_shows(l);
	if (claim_next(l) < s->next)
		s->next = claim_next(l);
}

static void check_ports(const struct rig *g, const struct model *m)
{
	struct portset busy[2] = {0};

	for (size_t i = 0; i < MODEL_MAX; i++)
		if (m->entry[i].used && !lease_is_pinhole(&m->entry[i].lease))
			portset_add(&busy[m->entry[i].lease.protocol == IPPROTO_UDP],
				    m->entry[i].lease.ext_port,
				    m->entry[i].lease.ext_port);
	assert_memory_equal(busy, g->book->table.busy, sizeof(busy));
	for (size_t w = 0; w < 2048 && !m->n_groups;
	     w++) /* leased or released, not both */
		assert_int_equal(busy[w / 1024].word[w % 1024] &
					 g->book->released.set[w / 1024].word[w % 1024],
				 0);
}

static void check_hosts(const struct rig *g, const struct model *m)
{
	size_t restricted = 0, pinholes = 0;

	for (unsigned int n = 0; n < 2 * HOSTS; n++) {
		struct in6_addr in = n < HOSTS ? host(20 + n) : host6(20 + n - HOSTS);
		const struct host *h;
		size_t leases = 0, own = 0;

		h = hosts_at(&g->book->hosts, hosts_get(&g->book->hosts, &in));
		for (size_t i = 0; i < MODEL_MAX; i++) {
			const struct entry *e = &m->entry[i];

			if (!e->used || e->gone || !addr_equal(&e->lease.internal, &in))
				continue;
			leases += e->lease.origin != LEASE_BY_ADMIN;
			own += filters_elements(&e->lease);
			pinholes += lease_is_pinhole(&e->lease);
		}
		assert_int_equal(h->leases, leases);
		assert_int_equal(h->restricted, own);
		assert_true(m->n_groups ||
			    leases <= PER_HOST + 2); /* refused ends come back */
		restricted += own;
	}
	assert_int_equal(g->book->restricted, restricted);
	assert_int_equal(g->book->pinholes, pinholes);
}

static void check_listing(const struct rig *g)
{
	const struct lease_table *t = &g->book->table;

	for (size_t i = 0; i < t->n_listed; i++) {
		const struct lease_node *n = table_node(t, t->listing[i]);

		assert_int_equal(n->listed, i + 1);
		assert_false(n->gone);
		assert_true(table_shows(&n->lease));
	}
}

static void check_all(struct rig *g, struct model *m)
{
	struct seen s = {.m = m, .next = LEASE_NO_DEADLINE};
	size_t live = 0;

	registry_each(g->book, check_lease, &s);
	for (size_t i = 0; i < MODEL_MAX; i++)
		live += m->entry[i].used && !m->entry[i].gone;
	assert_int_equal(s.n, live);
	assert_int_equal(registry_count(g->book), live);
	assert_int_equal(registry_listed(g->book), s.shown);
	if (!m->n_groups) { /* the clock never comes late, but for what is tried again */
		uint64_t retry = g->now + 1000;

		assert_true(registry_next(g->book) <= (s.next > retry ? s.next : retry));
		assert_true(registry_next(g->book) >= s.next);
		assert_int_equal(g->book->pending.n, 0);
	}
	check_ports(g, m);
	check_hosts(g, m);
	check_listing(g);
}

/* From a few networks within each other, so that many cover each other or cross. */
static void random_filters(struct model *m, struct lease_request *req, bool v6)
{
	req->n_filters = (uint8_t)dice(m, LEASE_FILTERS_MAX + 1);
	for (size_t i = 0; i < req->n_filters; i++) {
		struct lease_filter *f = &req->filters[i];

		f->len = (uint8_t)(124 + dice(m, 5));
		f->port = dice(m, 3) ? (uint16_t)dice(m, 3) : 0;
		f->addr = addr_from_v4((struct in_addr){htonl(0x0c000000 + dice(m, 32))});
		if (v6)
			f->addr.s6_addr[0] = 0x20;
	}
	if (dice(m, 3) == 0)
		req->flags |= LEASE_UNFILTER;
}

static struct lease_request random_request(struct model *m)
{
	static const enum lease_by who[] = {
		LEASE_BY_PCP,     LEASE_BY_PCP,      LEASE_BY_NATPMP, LEASE_BY_NATPMP,
		LEASE_BY_UPNP,    LEASE_BY_UPNP,     LEASE_BY_UPNP,   LEASE_BY_UPNP,
		LEASE_BY_TRIGGER, LEASE_BY_OPEN_NAT, LEASE_BY_ADMIN,
	};
	enum lease_by by = who[dice(m, sizeof(who) / sizeof(who[0]))];
	struct lease_request req = map(by, 20 + dice(m, HOSTS),
				       dice(m, 3) ? IPPROTO_UDP : IPPROTO_TCP,
				       (uint16_t)(7000 + dice(m, 12)),
				       (uint16_t)(7000 + dice(m, 40)), dice(m, 2000));

	if (dice(m, 10) == 0)
		req.ext_port = 0;
	if (dice(m, 3) == 0)
		req.op = (uint8_t)(LEASE_OP_UNMAP +
				   dice(m, LEASE_OP_END - LEASE_OP_UNMAP));
	if (by == LEASE_BY_PCP)
		req.flags = LEASE_NONCE;
	memset(req.nonce, (int)dice(m, 2), sizeof(req.nonce));
	if (by == LEASE_BY_UPNP ? dice(m, 4) != 0 : dice(m, 5) == 0)
		req.flags |= LEASE_EXACT;
	if (by == LEASE_BY_UPNP && dice(m, 8) == 0)
		req.flags |= LEASE_DISABLED;
	if (by == LEASE_BY_UPNP && dice(m, 4) == 0)
		req.flags |= LEASE_UNTIL_GONE;
	if (by == LEASE_BY_UPNP && dice(m, 5) == 0) {
		req.remote = addr_from_v4(
			(struct in_addr){htonl(0x0b000000 + dice(m, 4))});
		req.remote_len = (uint8_t)(126 + dice(m, 3));
	}
	if (dice(m, 4) == 0) {
		req.client = req.internal = host6(req.client.s6_addr[15]);
		if (by == LEASE_BY_UPNP && dice(m, 2))
			req.ext_port = req.int_port;
		req.remote.s6_addr[0] = req.remote_len ? 0x20 : 0;
	}
	if (by == LEASE_BY_PCP && dice(m, 2))
		random_filters(m, &req, !addr_is_v4(&req.internal));
	if (dice(m, 2))
		req.flags |= LEASE_DESCRIBE;
	if (dice(m, 2))
		snprintf(req.description, sizeof(req.description), "%u", dice(m, 3));
	req.index = dice(m, 20);
	return req;
}

/* What the answer promises, seen in the list: before and after the request. */
static void check_answer(struct rig *g, struct model *m, const struct lease_request *req,
			 const struct model *before)
{
	bool ok = g->reply.reason == LEASE_OK;
	const struct lease *twin = NULL;

	for (size_t i = 0; i < MODEL_MAX; i++) {
		const struct lease *l = &before->entry[i].lease;

		if (before->entry[i].used && !before->entry[i].gone && l->twin &&
		    l->protocol == req->protocol && l->int_port == req->int_port &&
		    addr_equal(&l->internal, &req->internal))
			twin = l;
	}
	/* P9, C8: what exists keeps its port. */
	if (ok && req->op == LEASE_OP_MAP && twin && !twin->remote_len &&
	    (req->by == LEASE_BY_PCP || req->by == LEASE_BY_NATPMP))
		assert_int_equal(g->reply.ext_port, twin->ext_port);
	/* C9: a strange nonce changes nothing; the own one always may. */
	if (g->reply.reason == LEASE_NONCE_MISMATCH)
		assert_int_equal(g->out.n, 0);
	if (ok && req->op == LEASE_OP_MAP && req->by == LEASE_BY_PCP && twin &&
	    !twin->remote_len && twin->has_nonce)
		assert_memory_equal(twin->nonce, req->nonce, sizeof(req->nonce));
	/* C41: a refusal changes nothing, but for P14's delete of all. */
	if (!ok && req->op != LEASE_OP_UNMAP_ALL && req->op != LEASE_OP_UNMAP)
		assert_int_equal(g->out.n, 0);
	m->refusals += !ok;
	if (ok && req->op == LEASE_OP_MAP && (req->flags & LEASE_EXACT) && req->ext_port)
		assert_int_equal(g->reply.ext_port, req->ext_port);
}

/* C20: each filter that was granted is there, or one that covers it. */
static void check_granted_filters(const struct lease *l, const struct lease_request *req)
{
	for (size_t i = 0; i < req->n_filters; i++) {
		const struct lease_filter *f = &req->filters[i];
		bool kept = false;

		for (size_t j = 0; j < l->n_filters; j++) {
			struct prefix p = {l->filters[j].addr, l->filters[j].len};

			kept = kept ||
			       (p.len <= f->len && prefix_has(&p, &f->addr) &&
				(!l->filters[j].port || l->filters[j].port == f->port));
		}
		assert_true(kept);
	}
	if ((req->flags & LEASE_UNFILTER) && !req->n_filters)
		assert_int_equal(l->n_filters, 0);
}

/* After a granted request was counted in. */
static void check_effect(struct rig *g, struct model *m, const struct lease_request *req)
{
	struct lease key = {.protocol = req->protocol,
			    .ext_port = g->reply.ext_port,
			    .internal = g->reply.internal,
			    .remote = g->reply.remote,
			    .remote_len = g->reply.remote_len};

	if (req->op == LEASE_OP_MAP && g->reply.reason == LEASE_OK) {
		struct entry *e = model_find(m, &key);

		assert_non_null(e);
		assert_true(addr_equal(&e->lease.internal, &req->internal));
		assert_int_equal(e->lease.int_port, req->int_port);
		assert_true(claim_has(&e->lease, req->by));
		check_granted_filters(&e->lease, req);
		m->filtered += e->lease.n_filters != 0;
		m->pinholes += lease_is_pinhole(&e->lease);
		return;
	}
	if (req->op != LEASE_OP_UNMAP || g->reply.reason != LEASE_OK)
		return;
	for (size_t i = 0; i < MODEL_MAX; i++) { /* X2: the own claim is gone */
		const struct lease *l = &m->entry[i].lease;

		if (m->entry[i].used && !m->entry[i].gone &&
		    l->protocol == req->protocol && l->int_port == req->int_port &&
		    addr_equal(&l->internal, &req->internal))
			assert_false(claim_has(l, req->by));
	}
}

static void one_request(struct rig *g, struct model *m, struct model *before)
{
	struct lease_request req = random_request(m);
	int lan = req.by == LEASE_BY_ADMIN ? -1 : 0;
	int err;

	memcpy(before->entry, m->entry, sizeof(m->entry));
	g->out.n = 0;
	err = rig_ask(g, lan, req);
	if (err == -EAGAIN) {
		assert_int_equal(g->out.n, 0);
		assert_true(m->n_groups > 0);
		m->waits++;
		groups_settle(g, m);
		memcpy(before->entry, m->entry, sizeof(m->entry));
		err = rig_ask(g, lan, req);
	}
	assert_int_equal(err, 0);
	check_answer(g, m, &req, before);
	groups_add(g, m);
	check_effect(g, m, &req);
}

static void run(struct rig *g, struct model *m, struct model *before)
{
	for (int i = 0; i < OPERATIONS; i++) {
		one_request(g, m, before);
		if (m->n_groups > 20 || dice(m, 6) == 0)
			groups_settle(g, m);
		if (dice(m, 4) == 0)
			g->now += dice(m, 20000);
		if (dice(m, 8) == 0 && m->n_groups < 20) {
			g->out.n = 0;
			registry_due(g->book, g->now, 10, &g->out);
			groups_add(g, m);
		}
		if (i % 40 == 0)
			check_all(g, m);
	}
	groups_settle(g, m);
	check_all(g, m);
}

static void the_book_is_what_its_steps_say(void **state)
{
	struct rig *g = *state;
	struct model *m = calloc(1, sizeof(*m)), *before = calloc(1, sizeof(*before));

	assert_non_null(m);
	assert_non_null(before);
	g->policy.per_host = PER_HOST;
	m->random = 0x9e3779b97f4a7c15;
	run(g, m, before);
	print_message("%zu grants, %zu changes (%zu moves), %zu ends, %zu refusals, "
		      "%zu taken back, %zu waits\n",
		      m->grants, m->renewals, m->moves, m->ends, m->refusals, m->reverts,
		      m->waits);
	assert_true(m->grants > 5000 && m->ends > 5000 && m->moves > 100 &&
		    m->waits > 1000 && m->filtered > 1000 && m->pinholes > 1000);
	free(m);
	free(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_book_is_what_its_steps_say, rig_up,
						rig_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
