/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes by each lease (issue 7, row 1): whose a connection is, and how often it is looked. The
 * kernel's table is a list here, read two at a time. */
#include "registry_rig.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/check.h"
#include "daemon/ledger.h"
#include "daemon/traffic.h"
#include "firewall/sweep.h"

struct fixture {
	struct rig *rig;
	struct event_base *base;
	struct traffic *traffic;
	struct conntrack_flow flow[16];
	size_t n;
	size_t done; /* answers */
};

static struct {
	struct fixture *f;
	size_t pos;
	int fd;
	int opened;
	int err; /* of opening */
	int read_err;
} fake;

int __wrap_sweep_open(struct sweep **out);
void __wrap_sweep_close(struct sweep *s);
int __wrap_sweep_fd(const struct sweep *s);
int __wrap_sweep_read(struct sweep *s,
		      void (*each)(void *arg, const struct conntrack_flow *f), void *arg);
const struct registry *__wrap_ledger_book(const struct ledger *l);

int __wrap_sweep_open(struct sweep **out)
{
	fake.opened++;
	if (fake.err)
		return fake.err;
	fake.pos = 0;
	fake.fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	*out = (struct sweep *)&fake;
	return 0;
}

void __wrap_sweep_close(struct sweep *s)
{
	if (s)
		close(fake.fd);
}

int __wrap_sweep_fd(const struct sweep *s)
{
	(void)s;
	return fake.fd;
}

int __wrap_sweep_read(struct sweep *s,
		      void (*each)(void *arg, const struct conntrack_flow *f), void *arg)
{
	(void)s;
	if (fake.read_err)
		return fake.read_err;
	for (int i = 0; i < 2 && fake.pos < fake.f->n; i++)
		each(arg, &fake.f->flow[fake.pos++]);
	return fake.pos < fake.f->n;
}

const struct registry *__wrap_ledger_book(const struct ledger *l)
{
	(void)l;
	return fake.f->rig->book;
}

static struct in6_addr addr(const char *text)
{
	struct in6_addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

/* From a remote to an external port, that leads to a host. */
static struct conntrack_flow *in(struct fixture *f, const char *remote, uint16_t sport,
				 const char *wan, uint16_t ext_port, const char *host,
				 uint16_t int_port)
{
	struct conntrack_flow *c = &f->flow[f->n++];

	*c = (struct conntrack_flow){
		.flow = {.protocol = IPPROTO_UDP,
			 .original = {addr(remote), addr(wan), sport, ext_port},
			 .reply = {addr(host), addr(remote), int_port, sport}},
		.inbound = true,
		.counted = true,
		.packets = 3,
		.in_bytes = 100,
		.out_bytes = 10,
		.assured = true,
		.left_s = 100};
	return c;
}

/* From a host to a remote, which sees it at an external port. */
static struct conntrack_flow *out(struct fixture *f, const char *host, uint16_t int_port,
				  const char *wan, uint16_t ext_port, const char *remote,
				  uint16_t sport)
{
	struct conntrack_flow *c = in(f, host, int_port, remote, sport, remote, sport);

	c->flow.reply.dst = addr(wan);
	c->flow.reply.dport = ext_port;
	return c;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *rig;

	if (!f || rig_up(&rig))
		return -1;
	f->rig = rig;
	f->base = event_base_new();
	f->traffic = traffic_new(f->base, NULL, &f->rig->policy);
	traffic_set_wan(f->traffic, &(struct in6_addr){0});
	memset(&fake, 0, sizeof(fake));
	fake.f = f;
	*state = f;
	return f->traffic ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *rig = f->rig;

	traffic_free(f->traffic);
	event_base_free(f->base);
	rig_down(&rig);
	free(f);
	return 0;
}

static void count_done(void *arg)
{
	((struct fixture *)arg)->done++;
}

static void look(struct fixture *f)
{
	struct in6_addr wan = addr("11.0.0.1");
	size_t before = f->done;

	traffic_set_wan(f->traffic, &wan);
	traffic_look(f->traffic, count_done, f);
	for (int i = 0; i < 100 && f->done == before; i++)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->done, before + 1);
}

static struct traffic_sum sum_of(struct fixture *f, const struct lease *l)
{
	struct traffic_sum sum;

