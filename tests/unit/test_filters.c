/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may come in: RFC 6887 section 13.3 (C20), and descriptions, third parties, nonces. */
#include "registry_rig.h"

#include <stdio.h>

#include "lease/filters.h"
#include "lease/restrict.h"

/* "11.0.0.0/24@5 12.0.0.2" */
static const char *text_of(const struct lease *l)
{
	static char text[512];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < l->n_filters; i++) {
		struct prefix p = {l->filters[i].addr, l->filters[i].len};
		char addr[PREFIX_TEXT], port[8] = "";

		if (l->filters[i].port)
			snprintf(port, sizeof(port), "@%u", l->filters[i].port);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s", i ? " " : "",
				      prefix_text(&p, addr), port);
	}
	return text;
}

static struct lease_request unfilter(struct lease_request req)
{
	req.flags |= LEASE_UNFILTER;
	return req;
}

/* ---- one lease ---- */

static void they_have_one_form_whatever_the_order(void **state)
{
	static const struct {
		const char *text;
		uint16_t port;
	} in[] = {
		{"12.0.0.9/24", 0}, {"11.0.0.2", 7}, {"12.0.0.77", 80}, {"11.0.0.2", 5}};
	static const char form[] = "11.0.0.2@5 11.0.0.2@7 12.0.0.0/24";

	(void)state;
	for (size_t first = 0; first < 4; first++)
		for (size_t step = 1; step < 4; step += 2) {
			struct lease l = {.internal = host(20)};

			for (size_t i = 0; i < 4; i++) {
				size_t at = (first + i * step) % 4;
				struct lease_request req = {0};

				req = filter(req, in[at].text, in[at].port);
				assert_int_equal(filters_apply(&l, &req), LEASE_OK);
			}
			assert_string_equal(text_of(&l), form);
			for (size_t i = l.n_filters; i < LEASE_FILTERS_MAX; i++)
				assert_int_equal(l.filters[i].len, 0);
			assert_int_equal(filters_check(&l), LEASE_OK);
			assert_string_equal(text_of(&l), form);
		}
}

static void what_covers_takes_the_place_of_what_is_covered(void **state)
{
	struct lease_request req = {0};
	struct lease l = {.internal = host(20)};

	(void)state;
	for (unsigned int i = 0; i < LEASE_FILTERS_MAX; i++)
		req = filter(req, "11.0.0.2", (uint16_t)(1 + i));
	assert_int_equal(filters_apply(&l, &req), LEASE_OK);
	req = filter((struct lease_request){0}, "11.0.0.2", 9);
	assert_int_equal(filters_apply(&l, &req), LEASE_FILTERS);
	assert_int_equal(l.n_filters, LEASE_FILTERS_MAX);
	req = filter((struct lease_request){0}, "11.0.0.2", 0);
	assert_int_equal(filters_apply(&l, &req), LEASE_OK);
	assert_string_equal(text_of(&l), "11.0.0.2");
	req = filter((struct lease_request){0}, "11.0.0.0/16", 0);
	assert_int_equal(filters_apply(&l, &req), LEASE_OK);
	assert_string_equal(text_of(&l), "11.0.0.0/16");
	req = filter((struct lease_request){0}, "0.0.0.0/0", 0);
	assert_int_equal(filters_apply(&l, &req), LEASE_OK);
	assert_string_equal(text_of(&l), "0.0.0.0/0");
}

/* The kernel's map takes elements that cross, and then finds the one when asked for the
 * other. */
static void filters_that_cross_are_refused(void **state)
{
	struct lease_request req = filter((struct lease_request){0}, "11.0.0.0/24", 5);
	struct lease l = {.internal = host(20)}, before;

	(void)state;
	assert_int_equal(filters_apply(&l, &req), LEASE_OK);
	before = l;
	req = filter((struct lease_request){0}, "11.0.0.9", 0);
	assert_int_equal(filters_apply(&l, &req), LEASE_FILTERS);
	assert_memory_equal(&l, &before, sizeof(l));
	/* Not if something covers both, wherever it stands. */
	req = filter(req, "11.0.0.0/8", 0);
	assert_int_equal(filters_apply(&l, &req), LEASE_OK);
	assert_string_equal(text_of(&l), "11.0.0.0/8");
}

