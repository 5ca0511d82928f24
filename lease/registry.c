/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The book as a whole: its life, its clock and what it was found with. ask.c decides. */
#include "lease/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lease/book.h"
#include "lease/claims.h"
#include "lease/filters.h"
#include "lease/policy.h"
#include "lease/restrict.h"

#define DUE_LATER_MS 50 /* after the commit that it has to wait for */
#define ADOPT_WEEK_MS (604800 * 1000ULL)

/* A lease that registry_judge() looks at. */
struct judged {
	uint64_t created_ms;
	uint32_t id;
};

struct registry *registry_new(const struct lease_policy *policy)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->policy = policy;
	pending_init(&r->pending, policy->seed ^ 1);
	if (table_init(&r->table, policy->seed ^ 2) ||
	    hosts_init(&r->hosts, policy->seed ^ 3) ||
	    released_init(&r->released, &r->hosts)) {
		registry_free(r);
		return NULL;
	}
	r->allocator = (struct allocator){.table = &r->table,
					  .released = &r->released,
					  .hosts = &r->hosts,
					  .policy = policy,
					  .seed = policy->seed ^ 4};
	return r;
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	deadlines_fini(&r->deadlines);
	pending_fini(&r->pending);
	released_fini(&r->released);
	hosts_fini(&r->hosts);
	table_fini(&r->table);
	free(r);
}

void lease_changes_free(struct lease_changes *c)
{
	free(c->step);
	*c = (struct lease_changes){0};
}

uint64_t registry_next(const struct registry *r)
{
	return deadlines_next(&r->deadlines);
}

/* Listens for a host whose lease lasts until it has left, more and more closely as its silence
 * goes on. The claims that end with it. */
static unsigned int due_gone(const struct registry *r, struct lease *l)
{
	const struct lease_policy *p = r->policy;
	uint64_t silence = claim_silence(p), heard = r->now_ms;

	if (!l->until_gone || l->look_ms > r->now_ms)
		return 0;
	if (p->heard)
		heard = p->heard(p->in_use_arg, &l->internal, r->now_ms);
	if (heard + silence > l->gone_ms)
		l->gone_ms = heard + silence;
	if (l->gone_ms <= r->now_ms)
		return l->until_gone;
	l->look_ms = r->now_ms + silence / 8;
	if (l->look_ms + silence / 2 < l->gone_ms)
		l->look_ms = l->gone_ms - silence / 2;
	if (l->look_ms > l->gone_ms)
		l->look_ms = l->gone_ms;
	return 0;
}

/* Claims that last while the host sends last as long as it has sent. */
static void hear_active(const struct registry *r, struct lease *l, unsigned int claims)
{
	const struct lease_policy *p = r->policy;
	uint64_t left;

	claims &= l->claims & LEASE_IDLE_CLAIMS;
	if (!claims || !p->active)
		return;
	left = p->active(p->in_use_arg, l, &l->elsewhere);
	for (unsigned int by = 0; left && by < LEASE_BY_END; by++)
		if (claims >> by & 1)
			l->until_ms[by] = r->now_ms + left;
}

static void listen_one(struct registry *r, uint32_t id)
{
	struct lease *l = &table_node(&r->table, id)->lease;

	if (!l->idle_s || table_node(&r->table, id)->gone || book_pending(r, id))
		return;
	hear_active(r, l, LEASE_IDLE_CLAIMS);
	claim_settle(l, r->now_ms);
	book_schedule(r, id, 0);
}

void registry_listen(struct registry *r, uint64_t now_ms)
{
	if (now_ms > r->now_ms)
		r->now_ms = now_ms;
	for (size_t port = 1; port < TABLE_PORTS; port++)
		for (unsigned int p = 0; p < 2; p++) {
			uint32_t id = r->table.port[p][port];

			for (; id; id = table_node(&r->table, id)->port_next)
				listen_one(r, id);
		}
}

/* Does what is due of one lease. */
static void registry_due_one(struct registry *r, uint32_t id, uint32_t who,
			     struct lease_changes *out)
{
	struct lease_node *n = table_node(&r->table, id);
	struct lease l = n->lease;
	unsigned int over, gone = due_gone(r, &l);

