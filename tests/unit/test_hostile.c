/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plays a worker that was taken over against the core's side: its channel, the policy and
 * the book of leases are the real ones, the kernel is not.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "daemon/ledger.h"
#include "daemon/workers.h"
#include "tests/unit/fake_firewall.h"

struct message_head {
	uint16_t kind;
	uint16_t count;
	uint32_t zero;
};

struct stage {
	struct event_base *base;
	struct workers *workers;
	struct ledger *ledger;
	struct lease_policy policy;
	int parent;              /* what the parent would read */
	int worker;              /* the hostile one's end, of LAN 0 */
	int igd;                 /* another one's, which speaks for UPnP */
	struct lease_reply last; /* that the ledger gave */
};

static int stage_setup_worker(void *arg, enum role role, uint16_t lan,
			      struct record_setup *setup, int fds[CHANNEL_FDS],
			      size_t *n_fds)
{
	(void)arg;
	(void)role;
	(void)fds;
	setup->lan = lan;
	*n_fds = 0;
	return 0;
}

static void stage_state(void *arg, struct record_state *state)
{
	(void)arg;
	state->epoch_ms = 1;
}

static void stage_request(void *arg, worker_id from, uint16_t lan,
			  const struct lease_request *req)
{
	struct stage *s = arg;

	ledger_ask(s->ledger, from, lan, req);
}

static void stage_nothing(void *arg)
{
	(void)arg;
}

static void stage_answer(void *arg, uint64_t to, const struct lease_reply *reply)
{
	struct stage *s = arg;

	s->last = *reply;
	workers_answer(s->workers, (worker_id)to, reply);
}

static void stage_answered(void *arg)
{
	struct stage *s = arg;

	workers_flush(s->workers);
}

static bool stage_row(void *arg, const struct lease *l)
{
	struct record_row **row = arg;

	**row = (struct record_row){.protocol = l->protocol, .ext_port = l->ext_port};
	++*row;
	return true;
}

static size_t stage_list(void *arg, uint16_t lan, uint32_t *place,
			 struct record_row *rows, size_t max)
{
	struct stage *s = arg;
	struct record_row *end = rows;

	assert_int_equal(lan, 0);
	*place = registry_walk(ledger_book(s->ledger), *place, max, stage_row, &end);
	return (size_t)(end - rows);
}

static const struct workers_ops workers_ops = {stage_setup_worker, stage_state,
					       stage_request, stage_nothing, stage_list};
static void stage_settled(void *arg, const struct lease_change *step)
{
	(void)arg;
	(void)step;
}

static bool stage_gone(void *arg)
{
	(void)arg;
	return false;
}

static void stage_refused(void *arg, const struct lease_request *req,
			  enum lease_reason reason)
{
	(void)arg;
	(void)req;
	(void)reason;
}

static const struct ledger_ops ledger_ops = {stage_answer,  stage_answered, stage_nothing,
					     stage_settled, stage_refused,  stage_gone};

static struct in6_addr v4(const char *text)
{
	struct in6_addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void policy_lan(struct lease_policy *p, int i, const char *net, const char *net6,
		       const char *own)
{
	struct lease_lan *lan = &p->lan[i];

	lan->used = true;
	lan->n_nets = 2;
	assert_int_equal(prefix_parse(net, &lan->nets[0]), 0);
	assert_int_equal(prefix_parse(net6, &lan->nets[1]), 0);
	lan->n_own = 1;
	lan->own[0] = v4(own);
}

static enum lease_reason in_use(void *arg, uint8_t protocol, uint16_t port)
{
	(void)arg;
	if (protocol == IPPROTO_TCP && port == 8443)
		return LEASE_ROUTER;
	return protocol == IPPROTO_TCP && port == 8444 ? LEASE_STATIC : LEASE_OK;
}

static void turn(struct stage *s)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(s->base, EVLOOP_NONBLOCK);
}

