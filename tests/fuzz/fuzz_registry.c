/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The book of leases, asked by a few hosts for a few ports, with commits and refusals of the
 * kernel in any order and a clock that goes on, beside a plain list that follows the steps.
 *
 * An input: a byte of circumstances, then operations of 8 bytes.
 */
#include <errno.h>

#include "lease/registry.h"
#include "tests/fuzz/fuzz.h"

#define LEASES_MAX 128
#define GROUPS_MAX 12
#define STEPS_MAX 64
#define PER_HOST 8
#define HOSTS 4
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

static struct in6_addr host(unsigned int n)
{
	return addr_from_v4((struct in_addr){htonl(0xc0a80114 + n)});
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
	must(e && !e->gone && !memcmp(&e->lease, &s->before, sizeof(e->lease)));
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
	unsigned int twins = 0;

	must(e && !e->gone && !memcmp(&e->lease, l, sizeof(*l)));
	must(l->ext_port && l->claims && !(l->until_gone & ~l->claims));
	must(l->kernel_ms <= l->deadline_ms);
	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		must((l->until_ms[by] != 0) == (l->claims >> by & 1) &&
		     l->until_ms[by] <= l->deadline_ms);
	must(memchr(l->description, '\0', LEASE_DESCRIPTION_MAX + 1));
	for (size_t i = 0; i < LEASES_MAX; i++) {
		const struct lease *o = &entries[i].lease;

		if (!entries[i].used)
			continue;
		twins += !entries[i].gone && same_inside(o, l) && o->twin;
		/* One external port never leads to two hosts. */
		if (o->protocol == l->protocol && o->ext_port == l->ext_port)
			must(addr_equal(&o->internal, &l->internal));
	}
	must(twins == 1);
	seen->n++;
	seen->listed += (l->claims & ~hidden) != 0;
}

/* Each lease of the list is in the book, and no more are. */
static void check_book(void)
{
	uint64_t first = LEASE_NO_DEADLINE - 1000;
	size_t of_host[HOSTS] = {0};
	struct seen seen = {0};

	for (size_t i = 0; i < LEASES_MAX; i++) {
		const struct lease *l = &entries[i].lease, *is;

		if (!entries[i].used)
			continue;
		is = registry_find(book, l->protocol, l->ext_port, &l->remote,
				   l->remote_len);
		must(!is == entries[i].gone);
		if (!is)
			continue;
		check_lease(&seen, is);
		if (is->deadline_ms < first)
			first = is->deadline_ms;
		for (unsigned int n = 0; n < HOSTS; n++) {
			struct in6_addr in = host(n);

			of_host[n] += addr_equal(&l->internal, &in) &&
				      l->origin != LEASE_BY_ADMIN &&
				      l->origin != LEASE_BY_STATIC;
		}
	}
	must(registry_count(book) == seen.n && registry_listed(book) == seen.listed);
	for (unsigned int n = 0; n < HOSTS && !n_groups; n++)
		must(of_host[n] <= PER_HOST + GROUPS_MAX); /* refused ends come back */
	/* The clock comes no later than the first end, or it is tried again in a second. */
	must(n_groups || registry_next(book) <= (first > now_ms ? first : now_ms) + 1000);
}

/* The same by the book's own list; slow. */
static void check_each(void)
{
	struct seen seen = {0};

	registry_each(book, check_lease, &seen);
	must(registry_count(book) == seen.n);
}

static struct lease_request read_request(struct feed *f, int *lan)
{
	uint8_t a = feed_u8(f), b = feed_u8(f), c = feed_u8(f), d = feed_u8(f),
		e = feed_u8(f);
	struct lease_request req = {.by = a & 7, .op = LEASE_OP_MAP};