	hear_active(r, &l, claim_expired(&l, r->now_ms));
	over = claim_expired(&l, r->now_ms);
	if ((over | gone) == l.claims) {
		book_end(r, id, over == l.claims ? LEASE_END_EXPIRED : LEASE_END_GONE,
			 who, out);
		return;
	}
	claim_drop(&l, over | gone);
	claim_settle(&l, r->now_ms);
	if (l.claims == n->lease.claims && l.kernel_ms == n->lease.kernel_ms) {
		n->lease = l; /* nothing that the kernel should know */
		book_schedule(r, id, 0);
		return;
	}
	book_change(r, id, &l, who, out);
}

/* Each lease that is due is marked with a number of its own, so that its steps can be told
 * from those of the next. */
size_t registry_due(struct registry *r, uint64_t now_ms, size_t max,
		    struct lease_changes *out)
{
	size_t first = out->n;

	if (now_ms > r->now_ms)
		r->now_ms = now_ms;
	released_expire(&r->released, r->now_ms);
	for (uint32_t who = 0; out->n - first < max; who++) {
		uint32_t id;

		if (deadlines_next(&r->deadlines) > r->now_ms)
			break;
		id = deadlines_first(&r->deadlines);
		if (claim_next(&table_node(&r->table, id)->lease) > r->now_ms)
			book_schedule(r, id, 0); /* it was renewed meanwhile */
		else if (book_pending(r, id))
			deadlines_set(&r->deadlines, id, r->now_ms + DUE_LATER_MS);
		else if (book_reserve(r, out, BOOK_STEPS))
			break;
		else
			registry_due_one(r, id, who, out);
	}
	return out->n - first;
}

/* Times that no request could have led to are cut. */
static void adopt_times(struct lease *l, uint64_t silence_ms, uint64_t now_ms)
{
	uint64_t kernel_ms = l->kernel_ms;

	/* The silence went on while nobody listened. */
	l->gone_ms = kernel_ms < now_ms + silence_ms ? kernel_ms : now_ms + silence_ms;
	l->look_ms = l->gone_ms > silence_ms / 2 ? l->gone_ms - silence_ms / 2 : 0;

	for (unsigned int by = 0; by < LEASE_BY_END; by++) {
		if (!(l->claims >> by & 1))
			l->until_ms[by] = 0;
		else if (by != LEASE_BY_ADMIN && l->until_ms[by] > now_ms + ADOPT_WEEK_MS)
			l->until_ms[by] = now_ms + ADOPT_WEEK_MS;
	}
	claim_settle(l, now_ms);
	/* The kernel's clock is what it is; at half of it the lease is re-armed as others. */
	if (kernel_ms < l->kernel_ms)
		l->kernel_ms = kernel_ms;
}

/* Nobody asked, so there is no client and no rate; else the same questions as for a request. */
static enum lease_reason adopt_judge(const struct registry *r, const struct lease *l)
{
	enum lease_by by = l->origin;
	enum lease_reason reason = policy_protocol(l->protocol);

	if (claim_has(l, LEASE_BY_ADMIN))
		by = LEASE_BY_ADMIN;
	if (!reason)
		reason = policy_internal(r->policy, &l->internal);
	if (!reason && lease_is_pinhole(l) && (l->ext_port != l->int_port || !l->enabled))
		reason = LEASE_PORT;
	return reason ? reason : policy_kept(r->policy, by, l);
}

enum lease_reason registry_allowed(const struct registry *r, const struct lease *l)
{
	return adopt_judge(r, l);
}