/* Reads and drops what the core said so far. */
static void drain(int fd)
{
	uint8_t buf[16384];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static int stage_up(void **state)
{
	struct stage *s = test_calloc(1, sizeof(*s));
	struct in6_addr wan = v4("11.0.0.1");
	int parent[2], pair[2], igd[2];

	s->policy = (struct lease_policy){
		.max_leases = 1000,
		.per_host = 4,
		.requests_per_second = 100000,
		.pcp_min_s = 120,
		.pcp_max_s = 86400,
		.in_use = in_use,
		.seed = 7,
	};
	portset_add(&s->policy.reserved_udp, 5351, 5351);
	policy_lan(&s->policy, 0, "192.168.77.0/24", "2001:db8:77::/64", "192.168.77.1");
	policy_lan(&s->policy, 1, "192.168.78.0/24", "2001:db8:78::/64", "192.168.78.1");
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, parent), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, igd), 0);
	s->base = event_base_new();
	assert_int_equal(event_base_priority_init(s->base, 3), 0);
	s->parent = parent[1];
	s->worker = pair[1];
	s->igd = igd[1];
	s->workers = workers_new(s->base, parent[0], &workers_ops, s);
	s->ledger = ledger_new(s->base, &s->policy, NULL, &ledger_ops, s);
	assert_non_null(s->ledger);
	ledger_set_wan(s->ledger, &wan);
	fake_firewall_refuses = 0;
	workers_want(s->workers, ROLE_PCP, 0, true);
	workers_want(s->workers, ROLE_IGD, 0, true);
	workers_started(s->workers, ROLE_PCP, 0, 4711, pair[0]);
	workers_started(s->workers, ROLE_IGD, 0, 4712, igd[0]);
	turn(s);
	drain(s->worker);
	drain(s->igd);
	drain(s->parent);
	*state = s;
	return 0;
}

static int stage_down(void **state)
{
	struct stage *s = *state;

	workers_free(s->workers);
	ledger_free(s->ledger);
	event_base_free(s->base);
	close(s->parent);
	close(s->worker);
	close(s->igd);
	test_free(s);
	return 0;
}

static struct lease_request map(const char *client, uint16_t port)
{
	return (struct lease_request){
		.tag = port,
		.op = LEASE_OP_MAP,
		.by = LEASE_BY_PCP,
		.protocol = IPPROTO_UDP,
		.int_port = port,
		.ext_port = port,
		.lifetime = 600,
		.client = v4(client),
		.internal = v4(client),
	};
}