static void they_are_of_the_leases_own_family(void **state)
{
	struct lease v4 = {.internal = host(20)}, v6 = {.internal = host6(20)};
	struct lease_request req;

	(void)state;
	req = filter((struct lease_request){0}, "2001:db8::/32", 0);
	assert_int_equal(filters_apply(&v4, &req), LEASE_FILTERS);
	assert_int_equal(filters_apply(&v6, &req), LEASE_OK);
	req.filters[0].len = 0;
	assert_int_equal(filters_apply(&v6, &req), LEASE_FILTERS);
	req = filter((struct lease_request){0}, "11.0.0.2", 0);
	assert_int_equal(filters_apply(&v6, &req), LEASE_FILTERS);
	req.filters[0].len = 95;
	assert_int_equal(filters_apply(&v4, &req), LEASE_FILTERS);
	req.filters[0].len = 129;
	assert_int_equal(filters_apply(&v4, &req), LEASE_FILTERS);
	assert_int_equal(v4.n_filters, 0);
}

static void whole_leases_overlap_by_their_remotes(void **state)
{
	struct lease open = {.internal = host(20)}, one = open, two = open, remote = open;
	struct lease_request req = filter((struct lease_request){0}, "11.0.0.2", 5);

	(void)state;
	filters_apply(&one, &req);
	req = filter((struct lease_request){0}, "11.0.0.2", 6);
	filters_apply(&two, &req);
	addr_parse("11.0.0.0", &remote.remote);
	remote.remote_len = 120;
	assert_false(filters_overlap(&one, &two));
	assert_false(filters_overlap(&one, &open));
	assert_false(filters_overlap(&open, &remote));
	assert_true(filters_overlap(&one, &one));
	assert_true(filters_overlap(&one, &remote) && filters_overlap(&remote, &two));
	remote.remote.s6_addr[13] = 1; /* 11.1.0.0 */
	assert_false(filters_overlap(&one, &remote));
}

/* ---- the book ---- */

/* C20 */
static void an_open_mapping_becomes_filtered_and_open_again(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, filter(pcp(20, 7100, 0), "11.0.0.2", 5)), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 7100);
	assert_string_equal(text_of(at(g, 7100)), "11.0.0.2@5");
	assert_int_equal(g->book->restricted, 1);
	assert_int_equal(ask(g, pcp(20, 7100, 0)), LEASE_OK); /* a renewal changes none */
	assert_string_equal(text_of(at(g, 7100)), "11.0.0.2@5");
	assert_int_equal(ask(g, filter(pcp(20, 7100, 0), "12.0.0.0/24", 0)), LEASE_OK);
	assert_int_equal(ask(g, filter(pcp(20, 7100, 0), "12.0.0.7", 9)), LEASE_OK);
	assert_string_equal(text_of(at(g, 7100)), "11.0.0.2@5 12.0.0.0/24");
	assert_int_equal(g->book->restricted, 2);
	assert_int_equal(ask(g, unfilter(filter(pcp(20, 7100, 0), "12.0.0.9", 0))),
			 LEASE_OK);
	assert_string_equal(text_of(at(g, 7100)), "12.0.0.9");
	assert_int_equal(ask(g, unfilter(pcp(20, 7100, 0))), LEASE_OK);
	assert_int_equal(at(g, 7100)->n_filters, 0);
	assert_int_equal(g->book->restricted, 0);
	assert_int_equal(ask(g, filter(pcp(20, 7200, 7200), "11.0.0.2", 5)), LEASE_OK);
	assert_int_equal(g->book->restricted, 1);
	assert_int_equal(ask(g, as(pcp(20, 7200, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(g->book->restricted, 0);
}

/* C20: over our limit -> 13, nothing changed */
static void too_many_filters_change_nothing(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 7100, 7100);
	struct lease before;

	for (unsigned int i = 0; i < LEASE_FILTERS_MAX; i++)
		req = filter(req, "11.0.0.2", (uint16_t)(1 + i));
	assert_int_equal(ask(g, req), LEASE_OK);
	before = *at(g, 7100);
	g->now += 1000;
	assert_int_equal(ask(g, filter(pcp(20, 7100, 0), "11.0.0.2", 99)), LEASE_FILTERS);
	assert_int_equal(g->out.n, 0);
	assert_memory_equal(&before, at(g, 7100), sizeof(before));
	assert_int_equal(ask(g, req), LEASE_OK); /* those that it has are no more */
	/* A new mapping is not made without its filter. */
	assert_int_equal(ask(g, filter(pcp(20, 7200, 7200), "2001:db8::/32", 0)),
			 LEASE_FILTERS);
	assert_null(at(g, 7200));
}

static void elements_have_caps_of_their_own(void **state)
{
	struct rig *g = *state;
	uint16_t port = 8100;

	for (; port < 8100 + RESTRICTED_PER_HOST / 2; port++)
		assert_int_equal(ask(g, filter(filter(pcp(20, port, 0), "11.0.0.2", 1),
					       "11.0.0.2", 2)),
				 LEASE_OK);
	assert_int_equal(ask(g, filter(pcp(20, port, 0), "11.0.0.2", 1)), LEASE_FILTERS);
	assert_int_equal(ask(g, filter(pcp(20, 8100, 0), "11.0.0.2", 3)), LEASE_FILTERS);
	assert_int_equal(ask(g, pcp(20, 8100, 0)), LEASE_OK); /* a renewal */
	assert_int_equal(ask(g, unfilter(filter(pcp(20, 8100, 0), "11.0.0.2", 3))),
			 LEASE_OK);
	assert_int_equal(ask(g, filter(pcp(20, port, 0), "11.0.0.2", 1)), LEASE_OK);
	g->book->restricted += RESTRICTED_MAX - RESTRICTED_PER_HOST;
	assert_int_equal(ask(g, filter(pcp(21, 8200, 0), "11.0.0.2", 1)), LEASE_FILTERS);
	g->book->restricted -= RESTRICTED_MAX - RESTRICTED_PER_HOST;
}

static void what_the_kernel_refuses_leaves_the_filters_as_they_were(void **state)
{
	struct rig *g = *state;

	ask(g, filter(pcp(20, 7100, 7100), "11.0.0.2", 5));
	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, filter(pcp(20, 7100, 0), "11.0.0.2", 6)), 0);
	assert_int_equal(g->book->restricted, 2);
	rig_revert(g);
	assert_int_equal(g->book->restricted, 1);
	assert_string_equal(text_of(at(g, 7100)), "11.0.0.2@5");
}