/* Brings a lease to the form in which it may be in the book; its host's id in *host. */
static enum lease_reason adopt_prepare(struct registry *r, struct lease *l,
				       uint32_t *host)
{
	enum lease_reason reason;

	/* Static forwards are the configuration's, and no leases. */
	if (!l->claims || l->claims >> LEASE_BY_END || l->origin >= LEASE_BY_END ||
	    claim_has(l, LEASE_BY_STATIC) || l->origin == LEASE_BY_STATIC)
		return LEASE_NOT_FOUND;
	reason = adopt_judge(r, l);
	if (!reason)
		reason = policy_remote(&l->remote, &l->remote_len, lease_is_pinhole(l));
	if (!reason && l->remote_port && !lease_is_pinhole(l))
		reason = LEASE_REMOTE;
	if (!reason)
		reason = filters_check(l);
	if (reason)
		return reason;
	adopt_times(l, claim_silence(r->policy), r->now_ms);
	if (l->deadline_ms <= r->now_ms)
		return LEASE_NOT_FOUND;
	*host = hosts_get(&r->hosts, &l->internal);
	if (!*host)
		return LEASE_QUOTA_TABLE;
	reason = restrict_quota(r, *host, l, policy_quota_kept(r->policy, &l->internal));
	return reason ? reason : restrict_port(r, *host, l);
}

/* What depends on the leases beside it: the twin, and the number of a pinhole. */
static void adopt_settle(struct registry *r, struct lease *l)
{
	l->twin = !lease_is_pinhole(l) &&
		  !table_ring(&r->table, l->protocol, &l->internal, l->int_port);
	if (!lease_is_pinhole(l) || !claim_has(l, LEASE_BY_UPNP))
		l->number = 0;
	else if (!l->number || table_number(&r->table, l->number))
		l->number = table_number_new(&r->table);
}

enum lease_reason registry_adopt(struct registry *r, const struct lease *found,
				 uint64_t now_ms)
{
	struct lease l = *found;
	enum lease_reason reason;
	uint32_t host, id;

	if (now_ms > r->now_ms)
		r->now_ms = now_ms;
	reason = adopt_prepare(r, &l, &host);
	if (reason)
		return reason;
	id = book_alloc(r);
	if (!id)
		return LEASE_QUOTA_TABLE;
	adopt_settle(r, &l);
	book_grant(r, id, &l, host, 0, NULL);
	if (!l.twin && found->twin && !lease_is_pinhole(&l))
		book_give_twin(r, id); /* the one without was only in its place */
	return LEASE_OK;
}

/* The youngest first: who came first stays when there are too many. */
static int by_age(const void *a, const void *b)
{
	const struct judged *x = a, *y = b;

	if (x->created_ms != y->created_ms) /* modulo 2^64 */
		return (int64_t)(x->created_ms - y->created_ms) > 0 ? -1 : 1;
	return x->id > y->id ? -1 : x->id < y->id;
}

static struct judged *judge_chain(const struct registry *r, uint32_t id,
				  struct judged *to)
{
	for (; id; id = table_node(&r->table, id)->port_next)
		if (!table_node(&r->table, id)->gone)
			*to++ = (struct judged){
				table_node(&r->table, id)->lease.created_ms, id};
	return to;
}

static enum lease_reason judge_one(const struct registry *r, const struct lease_node *n)
{
	const struct lease_policy *p = r->policy;
	enum lease_reason reason = adopt_judge(r, &n->lease);

	if (reason || n->lease.origin == LEASE_BY_ADMIN)
		return reason;
	if (hosts_at(&r->hosts, n->host)->leases >
	    policy_quota_kept(p, &n->lease.internal))
		return LEASE_QUOTA_HOST;
	if (n->lease.origin == LEASE_BY_OPEN_NAT && lease_idles(&n->lease) &&
	    hosts_at(&r->hosts, n->host)->open_nat > p->open_nat_per_host)
		return LEASE_QUOTA_HOST;
	return r->table.count > p->max_leases ? LEASE_QUOTA_TABLE : LEASE_OK;
}

