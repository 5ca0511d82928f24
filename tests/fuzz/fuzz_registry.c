/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The book of leases, asked by a few hosts of both families for a few ports, with remotes and
 * filters, with commits and refusals of the kernel in any order and a clock that goes on,
 * beside a plain list that follows the steps.
 *
 * An input: a byte of circumstances, then operations of 8 bytes and, with filters, two more
 * for each.
 */
#include <errno.h>

#include "lease/book.h"
#include "lease/filters.h"
#include "tests/fuzz/registry_rig.h"

#define LEASES_MAX 128
#define GROUPS_MAX 12
#define STEPS_MAX 64
#define OPERATIONS_MAX 128
#define CHECK_EACH 8

struct entry {
	bool used;
	bool gone; /* ended, but not confirmed */
	struct lease lease;
};

/* The steps of one request or of one end: the kernel takes all or none. */
struct group {
	size_t n;
	struct lease_change step[STEPS_MAX];
};

static struct lease_policy policy;
static struct registry *book;
static struct lease_changes out;
static uint64_t now_ms;
static struct entry entries[LEASES_MAX];
static struct group groups[GROUPS_MAX];
static size_t n_groups;
static bool crowded;
static unsigned int judgements;

static const struct lease *book_has(const struct lease *l)
{
	if (lease_is_pinhole(l))
		return registry_find_pinhole(book, l->protocol, &l->internal, l->int_port,
					     &l->remote, l->remote_len, l->remote_port);
	return registry_find(book, l->protocol, l->ext_port, &l->remote, l->remote_len);
}

static struct entry *find(const struct lease *key)
{
	for (size_t i = 0; i < LEASES_MAX; i++)
		if (entries[i].used && lease_same_key(&entries[i].lease, key))
			return &entries[i];
	return NULL;
}

static void add(const struct lease *l)
{
	size_t i = 0;

	while (entries[i].used)
		must(++i < LEASES_MAX);
	entries[i] = (struct entry){.used = true, .lease = *l};
}

/* When to listen for the host next, the book changes by itself; all else by steps. */
static bool same_state(const struct lease *a, const struct lease *b)
{
	struct lease l = *a;

	if (l.until_gone) {
		must(b->gone_ms && b->look_ms <= b->gone_ms);
		l.gone_ms = b->gone_ms;
		l.look_ms = b->look_ms;
	}
	return !memcmp(&l, b, sizeof(l));
}

/* The order and the state in which a step may come. */
static void follow(const struct lease_change *s)
{
	struct entry *e = find(s->has ? &s->after : &s->before);

	must(s->had || s->has);
	if (!s->had) {
		must(!e);
		add(&s->after);
		return;
	}
	must(e && !e->gone && same_state(&e->lease, &s->before));
	must((s->end == LEASE_END_NONE) == s->has);
	if (s->has)
		must(lease_same_key(&s->before, &s->after));
	if (s->has)
		e->lease = s->after;
	else
		e->gone = true;
}

static void confirm(const struct lease_change *s)
{
	registry_confirm(book, s);
	if (!s->has)
		find(&s->before)->used = false;
}

static void revert(const struct lease_change *s)
{
	struct entry *e = find(s->has ? &s->after : &s->before);

	registry_revert(book, s);
	must(e);
	e->used = s->had;
	e->gone = false;
	e->lease = s->before;
}

static void settle(size_t i, bool refuse)
{
	struct group *g = &groups[i];

	for (size_t n = 0; n < g->n; n++) {
		if (refuse)
			revert(&g->step[g->n - 1 - n]);
		else
			confirm(&g->step[n]);
	}
	*g = groups[--n_groups];
}

static void settle_all(void)
{
	while (n_groups)
		settle(0, false);
}