static void upnp_is_not_told_that_a_filtered_port_is_open(void **state)
{
	struct rig *g = *state;

	ask(g, filter(pcp(20, 7100, 7100), "11.0.0.2", 5));
	assert_int_equal(ask(g, upnp(20, 7100, 7100)), LEASE_TAKEN);
	assert_int_equal(ask(g, upnp(20, 7100, 7102)), LEASE_OK);
	assert_int_equal(ask(g, map(LEASE_BY_UPNP, 20, IPPROTO_UDP, 7100, 7100, 60)),
			 LEASE_OK); /* any port: the open one */
	assert_int_equal(g->reply.ext_port, 7102);
	/* And who filters does not close what UPnP was promised. */
	assert_int_equal(ask(g, upnp(20, 7200, 7200)), LEASE_OK);
	assert_int_equal(ask(g, filter(pcp(20, 7200, 0), "11.0.0.2", 5)), LEASE_FILTERS);
	assert_int_equal(at(g, 7200)->n_filters, 0);
	assert_int_equal(ask(g, pcp(20, 7200, 0)), LEASE_OK);
	/* NAT-PMP's may be filtered: its client has gone over to PCP (C32). */
	assert_int_equal(ask(g, pmp(20, 7300, 7300)), LEASE_OK);
	assert_int_equal(ask(g, filter(pcp(20, 7300, 0), "11.0.0.2", 5)), LEASE_OK);
	assert_int_equal(at(g, 7300)->n_filters, 1);
}

static void any_port_beside_a_filtered_one_is_another(void **state)
{
	struct rig *g = *state;

	ask(g, filter(pcp(20, 7100, 7100), "11.0.0.2", 5));
	assert_int_equal(ask(g, map(LEASE_BY_UPNP, 20, IPPROTO_UDP, 7100, 7100, 60)),
			 LEASE_OK);
	assert_int_not_equal(g->reply.ext_port, 7100);
	assert_int_equal(registry_count(g->book), 2);
}

static void filters_and_a_remote_host_of_one_port_do_not_overlap(void **state)
{
	struct rig *g = *state;
	struct lease_request req = upnp(20, 7100, 7100);

	addr_parse("11.0.0.2", &req.remote);
	req.remote_len = 128;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(ask(g, filter(pcp(20, 7100, 0), "11.0.0.0/24", 0)),
			 LEASE_FILTERS);
	assert_int_equal(ask(g, filter(pcp(20, 7100, 0), "12.0.0.0/24", 0)), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 7100);
	assert_int_equal(ask(g, filter(pcp(20, 7100, 0), "11.0.0.2", 7)), LEASE_FILTERS);
	addr_parse("12.0.0.2", &req.remote);
	assert_int_equal(ask(g, req), LEASE_REMOTE);
	req = filter(req, "12.0.0.2", 7); /* both at once */
	addr_parse("13.0.0.2", &req.remote);
	assert_int_equal(ask(g, req), LEASE_REMOTE);
}