int registry_judge(struct registry *r, size_t max, bool strangers,
		   void (*refused)(void *arg, const struct lease *l,
				   enum lease_reason reason),
		   void *arg, struct lease_changes *out)
{
	size_t count = r->table.count, first = out->n;
	struct judged *all = calloc(count + 1, sizeof(*all)), *end = all;

	if (!all || book_reserve(r, out, (max < count ? max : count) * BOOK_STEPS)) {
		free(all);
		return -ENOMEM;
	}
	for (size_t port = 1; port < TABLE_PORTS; port++)
		for (unsigned int p = 0; p < 2; p++)
			end = judge_chain(r, r->table.port[p][port], end);
	for (size_t i = 0; r->table.n_pinholes && i < TABLE_PORTS; i++)
		end = judge_chain(r, r->table.pinhole[i], end);
	qsort(all, count, sizeof(*all), by_age);
	for (size_t i = 0; i < count && out->n - first < max; i++) {
		const struct lease_node *node = table_node(&r->table, all[i].id);
		enum lease_reason reason = judge_one(r, node);

		if (!reason || (reason == LEASE_NOT_LAN && !strangers) ||
		    book_pending(r, all[i].id))
			continue;
		refused(arg, &node->lease, reason);
		book_end(r, all[i].id,
			 reason == LEASE_DENIED ? LEASE_END_DENIED : LEASE_END_POLICY,
			 (uint32_t)i, out);
	}
	free(all);
	return (int)(out->n - first);
}

/* Has the host asked anew for that inside port since we started? */
static bool restore_is_late(const struct registry *r, const struct lease *l,
			    uint64_t since_ms)
{
	uint32_t head = table_ring(&r->table, l->protocol, &l->internal, l->int_port);
	uint32_t id = head;

	while (id) {
		const struct lease_node *n = table_node(&r->table, id);

		if ((int64_t)(n->lease.created_ms - since_ms) >= 0 &&
		    n->lease.remote_len == l->remote_len &&
		    n->lease.remote_port == l->remote_port &&
		    addr_equal(&n->lease.remote, &l->remote))
			return true;
		id = n->ring_next == head ? 0 : n->ring_next;
	}
	return false;
}

int registry_restore(struct registry *r, const struct lease *kept, uint64_t since_ms,
		     uint64_t now_ms, uint32_t who, enum lease_reason *reason,
		     struct lease_changes *out)
{
	struct lease l = *kept;
	uint32_t host, id;

	if (now_ms > r->now_ms)
		r->now_ms = now_ms;
	if (pending_has(&r->pending, l.protocol, &l.internal, l.int_port) ||
	    (!lease_is_pinhole(&l) && book_port_pending(r, l.protocol, l.ext_port)))
		return -EAGAIN;
	claim_drop(&l, claim_expired(&l, r->now_ms));
	*reason = adopt_prepare(r, &l, &host);
	if (!*reason && restore_is_late(r, &l, since_ms))
		*reason = LEASE_NOT_FOUND;
	if (*reason)
		return 0;
	if (book_reserve(r, out, 1))
		return -ENOMEM;
	id = book_alloc(r);
	if (!id)
		return -ENOMEM;
	adopt_settle(r, &l);
	book_grant(r, id, &l, host, who, out);
	return 0;
}

size_t registry_count(const struct registry *r)
{
	return r->table.count;
}

size_t registry_listed(const struct registry *r)
{
	return r->table.n_listed +
	       forward_entries(r->policy->forwards, r->policy->n_forwards);
}

const struct lease *registry_find(const struct registry *r, uint8_t protocol,
				  uint16_t ext_port, const struct in6_addr *remote,
				  uint8_t remote_len)
{
	struct in6_addr prefix = *remote;
	const struct lease_node *n;
	uint32_t id;

	if (policy_protocol(protocol) || policy_remote(&prefix, &remote_len, false))
		return NULL;
	id = table_find(&r->table, protocol, ext_port, &prefix, remote_len);
	n = id ? table_node(&r->table, id) : NULL;
	return n && !n->gone ? &n->lease : NULL;
}

const struct lease *registry_find_pinhole(const struct registry *r, uint8_t protocol,
					  const struct in6_addr *internal,
					  uint16_t int_port,
					  const struct in6_addr *remote,
					  uint8_t remote_len, uint16_t remote_port)
{
	struct in6_addr prefix = *remote;
	const struct lease_node *n;
	uint32_t id;

	if (policy_protocol(protocol) || addr_is_v4(internal) ||
	    policy_remote(&prefix, &remote_len, true))
		return NULL;
	id = table_find_pinhole(&r->table, protocol, internal, int_port, &prefix,
				remote_len, remote_port);
	n = id ? table_node(&r->table, id) : NULL;
	return n && !n->gone ? &n->lease : NULL;
}