static void send_to(int fd, uint16_t kind, uint16_t count, const void *body, size_t len)
{
	struct message_head head = {.kind = kind, .count = count};
	struct iovec iov[2] = {{&head, sizeof(head)}, {NULL, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	memcpy(&iov[1].iov_base, &body, sizeof(body));
	assert_int_equal(sendmsg(fd, &msg, 0), sizeof(head) + len);
}

static void send_raw(struct stage *s, uint16_t kind, uint16_t count, const void *body,
		     size_t len)
{
	send_to(s->worker, kind, count, body, len);
}

/* One request and its answer; reason LEASE_REASON_END: none came. */
static struct lease_reply ask_as(struct stage *s, int fd, const struct lease_request *req)
{
	struct {
		struct message_head head;
		struct lease_reply reply;
	} got = {.reply = {.reason = LEASE_REASON_END}};

	send_to(fd, RECORD_REQUEST, 1, req, sizeof(*req));
	turn(s);
	if (recv(fd, &got, sizeof(got), MSG_DONTWAIT) == (ssize_t)sizeof(got))
		assert_int_equal(got.head.kind, RECORD_REPLY);
	return got.reply;
}

static struct lease_reply ask(struct stage *s, const struct lease_request *req)
{
	return ask_as(s, s->worker, req);
}

/* By UPnP: from the worker that may say so, whatever the request says else. */
static struct lease_reply ask_upnp(struct stage *s, enum lease_op op, const char *client,
				   uint32_t number)
{
	struct lease_request req = {
		.op = (uint8_t)op,
		.by = LEASE_BY_UPNP,
		.protocol = IPPROTO_UDP,
		.last_port = 65535,
		.lifetime = 600,
		.index = number,
		.client = v4(client),
		.internal = v4(client),
	};

	return ask_as(s, s->igd, &req);
}

/* A lease of a host that the hostile worker has nothing to say about. */
static void other_maps(struct stage *s, int lan, const char *host, uint16_t port)
{
	struct lease_request req = map(host, port);
	size_t before = registry_count(ledger_book(s->ledger));

	req.by = LEASE_BY_UPNP;
	req.flags = LEASE_EXACT;
	ledger_ask(s->ledger, 0, lan, &req);
	turn(s);
	assert_int_equal(registry_count(ledger_book(s->ledger)), before + 1);
}

static enum lease_reason reason_of(struct stage *s, const struct lease_request *req)
{
	return (enum lease_reason)ask(s, req).reason;
}

/* Did the core have the worker replaced? */
static void assert_dropped(struct stage *s)
{
	struct role_record r = {0};
	uint8_t byte;
	int fd;

	turn(s);
	assert_int_equal(role_receive(s->parent, &r, &fd), 1);
	assert_int_equal(r.op, ROLE_OP_KILL);
	assert_int_equal(r.pid, 4711); /* and not the one that may be there by now */
	drain(s->worker);
	assert_int_equal(recv(s->worker, &byte, 1, MSG_DONTWAIT), 0);
}

/* The parent has started another one before the core hears of the end. */
static void has_nobody_replaced_by_its_own_end(void **state)
{
	struct stage *s = *state;
	struct role_record r = {0};
	int fd;

	assert_int_equal(shutdown(s->worker, SHUT_RDWR), 0);
	workers_send_state(s->workers);
	turn(s);
	assert_int_equal(role_receive(s->parent, &r, &fd), 0);
}

static void asks_for_its_own_lan_and_is_served(void **state)
{
	struct lease_request req = map("192.168.77.20", 3074);
	struct lease_reply reply = ask(*state, &req);

	assert_int_equal(reply.reason, LEASE_OK);
	assert_int_equal(reply.ext_port, 3074);
	assert_int_equal(reply.tag, 3074);
}

static void speaks_for_no_host_of_another_lan(void **state)
{
	struct lease_request req = map("192.168.78.40", 3074);

	assert_int_equal(reason_of(*state, &req), LEASE_NOT_LAN);
	req = map("11.0.0.2", 3074);
	assert_int_equal(reason_of(*state, &req), LEASE_NOT_LAN);
	req = map("192.168.77.1", 3074); /* the router itself */
	assert_int_equal(reason_of(*state, &req), LEASE_NOT_LAN);
}

static void opens_no_port_towards_another_host(void **state)
{
	struct lease_request req = map("192.168.77.20", 3074);

	req.internal = v4("192.168.77.30");
	assert_int_equal(reason_of(*state, &req), LEASE_THIRD_PARTY);
	req.internal = v4("192.168.78.40");
	assert_int_not_equal(reason_of(*state, &req), LEASE_OK);
}

static void gets_no_reserved_port(void **state)
{
	struct lease_request req = map("192.168.77.20", 7000);
	struct lease_reply reply;

	req.ext_port = 5351;
	req.flags = LEASE_EXACT;
	assert_int_equal(reason_of(*state, &req), LEASE_RESERVED);
	req.flags = 0;
	reply = ask(*state, &req);
	assert_int_equal(reply.reason, LEASE_OK);
	assert_int_not_equal(reply.ext_port, 5351);
}

static void gets_no_port_of_the_router_or_of_a_static_forward(void **state)
{
	struct lease_request req = map("192.168.77.20", 8443);

	req.protocol = IPPROTO_TCP;
	req.flags = LEASE_EXACT;
	assert_int_equal(reason_of(*state, &req), LEASE_ROUTER);
	req.ext_port = req.int_port = 8444;
	assert_int_equal(reason_of(*state, &req), LEASE_STATIC);
}

static void goes_not_over_a_hosts_quota(void **state)
{
	struct lease_request req;

	for (uint16_t port = 4100; port < 4104; port++) {
		req = map("192.168.77.20", port);
		assert_int_equal(reason_of(*state, &req), LEASE_OK);
	}
	req = map("192.168.77.20", 4104);
	assert_int_equal(reason_of(*state, &req), LEASE_QUOTA_HOST);
}

static void takes_and_ends_no_lease_of_another_host(void **state)
{
	struct lease_request req = map("192.168.77.20", 3074);

	assert_int_equal(reason_of(*state, &req), LEASE_OK);
	req = map("192.168.77.30", 3074);
	req.flags = LEASE_EXACT;
	assert_int_equal(reason_of(*state, &req), LEASE_TAKEN);
	req.flags = 0;
	req.op = LEASE_OP_UNMAP_PORT;
	assert_int_not_equal(reason_of(*state, &req), LEASE_OK);
	req.op = LEASE_OP_UNMAP;
	req.internal = v4("192.168.77.20");
	assert_int_not_equal(reason_of(*state, &req), LEASE_OK);
	req.internal = req.client;
	reason_of(*state, &req);
	req = map("192.168.77.20", 3074);
	req.op = LEASE_OP_GET_PORT;
	assert_int_equal(reason_of(*state, &req), LEASE_OK);
}

/* A range is the client's own, and the client one of that LAN. */
static void ends_and_reads_no_range_of_another_host(void **state)
{
	struct stage *s = *state;
	const struct registry *book = ledger_book(s->ledger);

	for (uint16_t port = 7100; port < 7103; port++) {
		other_maps(s, 0, "192.168.77.20", port);
		other_maps(s, 1, "192.168.78.40", (uint16_t)(port + 100));
	}
	for (int i = 0; i < 2; i++) {
		enum lease_op op = i ? LEASE_OP_GET_NEXT : LEASE_OP_UNMAP_RANGE;

		assert_int_equal(ask_upnp(s, op, "192.168.77.30", 0).reason,
				 LEASE_NOT_FOUND);
		assert_int_equal(ask_upnp(s, op, "192.168.78.40", 0).reason,
				 LEASE_NOT_LAN);
		assert_int_equal(ask_upnp(s, op, "0.0.0.0", 0).reason, LEASE_NOT_LAN);
		assert_int_equal(ask_upnp(s, op, "192.168.77.1", 0).reason,
				 LEASE_NOT_LAN);
	}
	assert_int_equal(registry_count(book), 6);
	assert_int_equal(ask_upnp(s, LEASE_OP_UNMAP_RANGE, "192.168.77.20", 0).reason,
			 LEASE_OK);
	assert_int_equal(registry_count(book), 3);
}

/* Numbers can be guessed; they are no key. */
static void touches_no_pinhole_of_another_host(void **state)
{
	static const enum lease_op ops[] = {LEASE_OP_PIN_RENEW, LEASE_OP_PIN_END,
					    LEASE_OP_PIN_GET};
	struct stage *s = *state;
	const struct registry *book = ledger_book(s->ledger);
	int owned = 0;

	other_maps(s, 0, "2001:db8:77::20", 7100);
	other_maps(s, 1, "2001:db8:78::40", 7100);
	/* The book gives them out one after the other, from its seed on. */
	for (uint32_t i = 0; i < 3 * 64; i++) {
		enum lease_op op = ops[i % 3];

		assert_int_not_equal(ask_upnp(s, op, "2001:db8:77::30", i / 3).reason,
				     LEASE_OK);
		assert_int_equal(ask_upnp(s, op, "2001:db8:78::40", i / 3).reason,
				 LEASE_NOT_LAN);
		owned += ask_upnp(s, LEASE_OP_PIN_GET, "2001:db8:77::20", i / 3).reason ==
			 LEASE_OK;
	}
	assert_int_equal(owned, 3); /* its own host's was among them */
	assert_int_equal(registry_count(book), 2);
}

static void speaks_for_no_protocol_but_its_own(void **state)
{
	struct lease_request req = map("192.168.77.20", 3074);

	req.by = LEASE_BY_UPNP;
	send_raw(*state, RECORD_REQUEST, 1, &req, sizeof(req));
	assert_dropped(*state);
}

static void claims_no_power_of_the_admin(void **state)
{
	struct lease_request req = map("192.168.77.20", 3074);

	req.by = LEASE_BY_ADMIN;
	send_raw(*state, RECORD_REQUEST, 1, &req, sizeof(req));
	assert_dropped(*state);
}

static void is_dropped_for_one_record_out_of_range(void **state)
{
	struct lease_request req = map("192.168.77.20", 3074);

	req.op = LEASE_OP_END;
	send_raw(*state, RECORD_REQUEST, 1, &req, sizeof(req));
	assert_dropped(*state);
}

static void is_dropped_for_text_without_an_end(void **state)
{
	struct lease_request req = map("192.168.77.20", 3074);

	memset(req.description, 'x', sizeof(req.description));
	send_raw(*state, RECORD_REQUEST, 1, &req, sizeof(req));
	assert_dropped(*state);
}

static void is_dropped_for_a_message_of_the_wrong_length(void **state)
{
	struct lease_request req = map("192.168.77.20", 3074);

	send_raw(*state, RECORD_REQUEST, 2, &req, sizeof(req));
	assert_dropped(*state);
}

static void is_dropped_for_a_message_that_only_the_core_sends(void **state)
{
	struct record_state forged = {.epoch_ms = 99};

	send_raw(*state, RECORD_STATE, 1, &forged, sizeof(forged)); /* the epoch, say */
	assert_dropped(*state);
}

/* The status page is the other worker's. */
static void is_dropped_for_a_list_that_is_not_its_business(void **state)
{
	struct record_list from = {0};

	send_raw(*state, RECORD_LIST, 1, &from, sizeof(from));
	assert_dropped(*state);
}

static void is_dropped_for_a_descriptor(void **state)
{
	struct stage *s = *state;
	struct role_record r = {0};
	int null = open("/dev/null", O_RDONLY);

	assert_int_equal(role_send(s->worker, &r, null), 0);
	close(null);
	assert_dropped(s);
}

/* The kernel's refusal costs the request alone, and the book forgets it. */
static void is_told_when_the_kernel_refuses(void **state)
{
	struct lease_request req = map("192.168.77.20", 3074);
	struct stage *s = *state;

	fake_firewall_refuses = 3074;
	assert_int_equal(reason_of(s, &req), LEASE_KERNEL);
	assert_int_equal(registry_count(ledger_book(s->ledger)), 0);
	fake_firewall_refuses = 0;
	assert_int_equal(reason_of(s, &req), LEASE_OK);
}

/* A hundred requests that wait together cost one transaction, not a hundred. */
static void many_requests_share_a_transaction(void **state)
{
	struct stage *s = *state;
	struct lease_request req[25];
	size_t before = fake_firewall_commits, steps = fake_firewall_steps;
	char host[20];

	for (int k = 0; k < 4; k++) {
		for (int i = 0; i < 25; i++) {
			snprintf(host, sizeof(host), "192.168.77.%d", 20 + i);
			req[i] = map(host, (uint16_t)(20000 + k * 25 + i));
		}
		send_raw(s, RECORD_REQUEST, 25, req, sizeof(req));
	}
	turn(s);
	assert_int_equal(fake_firewall_steps - steps, 100);
	assert_true(fake_firewall_commits - before <= 2);
}

/* Flooding, it waits for its next window; it is not dropped, and nothing is lost. */
static void waits_when_it_goes_over_its_rate(void **state)
{
	struct stage *s = *state;
	struct lease_request
		req[8]; /* so few, that a turn's answers fit any socket buffer */
	size_t sent = 0, answered = 0;
	uint8_t buf[16384];
	struct message_head head;
	uint64_t began_ms = clock_ms(), windows;
	ssize_t n;

	for (size_t i = 0; i < 8; i++)
		req[i] = map("192.168.77.20", 3074);
	for (int round = 0; round < 4000 && sent < 12000; round++) {
		struct message_head h = {RECORD_REQUEST, 8, 0};
		struct iovec iov[2] = {{&h, sizeof(h)}, {req, sizeof(req)}};
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

		if (sendmsg(s->worker, &msg, MSG_DONTWAIT) > 0)
			sent += 8;
		event_base_loop(s->base, EVLOOP_NONBLOCK);
		while ((n = recv(s->worker, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
			memcpy(&head, buf, sizeof(head));
			answered += head.kind == RECORD_REPLY ? head.count : 0;
		}
		assert_int_not_equal(n, 0);
	}
	/* 10,000 for each window of 100 ms, and what was being read at its end. */
	windows = (clock_ms() - began_ms) / 100 + 1;
	assert_true(answered < windows * 10400);
	for (int i = 0; i < 400 && answered < sent; i++) {
		event_base_loop(s->base, EVLOOP_ONCE);
		turn(s);
		while ((n = recv(s->worker, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
			memcpy(&head, buf, sizeof(head));
			answered += head.kind == RECORD_REPLY ? head.count : 0;
		}
		assert_int_not_equal(n, 0);
	}
	assert_int_equal(answered, sent);
}

/* C41: what is granted is told so, also when the WAN goes in the same turn. */
static void the_wan_goes_while_a_request_waits(void **state)
{
	struct stage *s = *state;
	struct lease_request req = map("192.168.77.20", 7100);
	struct in6_addr none = IN6ADDR_ANY_INIT;

	ledger_ask(s->ledger, 0, 0, &req);
	ledger_set_wan(s->ledger, &none);
	assert_int_equal(s->last.tag, 7100);
	assert_int_equal(s->last.reason, LEASE_OK);
	assert_false(addr_is_none(&s->last.external));
	assert_int_equal(registry_count(ledger_book(s->ledger)), 1);
	req = map("192.168.77.20", 7101);
	ledger_ask(s->ledger, 0, 0, &req);
	turn(s);
	assert_int_equal(s->last.reason, LEASE_NO_WAN);
	assert_int_equal(registry_count(ledger_book(s->ledger)), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, stage_up, stage_down)
	const struct CMUnitTest tests[] = {
		TEST(asks_for_its_own_lan_and_is_served),
		TEST(has_nobody_replaced_by_its_own_end),
		TEST(the_wan_goes_while_a_request_waits),
		TEST(speaks_for_no_host_of_another_lan),
		TEST(opens_no_port_towards_another_host),
		TEST(gets_no_reserved_port),
		TEST(gets_no_port_of_the_router_or_of_a_static_forward),
		TEST(goes_not_over_a_hosts_quota),
		TEST(takes_and_ends_no_lease_of_another_host),
		TEST(ends_and_reads_no_range_of_another_host),
		TEST(touches_no_pinhole_of_another_host),
		TEST(speaks_for_no_protocol_but_its_own),
		TEST(claims_no_power_of_the_admin),
		TEST(is_dropped_for_one_record_out_of_range),
		TEST(is_dropped_for_text_without_an_end),
		TEST(is_dropped_for_a_message_of_the_wrong_length),
		TEST(is_dropped_for_a_message_that_only_the_core_sends),
		TEST(is_dropped_for_a_list_that_is_not_its_business),
		TEST(is_dropped_for_a_descriptor),
		TEST(is_told_when_the_kernel_refuses),
		TEST(many_requests_share_a_transaction),
		TEST(waits_when_it_goes_over_its_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
