/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The trigger worker's two halves: what the packet log says, and the count of remotes. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>

#include "trigger/count.h"
#include "trigger/packet.h"

#define WINDOW_MS 1000

static struct in_addr remote(uint32_t n)
{
	return (struct in_addr){.s_addr = htonl(0x0c000000 + n)};
}

static int begin(void **state)
{
	*state = count_new(WINDOW_MS);
	return *state ? 0 : -1;
}

static int end(void **state)
{
	count_free(*state);
	return 0;
}

/* ---- Counting ---- */

static void remotes_are_counted_once_whatever_their_port(void **state)
{
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(1), 0), 1);
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(1), 1), 1);
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(2), 2), 2);
	assert_int_equal(count_ports(*state), 1);
}

static void each_port_and_protocol_counts_by_itself(void **state)
{
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(1), 0), 1);
	assert_int_equal(count_add(*state, IPPROTO_TCP, 3074, remote(2), 0), 1);
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3075, remote(3), 0), 1);
	assert_int_equal(count_add(*state, IPPROTO_UDP, 0xffff, remote(3), 0), 1);
	assert_int_equal(count_ports(*state), 4);
}

static void it_says_which_remotes_there_were(void **state)
{
	struct in_addr to[COUNT_REMOTES];

	assert_int_equal(count_remotes(*state, IPPROTO_UDP, 3074, to), 0);
	count_add(*state, IPPROTO_UDP, 3074, remote(1), 0);
	count_add(*state, IPPROTO_UDP, 3074, remote(2), WINDOW_MS);
	assert_int_equal(count_remotes(*state, IPPROTO_UDP, 3074, to), 2);
	assert_int_equal(to[0].s_addr, remote(1).s_addr);
	assert_int_equal(to[1].s_addr, remote(2).s_addr);
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(3), WINDOW_MS + 1),
			 2);
	assert_int_equal(count_remotes(*state, IPPROTO_UDP, 3074, to), 2);
	assert_int_equal(to[0].s_addr, remote(2).s_addr);
	count_forget(*state, IPPROTO_UDP, 3074);
	assert_int_equal(count_remotes(*state, IPPROTO_UDP, 3074, to), 0);
}

static void a_remote_counts_for_as_long_as_the_window(void **state)
{
	count_add(*state, IPPROTO_UDP, 3074, remote(1), 0);
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(2), WINDOW_MS), 2);
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(3), WINDOW_MS + 1),
			 2);
	/* One that is heard of again stays. */
	count_add(*state, IPPROTO_UDP, 3074, remote(2), 2 * WINDOW_MS);
	assert_int_equal(
		count_add(*state, IPPROTO_UDP, 3074, remote(4), 2 * WINDOW_MS + 2), 2);
}

static void of_many_remotes_the_latest_are_remembered(void **state)
{
	for (uint32_t i = 1; i <= COUNT_REMOTES; i++)
		assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(i), i), i);
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(100), 100),
			 COUNT_REMOTES);
	/* The first went: it is new again, and the second goes. */
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(1), 101),
			 COUNT_REMOTES);
	/* From the time at which all but three are too old. */
	assert_int_equal(
		count_add(*state, IPPROTO_UDP, 3074, remote(100), WINDOW_MS + 99), 2);
}

static void what_is_forgotten_begins_anew(void **state)
{
	count_add(*state, IPPROTO_UDP, 3074, remote(1), 0);
	count_forget(*state, IPPROTO_UDP, 3074);
	count_forget(*state, IPPROTO_UDP, 3074);
	assert_int_equal(count_ports(*state), 0);
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(2), 0), 1);
}

/* A host that scans from every port pushes out its own oldest ones, and no more than there is
 * room for; a port that is heard of now and then stays. */