static void each_of_chain(const struct registry *r, uint32_t id,
			  void (*each)(void *arg, const struct lease *l), void *arg)
{
	for (; id; id = table_node(&r->table, id)->port_next)
		if (!table_node(&r->table, id)->gone)
			each(arg, &table_node(&r->table, id)->lease);
}

void registry_each_like(const struct registry *r, const struct lease *l,
			void (*each)(void *arg, const struct lease *l), void *arg)
{
	if (!lease_is_pinhole(l) || r->table.n_pinholes)
		each_of_chain(r, table_first_like(&r->table, l), each, arg);
}

static void each_pinhole(const struct registry *r,
			 void (*each)(void *arg, const struct lease *l), void *arg)
{
	for (size_t i = 0; r->table.n_pinholes && i < TABLE_PORTS; i++)
		each_of_chain(r, r->table.pinhole[i], each, arg);
}

void registry_each_by_host(const struct registry *r,
			   void (*each)(void *arg, const struct lease *l), void *arg)
{
	for (uint32_t host = 1; host < r->hosts.n; host++) {
		uint32_t id = hosts_at(&r->hosts, host)->first;

		for (; id; id = table_node(&r->table, id)->host_next)
			if (!table_node(&r->table, id)->gone)
				each(arg, &table_node(&r->table, id)->lease);
	}
}

void registry_each(const struct registry *r,
		   void (*each)(void *arg, const struct lease *l), void *arg)
{
	for (size_t port = 1; port < TABLE_PORTS; port++)
		for (unsigned int p = 0; p < 2; p++)
			each_of_chain(r, r->table.port[p][port], each, arg);
	each_pinhole(r, each, arg);
}

static void each_of_ports(const struct registry *r, uint8_t protocol,
			  const struct portset *ports,
			  void (*each)(void *arg, const struct lease *l), void *arg)
{
	for (size_t i = 0; i < sizeof(ports->word) / sizeof(ports->word[0]); i++)
		for (uint64_t left = ports->word[i]; left; left &= left - 1) {
			size_t port = i * 64 + (size_t)__builtin_ctzll(left);

			each_of_chain(
				r, table_port_first(&r->table, protocol, (uint16_t)port),
				each, arg);
		}
}

void registry_each_at(const struct registry *r, const struct portset *tcp,
		      const struct portset *udp, bool pinholes,
		      void (*each)(void *arg, const struct lease *l), void *arg)
{
	each_of_ports(r, IPPROTO_TCP, tcp, each, arg);
	each_of_ports(r, IPPROTO_UDP, udp, each, arg);
	if (pinholes)
		each_pinhole(r, each, arg);
}

/* The first lease at a place: both protocols of each port by turns, then the pinholes. */
static uint32_t walk_first(const struct registry *r, uint32_t place)
{
	if (place < 2 * TABLE_PORTS)
		return r->table.port[place % 2][place / 2];
	return r->table.pinhole[place - 2 * TABLE_PORTS];
}

static size_t chain_length(const struct registry *r, uint32_t id)
{
	size_t n = 0;

	for (; id; id = table_node(&r->table, id)->port_next)
		n++;
	return n;
}

uint32_t registry_walk(const struct registry *r, uint32_t place, size_t max,
		       bool (*each)(void *arg, const struct lease *l), void *arg)
{
	const uint32_t places = (r->table.n_pinholes ? 3 : 2) * TABLE_PORTS;
	size_t taken = 0;

	for (size_t looked = 0; place < places; looked++, place++) {
		uint32_t id = walk_first(r, place);

		if (looked == REGISTRY_WALK_PLACES ||
		    (taken && taken + chain_length(r, id) > max))
			return place;
		for (; id && taken < max; id = table_node(&r->table, id)->port_next)
			if (!table_node(&r->table, id)->gone)
				taken += each(arg, &table_node(&r->table, id)->lease);
	}
	return 0;
}