/* Takes the steps in `out` over: those with one mark belong together. */
static void take_steps(void)
{
	for (size_t i = 0; i < out.n;) {
		struct group *g = &groups[n_groups];
		uint32_t who = out.step[i].who;

		must(n_groups < GROUPS_MAX);
		for (g->n = 0; i < out.n && out.step[i].who == who; i++) {
			must(g->n < STEPS_MAX);
			follow(&out.step[i]);
			g->step[g->n++] = out.step[i];
		}
		n_groups++;
	}
	out.n = 0;
}

struct seen {
	size_t n;
	size_t listed;
};

static bool same_inside(const struct lease *a, const struct lease *b)
{
	return a->protocol == b->protocol && a->int_port == b->int_port &&
	       addr_equal(&a->internal, &b->internal);
}

static void check_lease(void *arg, const struct lease *l)
{
	const unsigned int hidden = 1U << LEASE_BY_TRIGGER | 1U << LEASE_BY_OPEN_NAT;
	struct seen *seen = arg;
	struct entry *e = find(l);
	struct lease same = *l;
	unsigned int twins = 0;

	must(e && !e->gone && same_state(&e->lease, l));
	must(l->ext_port && l->claims && !(l->until_gone & ~l->claims));
	must(l->kernel_ms <= l->deadline_ms);
	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		must((l->until_ms[by] != 0) == (l->claims >> by & 1) &&
		     l->until_ms[by] <= l->deadline_ms);
	must(memchr(l->description, '\0', LEASE_DESCRIPTION_MAX + 1));
	must(!filters_check(&same) && !memcmp(&same, l, sizeof(same)));
	must(!lease_is_pinhole(l) || (l->ext_port == l->int_port && l->enabled));
	must(!l->number == !(lease_is_pinhole(l) && l->claims >> LEASE_BY_UPNP & 1));
	for (size_t i = 0; i < LEASES_MAX; i++) {
		const struct lease *o = &entries[i].lease;

		if (!entries[i].used)
			continue;
		twins += !entries[i].gone && same_inside(o, l) && o->twin;
		must(!l->number || o->number != l->number || entries[i].gone ||
		     lease_same_key(o, l));
		if (o->protocol != l->protocol || o->ext_port != l->ext_port ||
		    lease_is_pinhole(o) != lease_is_pinhole(l))
			continue;
		/* One external port never leads to two hosts, nor one remote to two ports. */
		must(lease_is_pinhole(l) || addr_equal(&o->internal, &l->internal));
		must(lease_same_key(o, l) || !addr_equal(&o->internal, &l->internal) ||
		     !filters_overlap(o, l));
	}
	must(twins == !lease_is_pinhole(l));
	seen->n++;
	seen->listed += (l->claims & ~hidden) && !lease_is_pinhole(l);
}

/* Each lease of the list is in the book, and no more are. */
static void check_book(void)
{
	uint64_t first = LEASE_NO_DEADLINE - 1000;
	size_t of_host[HOSTS] = {0}, pinholes = 0, restricted = 0;
	struct seen seen = {0};

	for (size_t i = 0; i < LEASES_MAX; i++) {
		const struct lease *l = &entries[i].lease, *is;

		if (!entries[i].used)
			continue;
		is = book_has(l);
		must(!is == entries[i].gone);
		if (!is)
			continue;
		check_lease(&seen, is);
		pinholes += lease_is_pinhole(is);
		restricted += filters_elements(is);
		if (is->deadline_ms < first)
			first = is->deadline_ms;
		for (unsigned int n = 0; n < HOSTS; n++) {
			struct in6_addr in = host(n);

			of_host[n] += addr_equal(&l->internal, &in) &&
				      l->origin != LEASE_BY_ADMIN;
		}
	}
	must(registry_count(book) == seen.n &&
	     registry_listed(book) ==
		     seen.listed + forward_entries(policy.forwards, policy.n_forwards));
	must(book->pinholes == pinholes && book->restricted == restricted);
	for (unsigned int n = 0; n < HOSTS && !n_groups; n++)
		must(of_host[n] <= PER_HOST + GROUPS_MAX); /* refused ends come back */
	/* The clock comes no later than the first end, or it is tried again in a second. */
	must(n_groups || registry_next(book) <= (first > now_ms ? first : now_ms) + 1000);
}