static void memory_is_bounded_and_the_silent_go_first(void **state)
{
	size_t n = 0;

	count_add(*state, IPPROTO_UDP, 3074, remote(1), 0);
	for (uint32_t i = 0; i < 2 * 65536; i++) {
		uint8_t protocol = i < 65536 ? IPPROTO_TCP : IPPROTO_UDP;

		if (protocol == IPPROTO_UDP && (uint16_t)i == 3074)
			continue;
		count_add(*state, protocol, (uint16_t)i, remote(i), 1);
		if (i % 8192 == 0)
			count_add(*state, IPPROTO_UDP, 3074, remote(1), 1);
		n = count_ports(*state);
		assert_true(n <= COUNT_PORTS);
	}
	assert_int_equal(n, COUNT_PORTS);
	assert_int_equal(count_add(*state, IPPROTO_UDP, 3074, remote(2), 2), 2);
	assert_int_equal(count_add(*state, IPPROTO_TCP, 1, remote(2), 2), 1);
}

static void ports_that_were_silent_for_a_window_are_given_back(void **state)
{
	for (uint16_t p = 1024; p < 1124; p++)
		count_add(*state, IPPROTO_UDP, p, remote(1), 0);
	for (uint16_t p = 2024; p < 2124; p++)
		count_add(*state, IPPROTO_UDP, p, remote(1), WINDOW_MS + 1);
	assert_int_equal(count_ports(*state), 100);
}

/* ---- What the core and the worker tell each other ---- */

static void records_out_of_range_are_refused(void **state)
{
	struct trigger_event e = {.what = TRIGGER_COUNTED,
				  .protocol = IPPROTO_UDP,
				  .ext_port = 3074,
				  .remote_port = 10025};
	struct trigger_setup s = {
		.window_ms = 1,
		.udp_remotes = 2,
		.tcp_remotes = COUNT_REMOTES,
		.n_instant = 1,
		.instant = {{.protocol = IPPROTO_UDP, .first = 3478, .last = 3479}}};

	(void)state;
	assert_true(trigger_event_valid(&e));
	e.what = TRIGGER_WHAT_END;
	assert_false(trigger_event_valid(&e));
	e.what = TRIGGER_WATCHED;
	e.protocol = IPPROTO_ICMP;
	assert_false(trigger_event_valid(&e));
	e.protocol = IPPROTO_TCP;
	e.ext_port = 0;
	assert_false(trigger_event_valid(&e));
	e.ext_port = 3074;
	e.remote_port = 0;
	assert_false(trigger_event_valid(&e));
	e.remote_port = 5000;
	assert_true(trigger_event_valid(&e));
	e.n_told = 1; /* of one remote missing only */
	assert_false(trigger_event_valid(&e));
	e.what = TRIGGER_ALMOST;
	assert_true(trigger_event_valid(&e));
	e.n_told = 0;
	assert_false(trigger_event_valid(&e));
	e.n_told = TRIGGER_REMOTES_MAX + 1;
	assert_false(trigger_event_valid(&e));

	assert_true(trigger_setup_valid(&s));
	s.udp_remotes = COUNT_REMOTES + 1;
	assert_false(trigger_setup_valid(&s));
	s.udp_remotes = 0;
	assert_false(trigger_setup_valid(&s));
	s.udp_remotes = 1;
	s.n_instant = TRIGGER_INSTANT_MAX + 1;
	assert_false(trigger_setup_valid(&s));
	s.n_instant = 1;
	s.instant[0].first = 3480;
	assert_false(trigger_setup_valid(&s));
	s.instant[0].first = 0;
	assert_true(trigger_setup_valid(&s));
	s.udp_silent = s.tcp_silent = 1;
	assert_true(trigger_setup_valid(&s));
	s.tcp_silent = 2;
	assert_false(trigger_setup_valid(&s));
}

/* ---- The packet log ---- */

struct log {
	alignas(struct nlmsghdr) uint8_t buf[4096];
	size_t len;
	struct packet p[8];
	size_t n;
};

static void put(struct log *l, const void *data, size_t n)
{
	memcpy(l->buf + l->len, data, n);
	l->len += n;
	while (l->len % 4)
		l->buf[l->len++] = 0;
}