static void found_filters_are_brought_to_their_form(void **state)
{
	struct rig *g = *state;
	struct lease l, wrong;

	ask(g, filter(filter(pcp(20, 7100, 7100), "11.0.0.2", 5), "12.0.0.2", 5));
	l = *at(g, 7100);
	ask(g, as(pcp(20, 7100, 0), LEASE_OP_UNMAP));
	wrong = l;
	wrong.filters[1] = (struct lease_filter){.len = 96, .port = 9};
	assert_int_equal(registry_adopt(g->book, &wrong, g->now), LEASE_FILTERS);
	wrong.n_filters = LEASE_FILTERS_MAX + 1;
	assert_int_equal(registry_adopt(g->book, &wrong, g->now), LEASE_FILTERS);
	l.filters[2] = l.filters[0];
	l.filters[0] = l.filters[1];
	l.filters[1] = l.filters[2];
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_OK);
	assert_string_equal(text_of(at(g, 7100)), "11.0.0.2@5 12.0.0.2@5");
	assert_int_equal(g->book->restricted, 2);
}

/* ---- what else PCP asks ---- */

/* C29 */
static void a_description_is_kept_until_another_one_is_given(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 7100, 7100);

	req.flags |= LEASE_DESCRIBE;
	strcpy(req.description, "torrent");
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_string_equal(g->reply.description, "torrent");
	assert_int_equal(ask(g, pcp(20, 7100, 0)), LEASE_OK);
	assert_string_equal(at(g, 7100)->description, "torrent");
	req.flags = LEASE_NONCE; /* not said to be one */
	strcpy(req.description, "noise");
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_string_equal(at(g, 7100)->description, "torrent");
	req.flags |= LEASE_DESCRIBE;
	req.description[0] = '\0';
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_string_equal(at(g, 7100)->description, "");
	assert_string_equal(g->reply.description, "");
}

/* C19 */
static void a_third_party_asks_where_the_admin_allows_it(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 7100, 7100);

	req.client = host(9);
	assert_int_equal(ask(g, req), LEASE_THIRD_PARTY);
	g->policy.lan[0].third[0] = (struct prefix){host(8), 125}; /* .8 - .15 */
	g->policy.lan[0].n_third = 1;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_true(addr_equal(&at(g, 7100)->internal, &req.internal));
	req.client = host(16);
	assert_int_equal(ask(g, req), LEASE_THIRD_PARTY);
	req.client = host(9);
	addr_parse("192.168.2.20", &req.internal);
	assert_int_equal(ask(g, req), LEASE_THIRD_PARTY);
	req.internal = host(1); /* the router */
	assert_int_equal(ask(g, req), LEASE_THIRD_PARTY);
	req = pcp(20, 7200, 7200); /* the share is that of the inside host */
	req.client = host(9);
	g->policy.per_host = 1;
	assert_int_equal(ask(g, req), LEASE_QUOTA_HOST);
	assert_int_equal(ask(g, pcp(9, 7300, 7300)), LEASE_OK);
	req = as(pcp(20, 7100, 0), LEASE_OP_UNMAP);
	req.client = host(16);
	assert_int_equal(ask(g, req), LEASE_THIRD_PARTY);
	req.client = host(9);
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_null(at(g, 7100));
	assert_non_null(at(g, 7300));
	assert_int_equal(ask_lan(g, 1, req), LEASE_NOT_LAN);
}

static void a_third_party_asks_at_its_own_rate(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 7100, 7100);

	g->policy.lan[0].third[0] = (struct prefix){host(9), 128};
	g->policy.lan[0].n_third = 1;
	g->policy.requests_per_second = 1;
	req.client = host(9);
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(ask(g, req), LEASE_RATE);
	assert_int_equal(ask(g, pcp(20, 7100, 0)), LEASE_OK);
}

static void another_nonce_of_the_same_host_where_the_admin_allows_it(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 7100, 7100);

	assert_int_equal(ask(g, req), LEASE_OK);
	memset(req.nonce, 9, sizeof(req.nonce));
	assert_int_equal(ask(g, req), LEASE_NONCE_MISMATCH);
	g->policy.nonce_same_source = true;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_memory_equal(at(g, 7100)->nonce, req.nonce, sizeof(req.nonce));
	assert_int_equal(g->reply.ext_port, 7100);
	g->policy.lan[0].third[0] = (struct prefix){host(9), 128};
	g->policy.lan[0].n_third = 1;
	memset(req.nonce, 3, sizeof(req.nonce));
	req.client = host(9); /* not the host itself */
	assert_int_equal(ask(g, req), LEASE_NONCE_MISMATCH);
	req.client = host(20);
	assert_int_equal(ask(g, as(req, LEASE_OP_UNMAP)), LEASE_OK);
	assert_null(at(g, 7100));
}