static bool walk_one(void *arg, const struct lease *l)
{
	size_t *n = arg;

	must(find(l) && !find(l)->gone);
	(*n)++;
	return true;
}

/* The same by the book's own lists; slow. */
static void check_each(void)
{
	uint32_t place = 0;
	size_t walked = 0;
	struct seen seen = {0};

	registry_each(book, check_lease, &seen);
	must(registry_count(book) == seen.n);
	do {
		uint32_t next = registry_walk(book, place, 2, walk_one, &walked);

		must(next > place || !next);
		place = next;
	} while (place);
	must(walked <= seen.n);
}

/* `op` says of which family it is; from 208 on it has filters. */
static struct lease_request read_request(struct feed *f, uint8_t op, int *lan)
{
	uint8_t a = feed_u8(f), b = feed_u8(f), c = feed_u8(f), d = feed_u8(f),
		e = feed_u8(f);
	bool filters = op >= 208, v6 = filters ? op & 1 : op % 8 == 7;
	struct in6_addr (*const address)(unsigned int n) = v6 ? host6 : host;
	struct lease_request req = {.by = a & 7, .op = LEASE_OP_MAP};

	if (req.by >= LEASE_BY_END)
		req.by = LEASE_BY_UPNP;
	if (a & 8)
		req.op = (uint8_t)(LEASE_OP_MAP +
				   (a >> 4) % (LEASE_OP_END - LEASE_OP_MAP));
	req.protocol = b & 1 ? IPPROTO_TCP : IPPROTO_UDP;
	req.internal = address(b >> 1 & 3);
	req.client = b & 128 ? address(b >> 3 & 3) : req.internal;
	req.int_port = (uint16_t)(b & 64 ? c << 8 | d : 7000 + (c & 7));
	req.ext_port = (uint16_t)(b & 32 ? d << 8 | c : d & 1 ? 0 : 7000 + (d >> 1 & 15));
	req.flags = (uint8_t)((e & 15) | (e & 64 ? LEASE_DESCRIBE : 0) |
			      (d & 64 ? LEASE_OWN : 0));
	if (e & 16)
		req.remote = read_prefix((uint8_t)(c >> 6 | (c >> 1 & 12) | d << 4), v6,
					 &req.remote_len);
	memset(req.nonce, e >> 5 & 1, sizeof(req.nonce));
	req.description[0] = e & 64 ? 'x' : '\0';
	req.lifetime = feed_u16(f) * (e & 128 ? 300U : 1U);
	req.index = c;
	req.last_port = (uint16_t)(req.ext_port + (c >> 3));
	req.remote_port = v6 && op & 16 ? e & 3 : 0;
	if (req.op >= LEASE_OP_PIN_RENEW && entries[c & 7].used)
		req.index = entries[c & 7].lease.number;
	*lan = req.by == LEASE_BY_ADMIN && !(d & 128) ? -1 : 0;
	if (!filters)
		return req;
	req.flags |= op & 16 ? LEASE_UNFILTER : 0;
	req.n_filters = (uint8_t)((op >> 1 & 7) % (LEASE_FILTERS_MAX + 1));
	for (unsigned int i = 0; i < req.n_filters; i++) {
		req.filters[i].addr = read_prefix(feed_u8(f), v6, &req.filters[i].len);
		req.filters[i].port = feed_u8(f) & 3;
	}
	return req;
}

/* What a reply promises, whoever asked. */
static void check_reply(const struct lease_request *req, const struct lease_reply *reply)
{
	must(reply->reason < LEASE_REASON_END && reply->op == req->op);
	must(memchr(reply->description, '\0', LEASE_DESCRIPTION_MAX + 1));
	if (reply->reason != LEASE_OK) {
		must(!out.n || req->op == LEASE_OP_UNMAP ||
		     req->op == LEASE_OP_UNMAP_ALL);
		return;
	}
	if (req->op != LEASE_OP_MAP)
		return;
	must(reply->ext_port && reply->protocol == req->protocol);
	must(addr_equal(&reply->internal, &req->internal));
	if (req->flags & LEASE_EXACT && (req->ext_port || addr_is_v4(&req->internal)))
		must(reply->ext_port == req->ext_port);
	if (req->by == LEASE_BY_NATPMP)
		must(reply->lifetime <= (req->lifetime ? req->lifetime : 1));
}