/* A message with that payload, as the kernel writes it. */
static void put_message(struct log *l, uint16_t type, uint16_t group,
			const uint8_t *payload, size_t n)
{
	size_t at = l->len;
	struct nlmsghdr head = {.nlmsg_type = type};
	struct nfgenmsg nfg = {.nfgen_family = AF_INET, .res_id = htons(group)};
	struct nlattr hdr = {.nla_len = 8, .nla_type = NFULA_PACKET_HDR};
	struct nlattr data = {.nla_len = (uint16_t)(4 + n), .nla_type = NFULA_PAYLOAD};
	static const uint8_t packet_hdr[4] = {8, 0, NF_INET_POST_ROUTING, 0};

	put(l, &head, sizeof(head));
	put(l, &nfg, sizeof(nfg));
	put(l, &hdr, sizeof(hdr));
	put(l, packet_hdr, sizeof(packet_hdr));
	put(l, &data, sizeof(data));
	put(l, payload, n);
	head.nlmsg_len = (uint32_t)(l->len - at);
	memcpy(l->buf + at, &head, sizeof(head));
}

#define LOG_PACKET (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET)

/* 11.0.0.1:3074 to 12.0.0.2:10025. */
static const uint8_t udp[28] = {0x45, 0, 0,  36, 0, 0, 0,    0, 64,   17,   0, 0,  11, 0,
				0,    1, 12, 0,  0, 2, 0x0c, 2, 0x27, 0x29, 0, 16, 0,  0};

static void note(void *arg, const struct packet *p)
{
	struct log *l = arg;

	assert_true(l->n < 8);
	l->p[l->n++] = *p;
}

/* The first `len` bytes, in a heap block of that size: what reads past them is seen. */
static size_t read_log(struct log *l, size_t len)
{
	uint8_t *block = malloc(len ? len : 1);

	assert_non_null(block);
	memcpy(block, l->buf, len);
	l->n = 0;
	packet_read(block, len, note, l);
	free(block);
	return l->n;
}

static void a_packet_is_read_with_its_group(void **state)
{
	struct log l = {0};

	(void)state;
	put_message(&l, LOG_PACKET, 5351, udp, sizeof(udp));
	put_message(&l, LOG_PACKET, 5352, udp, sizeof(udp));
	assert_int_equal(read_log(&l, l.len), 2);
	assert_int_equal(l.p[0].group, 5351);
	assert_int_equal(l.p[1].group, 5352);
	assert_int_equal(l.p[0].protocol, IPPROTO_UDP);
	assert_int_equal(l.p[0].port, 3074);
	assert_int_equal(l.p[0].remote_port, 10025);
	assert_int_equal(l.p[0].external.s_addr, htonl(0x0b000001));
	assert_int_equal(l.p[0].remote.s_addr, htonl(0x0c000002));
}

/* What the kernel says of the sender stands before the payload. */
static void put_from(struct log *l, uint16_t mac_len)
{
	const struct nfulnl_msg_packet_hw hw = {.hw_addrlen = htons(mac_len),
						.hw_addr = {2, 0, 0, 0, 0, 7, 8, 9}};
	const struct nlattr attr = {.nla_len = sizeof(attr) + sizeof(hw),
				    .nla_type = NFULA_HWADDR};
	struct nlmsghdr head;
	uint8_t rest[64];
	size_t at = sizeof(head) + sizeof(struct nfgenmsg), n = l->len - at;

	assert_true(n <= sizeof(rest));
	memcpy(rest, l->buf + at, n);
	l->len = at;
	put(l, &attr, sizeof(attr));
	put(l, &hw, sizeof(hw));
	put(l, rest, n);
	memcpy(&head, l->buf, sizeof(head));
	head.nlmsg_len = (uint32_t)l->len;
	memcpy(l->buf, &head, sizeof(head));
}

static void the_sender_is_known_where_it_has_a_mac_address(void **state)
{
	static const uint8_t mac[MAC_LEN] = {2, 0, 0, 0, 0, 7}, none[MAC_LEN];

	(void)state;
	for (uint16_t n = 4; n <= 8; n++) {
		struct log l = {0};

		put_message(&l, LOG_PACKET, 5351, udp, sizeof(udp));
		put_from(&l, n);
		assert_int_equal(read_log(&l, l.len), 1);
		assert_memory_equal(l.p[0].mac, n == MAC_LEN ? mac : none, MAC_LEN);
	}
}

