/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry_rig.h"

static enum lease_reason from(struct rig *g, int lan, const char *client)
{
	struct lease_request req = upnp(20, 6000, 6000);

	assert_int_equal(addr_parse(client, &req.client), 0);
	req.internal = req.client;
	return policy_host(&g->policy, lan, &req);
}

static void only_unicast_hosts_of_that_lan_may_ask(void **state)
{
	struct rig *g = *state;

	assert_int_equal(from(g, 0, "192.168.1.20"), LEASE_OK);
	assert_int_equal(from(g, 0, "192.168.2.20"), LEASE_NOT_LAN);
	assert_int_equal(from(g, 1, "192.168.1.20"), LEASE_NOT_LAN);
	assert_int_equal(from(g, -1, "192.168.1.20"), LEASE_NOT_LAN);
	assert_int_equal(from(g, LEASE_LANS_MAX, "192.168.1.20"), LEASE_NOT_LAN);
	assert_int_equal(from(g, 0, "192.168.1.1"), LEASE_NOT_LAN);   /* the router */
	assert_int_equal(from(g, 0, "192.168.1.0"), LEASE_NOT_LAN);   /* the network */
	assert_int_equal(from(g, 0, "192.168.1.255"), LEASE_NOT_LAN); /* W9: everybody */
	assert_int_equal(from(g, 0, "255.255.255.255"), LEASE_NOT_LAN);
	assert_int_equal(from(g, 0, "0.0.0.0"), LEASE_NOT_LAN);
	assert_int_equal(from(g, 0, "::"), LEASE_NOT_LAN);
	assert_int_equal(from(g, 0, "fe80::1"), LEASE_NOT_LAN);
	g->policy.lan[0].nets[0].len = 96; /* all of IPv4 */
	assert_int_equal(from(g, 0, "224.0.0.1"), LEASE_NOT_LAN);
	assert_int_equal(from(g, 0, "127.0.0.1"), LEASE_NOT_LAN);
	assert_int_equal(from(g, 0, "8.8.8.8"), LEASE_OK);
}

static void a_net_of_two_has_no_edges(void **state)
{
	struct rig *g = *state;

	g->policy.lan[0].nets[0] = (struct prefix){host(0), 127};
	g->policy.lan[0].n_own = 0;
	assert_int_equal(from(g, 0, "192.168.1.0"), LEASE_OK);
	assert_int_equal(from(g, 0, "192.168.1.1"), LEASE_OK);
	g->policy.lan[0].nets[0].len = 126;
	assert_int_equal(from(g, 0, "192.168.1.3"), LEASE_NOT_LAN);
}

/* A worker that was taken over cannot speak as the admin, nor a host as another. */
static void no_host_speaks_for_another_or_for_the_admin(void **state)
{
	struct rig *g = *state;
	struct lease_request req = upnp(20, 6000, 6000);

	req.internal = host(21);
	assert_int_equal(policy_host(&g->policy, 0, &req), LEASE_THIRD_PARTY);
	req.op = LEASE_OP_UNMAP;
	assert_int_equal(policy_host(&g->policy, 0, &req), LEASE_THIRD_PARTY);
	req = upnp(20, 6000, 6000);
	req.by = LEASE_BY_ADMIN;
	assert_int_equal(policy_host(&g->policy, 0, &req), LEASE_ACCESS);
	req.by = LEASE_BY_STATIC;
	assert_int_equal(policy_host(&g->policy, 0, &req), LEASE_ACCESS);
	assert_false(policy_privileged(0, &req));
	assert_true(policy_privileged(-1, &req));
	req.by = LEASE_BY_UPNP;
	assert_false(policy_privileged(-1, &req));
}

static void the_admin_opens_towards_any_host_of_any_lan(void **state)
{
	struct rig *g = *state;
	struct lease_request req = map(LEASE_BY_ADMIN, 20, IPPROTO_TCP, 80, 80, 0);

	req.client = (struct in6_addr)IN6ADDR_ANY_INIT;
	assert_int_equal(policy_host(&g->policy, -1, &req), LEASE_OK);
	req.internal = addr_from_v4((struct in_addr){htonl(0x08080808)});
	assert_int_equal(policy_host(&g->policy, -1, &req), LEASE_NOT_LAN);
	req.by = LEASE_BY_STATIC;
	assert_int_equal(policy_host(&g->policy, -1, &req), LEASE_OK);
}