static void ask(struct feed *f, uint8_t op)
{
	struct lease_reply reply;
	struct lease_request req;
	int lan, err;

	req = read_request(f, op, &lan);
	must(lease_request_valid(&req));
	if (n_groups == GROUPS_MAX)
		settle_all();
	err = registry_ask(book, lan, &req, now_ms, 1, &reply, &out);
	if (err == -EAGAIN) {
		must(!out.n && n_groups);
		settle_all();
		err = registry_ask(book, lan, &req, now_ms, 1, &reply, &out);
	}
	must(!err);
	check_reply(&req, &reply);
	take_steps();
}

/* Many hosts want to know something, so that the table of hosts grows, or the oldest one is
 * forgotten. Once: it takes a while. */
static void crowd(uint8_t bits)
{
	struct lease_request req = {.by = LEASE_BY_UPNP,
				    .op = LEASE_OP_GET_INDEX,
				    .client = host6(0),
				    .index = UINT32_MAX};
	struct lease_reply reply;

	if (crowded)
		return;
	crowded = true;
	for (unsigned int n = bits == 255 ? 4200 : 80; n; n--) {
		req.client.s6_addr[13] = (uint8_t)(n >> 8);
		req.client.s6_addr[14] = (uint8_t)n;
		must(!registry_ask(book, 0, &req, now_ms, 1, &reply, &out));
		must(reply.reason == LEASE_NOT_FOUND || reply.reason == LEASE_NOT_LAN);
		must(!out.n);
	}
}

static void due(uint8_t max)
{
	size_t n;

	if (n_groups > GROUPS_MAX / 2)
		settle_all();
	n = registry_due(book, now_ms, 1 + max % 3, &out);
	must(n == out.n);
	take_steps();
}

static void refused(void *arg, const struct lease *l, enum lease_reason reason)
{
	must(!arg && reason != LEASE_OK && reason < LEASE_REASON_END);
	must(find(l) && !find(l)->gone);
}

/* The configuration is another one now. A few times: it takes a while. */
static void judge(uint8_t bits)
{
	int n;

	if (judgements++ == 3)
		return;
	if (n_groups > GROUPS_MAX / 2)
		settle_all();
	policy.max_leases = bits & 1 ? 3 : 131072;
	policy.per_host = bits & 2 ? 2 : PER_HOST;
	policy.n_access = policy.access && bits & 4;
	policy.lan[0].n_nets = bits & 8 ? 1 : 4;
	n = registry_judge(book, 1 + (bits >> 4 & 1), bits & 32, refused, NULL, &out);
	must(n >= 0 && (size_t)n == out.n);
	take_steps();
}

/* The LAN has another IPv6 prefix. */
static void follow_prefix(uint8_t bits)
{
	struct prefix old = {host6(0), 64}, new = {host6(0), 64};
	int n;

	if (n_groups > GROUPS_MAX / 2)
		settle_all();
	new.addr.s6_addr[7] = bits & 1;
	old.addr.s6_addr[7] = !(bits & 1);
	n = registry_follow(book, &old, &new, 1 + (bits >> 1 & 3), &out);
	must(n >= 0 && (size_t)n == out.n);
	take_steps();
}