	assert_non_null(l);
	assert_true(traffic_of(f->traffic, l, &sum));
	return sum;
}

static void connections_go_by_the_lease_that_leads_there(void **state)
{
	struct fixture *f = *state;
	struct traffic_sum sum;

	assert_int_equal(ask(f->rig, pcp(20, 4000, 5000)), LEASE_OK);
	assert_int_equal(ask(f->rig, pcp(21, 4000, 5001)), LEASE_OK);
	assert_int_equal(ask(f->rig, pin(20, 4000)), LEASE_OK);
	in(f, "8.8.8.8", 9, "11.0.0.1", 5000, "192.168.1.20", 4000);
	out(f, "192.168.1.20", 4000, "11.0.0.1", 5000, "9.9.9.9", 53);
	/* Not by it: another address, another inside end, another port outside, TCP. */
	in(f, "8.8.8.8", 9, "11.0.0.7", 5000, "192.168.1.20", 4000);
	in(f, "8.8.8.8", 9, "11.0.0.1", 5000, "192.168.1.20", 4001);
	in(f, "8.8.8.8", 9, "11.0.0.1", 5000, "192.168.1.30", 4000);
	out(f, "192.168.1.20", 4000, "11.0.0.1", 5009, "9.9.9.9", 53);
	in(f, "8.8.8.8", 9, "11.0.0.1", 5000, "192.168.1.20", 4000)->flow.protocol =
		IPPROTO_TCP;
	in(f, "2001:db8:9::9", 9, "2001:db8:1::14", 4000, "2001:db8:1::14", 4000);
	out(f, "2001:db8:1::14", 4000, "2001:db8:1::14", 4000, "2001:db8:9::9", 7);
	look(f);
	sum = sum_of(f, at(f->rig, 5000));
	assert_int_equal(sum.connections, 2);
	assert_int_equal(sum.counted, 2);
	assert_int_equal(sum.packets, 6);
	assert_int_equal(sum.in_bytes, 100 + 10);
	assert_int_equal(sum.out_bytes, 10 + 100);
	assert_int_equal(sum_of(f, pinhole(f->rig, 20, 4000)).connections, 2);
	sum = sum_of(f, at(f->rig, 5001));
	assert_int_equal(sum.connections, 0);
	assert_int_equal(sum.idle_s, -1);
}

static void who_may_come_in_decides_between_two_leases(void **state)
{
	struct lease_request req = upnp(20, 4000, 5000);
	struct in6_addr any = IN6ADDR_ANY_INIT;
	struct fixture *f = *state;
	const struct lease *l;

	assert_int_equal(ask(f->rig, req), LEASE_OK);
	req.remote = addr("8.8.8.8");
	req.remote_len = 128;
	assert_int_equal(ask(f->rig, req), LEASE_OK);
	in(f, "8.8.8.8", 9, "11.0.0.1", 5000, "192.168.1.20", 4000);
	in(f, "9.9.9.9", 9, "11.0.0.1", 5000, "192.168.1.20", 4000);
	in(f, "9.9.9.9", 8, "11.0.0.1", 5000, "192.168.1.20", 4000);
	look(f);
	l = registry_find(f->rig->book, IPPROTO_UDP, 5000, &req.remote, 128);
	assert_int_equal(sum_of(f, l).connections, 1);
	l = registry_find(f->rig->book, IPPROTO_UDP, 5000, &any, 0);
	assert_int_equal(sum_of(f, l).connections, 2);
}