static void options_of_the_header_are_skipped(void **state)
{
	struct log l = {0};
	uint8_t p[32];

	(void)state;
	memcpy(p, udp, 20);
	memset(p + 20, 1, 4);
	memcpy(p + 24, udp + 20, 8);
	p[0] = 0x46;
	p[9] = IPPROTO_TCP;
	put_message(&l, LOG_PACKET, 5351, p, sizeof(p));
	assert_int_equal(read_log(&l, l.len), 1);
	assert_int_equal(l.p[0].port, 3074);
	assert_int_equal(l.p[0].protocol, IPPROTO_TCP);
}

static void what_is_no_first_tcp_or_udp_packet_of_ipv4_is_passed_over(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {
		{0, 0x65}, /* IPv6 */
		{0, 0x44}, /* a header of 16 bytes */
		{0, 0x4f}, /* of 60, more than there are */
		{7, 1},    /* a later fragment */
		{9, 1},    /* ICMP */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct log l = {0};
		uint8_t p[sizeof(udp)];

		memcpy(p, udp, sizeof(p));
		p[wrong[i].at] = wrong[i].value;
		put_message(&l, LOG_PACKET, 5351, p, sizeof(p));
		put_message(&l, LOG_PACKET, 5351, udp, sizeof(udp));
		assert_int_equal(read_log(&l, l.len), 1);
	}
}

static void messages_of_another_kind_are_passed_over(void **state)
{
	struct log l = {0};

	(void)state;
	put_message(&l, NLMSG_ERROR, 5351, udp, sizeof(udp));
	put_message(&l, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, 5351, udp,
		    sizeof(udp));
	put_message(&l, LOG_PACKET, 5351, udp, sizeof(udp));
	assert_int_equal(read_log(&l, l.len), 1);
}

static void a_datagram_that_is_cut_short_gives_nothing(void **state)
{
	struct log l = {0};
	size_t one;

	(void)state;
	put_message(&l, LOG_PACKET, 5351, udp, sizeof(udp));
	one = l.len;
	put_message(&l, LOG_PACKET, 5351, udp, sizeof(udp));
	for (size_t len = 0; len < l.len; len++)
		assert_int_equal(read_log(&l, len), len >= one ? 1 : 0);
	/* And a copy of fewer bytes than the ports take. */
	for (size_t n = 0; n < 24; n++) {
		l.len = 0;
		put_message(&l, LOG_PACKET, 5351, udp, n);
		assert_int_equal(read_log(&l, l.len), 0);
	}
}

static void lengths_that_lie_end_the_datagram(void **state)
{
	static const uint32_t lies[] = {0, 15, 0x7fffffff, 0xffffffff};
	struct log l = {0};

	(void)state;
	put_message(&l, LOG_PACKET, 5351, udp, sizeof(udp));
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		memcpy(l.buf, &lies[i], sizeof(lies[i]));
		assert_int_equal(read_log(&l, l.len), 0);
	}
}

#define COUNTS(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		COUNTS(remotes_are_counted_once_whatever_their_port),
		COUNTS(each_port_and_protocol_counts_by_itself),
		COUNTS(it_says_which_remotes_there_were),
		COUNTS(a_remote_counts_for_as_long_as_the_window),
		COUNTS(of_many_remotes_the_latest_are_remembered),
		COUNTS(what_is_forgotten_begins_anew),
		COUNTS(memory_is_bounded_and_the_silent_go_first),
		COUNTS(ports_that_were_silent_for_a_window_are_given_back),
		cmocka_unit_test(records_out_of_range_are_refused),
		cmocka_unit_test(a_packet_is_read_with_its_group),
		cmocka_unit_test(the_sender_is_known_where_it_has_a_mac_address),
		cmocka_unit_test(options_of_the_header_are_skipped),
		cmocka_unit_test(
			what_is_no_first_tcp_or_udp_packet_of_ipv4_is_passed_over),
		cmocka_unit_test(messages_of_another_kind_are_passed_over),
		cmocka_unit_test(a_datagram_that_is_cut_short_gives_nothing),
		cmocka_unit_test(lengths_that_lie_end_the_datagram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