/* A lease as it may be found in the kernel, or was kept elsewhere. */
static struct lease read_found(struct feed *f)
{
	uint8_t a = feed_u8(f), b = feed_u8(f), c = feed_u8(f);
	bool v6 = b & 32;
	unsigned int i = 0;
	struct lease l = {.protocol = a & 1 ? IPPROTO_TCP : IPPROTO_UDP,
			  .internal = v6 ? host6(a >> 1 & 3) : host(a >> 1 & 3),
			  .ext_port = (uint16_t)(7000 + (a >> 3 & 15)),
			  .int_port = (uint16_t)(7000 + (b & 7)),
			  .twin = b & 8,
			  .enabled = b & 16,
			  .origin = (c & 7) % LEASE_BY_END,
			  .claims = c >> 1};

	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (l.claims >> by & 1)
			l.until_ms[by] = now_ms + feed_u16(f);
	if (v6 && !(a & 128))
		l.int_port = l.ext_port;
	if (b & 64)
		l.remote = read_prefix(feed_u8(f), v6, &l.remote_len);
	l.remote_port = v6 && a & 64 ? 53 : 0;
	l.number = c & 64 ? c : 0;
	for (l.n_filters = b & 128 ? c & 3 : 0; i < l.n_filters; i++) {
		l.filters[i].addr = read_prefix(feed_u8(f), v6, &l.filters[i].len);
		l.filters[i].port = feed_u8(f) & 3;
	}
	l.kernel_ms = now_ms + 30000;
	l.created_ms = now_ms;
	return l;
}

static void adopt(struct feed *f)
{
	struct lease l = read_found(f);

	settle_all();
	if (registry_adopt(book, &l, now_ms) != LEASE_OK)
		return;
	/* What became of it, and of the twin of another one, only the book tells. */
	for (struct entry *e = entries; e < entries + LEASES_MAX; e++) {
		if (!e->used)
			continue;
		must(book_has(&e->lease));
		e->lease = *book_has(&e->lease);
	}
	must(book_has(&l) && !find(book_has(&l)));
	add(book_has(&l));
}

static void restore(struct feed *f)
{
	struct lease l = read_found(f);
	uint64_t since_ms = now_ms - feed_u16(f);
	enum lease_reason reason = LEASE_OK;
	int err;

	if (n_groups == GROUPS_MAX)
		settle_all();
	err = registry_restore(book, &l, since_ms, now_ms, 1, &reason, &out);
	must(err == 0 || (err == -EAGAIN && n_groups));
	must(out.n == (!err && reason == LEASE_OK));
	take_steps();
}

static void set_up(uint8_t bits)
{
	memset(entries, 0, sizeof(entries));
	n_groups = 0;
	crowded = false;
	judgements = 0;
	now_ms = 5000000;
	set_policy(&policy, bits);
	book = registry_new(&policy);
	must(book);
}

/* All that has an end ends; the rest is the admin's. */
static void run_out(void)
{
	settle_all();
	now_ms += 8ULL * 86400 * 1000 * 365;
	for (int i = 0; i < LEASES_MAX && registry_next(book) <= now_ms; i++) {
		due(2);
		settle_all();
		now_ms += 2000;
	}
	for (size_t i = 0; i < LEASES_MAX; i++)
		must(!entries[i].used || entries[i].lease.claims & 1 << LEASE_BY_ADMIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	uint8_t bits = feed_u8(&f);

	set_up(bits);
	for (int i = 0; f.left && i < OPERATIONS_MAX; i++) {
		uint8_t op = feed_u8(&f);

		if (op >= 64)
			ask(&f, op);
		else if (op >= 48)
			due(op);
		else if (op == 40)
			crowd(feed_u8(&f));
		else if (op == 41)
			judge(feed_u8(&f));
		else if (op == 42)
			follow_prefix(feed_u8(&f));
		else if (op == 43)
			restore(&f);
		else if (op > 43)
			adopt(&f);
		else if (op >= 24)
			now_ms += feed_u16(&f) * 100ULL;
		else if (n_groups)
			settle(op / 2 % n_groups, op & 1);
		if (i % CHECK_EACH == 0)
			check_book();
	}
	check_book();
	if ((bits & LIST_TOO) == LIST_TOO)
		check_each();
	run_out();
	check_book();
	registry_free(book);
	lease_changes_free(&out);
	return 0;
}