	if (req.by >= LEASE_BY_END)
		req.by = LEASE_BY_UPNP;
	if (a & 8)
		req.op = (uint8_t)(LEASE_OP_MAP +
				   (a >> 4) % (LEASE_OP_END - LEASE_OP_MAP));
	req.protocol = b & 1 ? IPPROTO_TCP : IPPROTO_UDP;
	req.internal = host(b >> 1 & 3);
	req.client = b & 128 ? host(b >> 3 & 3) : req.internal;
	req.int_port = (uint16_t)(b & 64 ? c << 8 | d : 7000 + (c & 7));
	req.ext_port = (uint16_t)(b & 32 ? d << 8 | c : d & 1 ? 0 : 7000 + (d >> 1 & 15));
	req.flags = e & 15;
	if (e & 16) { /* 11.0.0.0/30 and what is in it */
		req.remote = addr_from_v4((struct in_addr){htonl(0x0b000000 + (c >> 6))});
		req.remote_len = (uint8_t)(126 + (c >> 3 & 7) % 3);
	}
	memset(req.nonce, e >> 5 & 1, sizeof(req.nonce));
	req.description[0] = e & 64 ? 'x' : '\0';
	req.lifetime = feed_u16(f) * (e & 128 ? 300U : 1U);
	req.index = c;
	*lan = (req.by == LEASE_BY_ADMIN || req.by == LEASE_BY_STATIC) && !(d & 128) ? -1
										     : 0;
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
	if (req->flags & LEASE_EXACT)
		must(reply->ext_port == req->ext_port);
	if (req->by == LEASE_BY_NATPMP)
		must(reply->lifetime <= (req->lifetime ? req->lifetime : 1));
}

static void ask(struct feed *f)
{
	struct lease_reply reply;
	struct lease_request req;
	int lan, err;

	req = read_request(f, &lan);
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

static void due(uint8_t max)
{
	size_t n;

	if (n_groups > GROUPS_MAX / 2)
		settle_all();
	n = registry_due(book, now_ms, 1 + max % 3, &out);
	must(n == out.n);
	take_steps();
}

/* A lease that is found at start. */
static void adopt(struct feed *f)
{
	uint8_t a = feed_u8(f), b = feed_u8(f), c = feed_u8(f);
	struct lease l = {.protocol = a & 1 ? IPPROTO_TCP : IPPROTO_UDP,
			  .internal = host(a >> 1 & 3),
			  .ext_port = (uint16_t)(7000 + (a >> 3 & 15)),
			  .int_port = (uint16_t)(7000 + (b & 7)),
			  .twin = b & 8,
			  .enabled = b & 16,
			  .origin = (c & 7) % LEASE_BY_END,
			  .claims = c >> 1};

	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (l.claims >> by & 1)
			l.until_ms[by] = now_ms + feed_u16(f);
	l.kernel_ms = now_ms + 30000;
	l.created_ms = now_ms;
	settle_all();
	if (registry_adopt(book, &l, now_ms) != LEASE_OK)
		return;
	/* What became of it, and of the twin of another one, only the book tells. */
	for (size_t i = 0; i < LEASES_MAX; i++) {
		const struct lease *is = &entries[i].lease;

		if (!entries[i].used)
			continue;
		is = registry_find(book, is->protocol, is->ext_port, &is->remote,
				   is->remote_len);
		must(is);
		entries[i].lease = *is;
	}
	must(!find(&l) && registry_find(book, l.protocol, l.ext_port, &l.remote, 0));
	add(registry_find(book, l.protocol, l.ext_port, &l.remote, 0));
}

static void set_up(uint8_t bits)
{
	memset(entries, 0, sizeof(entries));
	n_groups = 0;
	now_ms = 5000000;
	memset(&policy, 0, sizeof(policy));
	policy.max_leases = bits & 1 ? 10 : 131072;
	policy.per_host = PER_HOST;
	policy.requests_per_second = bits & 2 ? 4 : 1000000;
	policy.pcp_min_s = 120;
	policy.pcp_max_s = 86400;
	policy.seed = 42;
	policy.lan[0] = (struct lease_lan){.used = true, .n_nets = 1, .n_own = 1};
	policy.lan[0].nets[0] = (struct prefix){host(0), 120};
	policy.lan[0].own[0] = addr_from_v4((struct in_addr){htonl(0xc0a80101)});
	portset_add(&policy.reserved_udp, 7003, 7004);
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
		must(!entries[i].used || entries[i].lease.claims & (1 << LEASE_BY_STATIC |
								    1 << LEASE_BY_ADMIN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	uint8_t bits = feed_u8(&f);

	set_up(bits);
	for (int i = 0; f.left && i < OPERATIONS_MAX; i++) {
		uint8_t op = feed_u8(&f);

		if (op >= 64)
			ask(&f);
		else if (op >= 48)
			due(op);
		else if (op >= 40)
			adopt(&f);
		else if (op >= 24)
			now_ms += feed_u16(&f) * 100ULL;
		else if (n_groups)
			settle(op / 2 % n_groups, op & 1);
		if (i % CHECK_EACH == 0)
			check_book();
	}
	check_book();
	if (bits & 4)
		check_each();
	run_out();
	check_book();
	registry_free(book);
	lease_changes_free(&out);
	return 0;
}