static void a_range_of_forwards_is_one(void **state)
{
	static struct lease_forward forward[2] = {{.first = 27000,
						   .last = 27010,
						   .int_first = 27000,
						   .protocol = IPPROTO_UDP},
						  {.first = 80,
						   .last = 80,
						   .int_first = 8080,
						   .protocol = IPPROTO_UDP,
						   .n_from = 2}};
	struct fixture *f = *state;
	struct lease l;

	forward[0].internal = forward[1].internal = addr("192.168.1.30");
	prefix_parse("8.0.0.0/8", &forward[1].from[0]);
	prefix_parse("9.0.0.0/8", &forward[1].from[1]);
	f->rig->policy.forwards = forward;
	f->rig->policy.n_forwards = 2;
	portset_add(&f->rig->policy.forwarded_udp, 27000, 27010);
	portset_add(&f->rig->policy.forwarded_udp, 80, 80);
	in(f, "8.8.8.8", 9, "11.0.0.1", 27003, "192.168.1.30", 27003);
	in(f, "8.8.8.8", 9, "11.0.0.1", 27010, "192.168.1.30", 27010);
	in(f, "9.9.9.9", 9, "11.0.0.1", 80, "192.168.1.30", 8080);
	in(f, "7.7.7.7", 9, "11.0.0.1", 80, "192.168.1.30", 8080);
	look(f);
	forward_lease(&forward[0], 27000, 0, &l);
	assert_int_equal(sum_of(f, &l).connections, 2);
	forward_lease(&forward[1], 80, 0, &l);
	assert_int_equal(sum_of(f, &l).connections, 0);
	forward_lease(&forward[1], 80, 1, &l);
	assert_int_equal(sum_of(f, &l).connections, 1);
}

static void what_could_not_be_read_is_not_known(void **state)
{
	struct fixture *f = *state;
	struct traffic_sum sum;

	assert_int_equal(ask(f->rig, pcp(20, 4000, 5000)), LEASE_OK);
	in(f, "8.8.8.8", 9, "11.0.0.1", 5000, "192.168.1.20", 4000)->counted = false;
	assert_false(traffic_of(f->traffic, at(f->rig, 5000), &sum));
	look(f);
	sum = sum_of(f, at(f->rig, 5000));
	assert_int_equal(sum.connections, 1);
	assert_int_equal(sum.counted, 0);
	fake.read_err = -ENOBUFS;
	look(f);
	assert_false(traffic_of(f->traffic, at(f->rig, 5000), &sum));
	fake.read_err = 0;
	fake.err = -EPERM;
	look(f); /* answered at once */
	assert_false(traffic_of(f->traffic, at(f->rig, 5000), &sum));
	fake.err = 0;
	look(f);
	assert_int_equal(sum_of(f, at(f->rig, 5000)).connections, 1);
}

/* Those who ask while a look is under way share it; who asks too often gets the last one. */
static void looks_are_shared_and_paced(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 5; i++)
		in(f, "8.8.8.8", 9, "11.0.0.1", 5000, "192.168.1.20", 4000);
	for (int i = 0; i < 20; i++)
		traffic_look(f->traffic, count_done, f);
	assert_int_equal(fake.opened, 1);
	assert_int_equal(f->done, 4); /* there is room for 16 to wait */
	for (int i = 0; i < 100 && f->done < 20; i++)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->done, 20);
	for (int i = 0; i < 100; i++)
		look(f);
	assert_in_range(fake.opened, 16, 99);
}

static void the_last_use_is_told_where_the_timeouts_tell_it(void **state)
{
	const struct check_settings s = {
		.udp_s = 30, .udp_stream_s = 120, .tcp_established_s = 7440};
	struct conntrack_flow f = {.flow = {.protocol = IPPROTO_UDP}, .left_s = 20};
	struct traffic_sum sum = TRAFFIC_NONE;

	(void)state;
	assert_int_equal(traffic_idle(&s, &f), 10);
	f.assured = true;
	assert_int_equal(traffic_idle(&s, &f), 100);
	f.left_s = 121;
	assert_int_equal(traffic_idle(&s, &f), -1); /* somebody has other timeouts */
	f.flow.protocol = IPPROTO_TCP;
	assert_int_equal(traffic_idle(&s, &f), -1);
	f.established = true;
	assert_int_equal(traffic_idle(&s, &f), 7440 - 121);
	f.offloaded = true;
	assert_int_equal(traffic_idle(&s, &f), -1);
	f.offloaded = false;
	for (int64_t idle = -1; idle < 30; idle += 10) {
		f.idle_s = idle < 0 ? -1 : 40 - idle;
		traffic_add(&sum, &f);
	}
	assert_int_equal(sum.idle_s, 40 - 29);
	assert_int_equal(sum.connections, 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(connections_go_by_the_lease_that_leads_there),
		TEST(who_may_come_in_decides_between_two_leases),
		TEST(a_range_of_forwards_is_one),
		TEST(what_could_not_be_read_is_not_known),
		TEST(looks_are_shared_and_paced),
		cmocka_unit_test(the_last_use_is_told_where_the_timeouts_tell_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