/* P20, C46: and opennat.md 8.2 */
static void a_port_that_flows_of_others_leave_from_is_not_chosen(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 4500, 4500);

	g->claimed = true;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_not_equal(g->reply.ext_port, 4500);
	req = pcp(20, 7100, 4500);
	req.flags |= LEASE_EXACT;
	assert_int_equal(ask(g, req), LEASE_TAKEN);
	assert_int_equal(ask(g, pmp(20, 7200, 4500)), LEASE_OK);
	assert_int_not_equal(g->reply.ext_port, 4500);
	assert_int_equal(ask(g, upnp(20, 7300, 4500)), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 4500);
	assert_int_equal(ask(g, upnp(20, 7300, 4500)), LEASE_OK); /* again */
	/* What is found in the kernel has the port already: nobody is asked. */
	{
		struct lease l = *at(g, 4500);

		ask(g, as(upnp(20, 7300, 4500), LEASE_OP_UNMAP_PORT));
		assert_null(at(g, 4500));
		g->asked = 0;
		assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_OK);
		assert_int_equal(g->asked, 0);
	}
}

static uint32_t flows_of_7100(void *arg, uint8_t protocol, uint16_t port,
			      const struct in6_addr *internal)
{
	struct in6_addr own = host(20);

	(void)arg;
	return protocol == IPPROTO_UDP && port == 7100 && addr_equal(internal, &own) ? 77
										     : 0;
}

/* C55, P13 */
static void a_pcp_delete_tells_how_long_packets_keep_the_port(void **state)
{
	struct rig *g = *state;

	g->policy.flows = flows_of_7100;
	assert_int_equal(ask(g, pcp(20, 7000, 7100)), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 7100);
	assert_int_equal(ask(g, pmp(20, 7000, 7100)), LEASE_OK);
	assert_int_equal(ask(g, as(pmp(20, 7000, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 0);
	assert_int_equal(ask(g, as(pcp(20, 7000, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 77);
	assert_null(at(g, 7100));
	assert_int_equal(ask(g, as(pcp(20, 7000, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 0);
	assert_int_equal(ask(g, pcp(20, 7200, 7200)), LEASE_OK);
	assert_int_equal(ask(g, as(pcp(20, 7200, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 0);
	assert_int_equal(ask(g, pin(20, 7100)), LEASE_OK);
	assert_int_equal(ask(g, as(pin(20, 7100), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 0);
	/* Another nonce ends nothing. */
	assert_int_equal(ask(g, pcp(20, 7000, 7100)), LEASE_OK);
	{
		struct lease_request req = as(pcp(20, 7000, 0), LEASE_OP_UNMAP);

		memset(req.nonce, 9, sizeof(req.nonce));
		assert_int_equal(ask(g, req), LEASE_NONCE_MISMATCH);
		assert_int_equal(g->reply.lifetime, 3600);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)
	const struct CMUnitTest tests[] = {
		T(they_have_one_form_whatever_the_order),
		T(what_covers_takes_the_place_of_what_is_covered),
		T(filters_that_cross_are_refused),
		T(they_are_of_the_leases_own_family),
		T(whole_leases_overlap_by_their_remotes),
		T(an_open_mapping_becomes_filtered_and_open_again),
		T(too_many_filters_change_nothing),
		T(elements_have_caps_of_their_own),
		T(what_the_kernel_refuses_leaves_the_filters_as_they_were),
		T(upnp_is_not_told_that_a_filtered_port_is_open),
		T(any_port_beside_a_filtered_one_is_another),
		T(filters_and_a_remote_host_of_one_port_do_not_overlap),
		T(found_filters_are_brought_to_their_form),
		T(a_description_is_kept_until_another_one_is_given),
		T(a_third_party_asks_where_the_admin_allows_it),
		T(a_third_party_asks_at_its_own_rate),
		T(another_nonce_of_the_same_host_where_the_admin_allows_it),
		T(a_port_that_flows_of_others_leave_from_is_not_chosen),
		T(a_pcp_delete_tells_how_long_packets_keep_the_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