/* W8 */
static void inside_ports_below_1024_are_refused(void **state)
{
	const struct lease_policy *p = &((struct rig *)*state)->policy;
	struct in6_addr in = host(20);

	assert_int_equal(policy_int_port(p, LEASE_BY_PCP, IPPROTO_UDP, 1023, &in),
			 LEASE_ACCESS);
	assert_int_equal(policy_int_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 1024, &in),
			 LEASE_OK);
	assert_int_equal(policy_int_port(p, LEASE_BY_NATPMP, IPPROTO_UDP, 0, &in),
			 LEASE_PORT);
	assert_int_equal(policy_int_port(p, LEASE_BY_ADMIN, IPPROTO_UDP, 80, &in),
			 LEASE_OK);
	assert_int_equal(policy_int_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 8080, &in),
			 LEASE_OK);
	/* opennat.md 8.8 */
	assert_int_equal(policy_int_port(p, LEASE_BY_OPEN_NAT, IPPROTO_UDP, 8080, &in),
			 LEASE_RESERVED);
}

static void external_ports_are_refused_with_their_own_reason(void **state)
{
	struct in6_addr in = host(20);
	struct rig *g = *state;
	const struct lease_policy *p = &g->policy;

	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 0, &in),
			 LEASE_PORT);
	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 80, &in),
			 LEASE_ACCESS);
	assert_int_equal(policy_ext_port(p, LEASE_BY_TRIGGER, IPPROTO_UDP, 987, &in),
			 LEASE_OK);
	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 8080, &in),
			 LEASE_RESERVED);
	assert_int_equal(policy_ext_port(p, LEASE_BY_ADMIN, IPPROTO_UDP, 8080, &in),
			 LEASE_OK);
	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 4500, &in),
			 LEASE_OK);
	g->used = LEASE_ROUTER;
	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 4500, &in),
			 LEASE_ROUTER);
	assert_int_equal(policy_ext_port(p, LEASE_BY_ADMIN, IPPROTO_UDP, 4500, &in),
			 LEASE_ROUTER);
	g->used = LEASE_STATIC;
	assert_int_equal(policy_ext_port(p, LEASE_BY_ADMIN, IPPROTO_UDP, 4500, &in),
			 LEASE_STATIC);
	assert_int_equal(policy_ext_port(p, LEASE_BY_STATIC, IPPROTO_UDP, 4500, &in),
			 LEASE_OK);
	g->policy.in_use = NULL;
	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 4500, &in),
			 LEASE_OK);
}

static void remote_prefixes_have_one_form(void **state)
{
	struct in6_addr a, b;
	uint8_t len = 121;

	(void)state;
	assert_int_equal(addr_parse("11.0.0.200", &a), 0);
	assert_int_equal(addr_parse("11.0.0.128", &b), 0);
	assert_int_equal(policy_remote(&a, &len, false), LEASE_OK);
	assert_true(addr_equal(&a, &b));
	len = 96;
	assert_int_equal(policy_remote(&a, &len, false), LEASE_OK);
	assert_int_equal(len, 0);
	assert_true(addr_is_none(&a));
	len = 0;
	a = b;
	assert_int_equal(policy_remote(&a, &len, false), LEASE_OK);
	assert_true(addr_is_none(&a));
	a = b;
	len = 95;
	assert_int_equal(policy_remote(&a, &len, false), LEASE_REMOTE);
	assert_int_equal(addr_parse("2001:db8::1", &a), 0);
	len = 128;
	assert_int_equal(policy_remote(&a, &len, false), LEASE_REMOTE);
	a = b;
	assert_int_equal(policy_remote(&a, &len, false), LEASE_OK);
	assert_true(addr_equal(&a, &b));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)
	const struct CMUnitTest tests[] = {
		T(only_unicast_hosts_of_that_lan_may_ask),
		T(a_net_of_two_has_no_edges),
		T(no_host_speaks_for_another_or_for_the_admin),
		T(the_admin_opens_towards_any_host_of_any_lan),
		T(inside_ports_below_1024_are_refused),
		T(external_ports_are_refused_with_their_own_reason),
		T(remote_prefixes_have_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
