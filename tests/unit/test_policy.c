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
	assert_false(policy_privileged(0, &req));
	assert_true(policy_privileged(-1, &req));
	req.by = LEASE_BY_STATIC;
	assert_int_equal(policy_host(&g->policy, 0, &req), LEASE_ACCESS);
	assert_false(policy_privileged(-1, &req));
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
	g->policy.in_use = NULL;
	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 4500, &in),
			 LEASE_OK);
}

/* Host 20 and its IPv6 address have the MAC address of a rule, if it is known; host 40 is
 * behind another router. */
static enum access_mac mac_known;

static enum access_mac mac_of(void *arg, const struct in6_addr *internal,
			      uint8_t mac[MAC_LEN])
{
	uint8_t last = internal->s6_addr[15];

	(void)arg;
	if (last == 40)
		return ACCESS_MAC_NONE;
	memcpy(mac, "\2\0\0\0\0", MAC_LEN - 1);
	mac[5] = last == 20 ? 7 : 8;
	return mac_known;
}

/* Below 1024, more leases and open NAT for one MAC address. */
static struct lease_access mac_rules[2];

static void rules_by_mac(struct rig *g)
{
	mac_rules[0] = (struct lease_access){
		.name = "console",
		.n_macs = 1,
		.macs = {{2, 0, 0, 0, 0, 7}},
		.n_ports = 1,
		.ports = {{.first = 80, .last = 90, .udp = true}},
		.has_leases = true,
		.leases = 100,
		.open_nat = ACCESS_OPEN_NAT_ON,
	};
	mac_rules[1] = (struct lease_access){.name = "others",
					     .n_nets = 1,
					     .nets = {{host(0), 120}},
					     .has_leases = true,
					     .leases = 3};
	g->policy.access = mac_rules;
	g->policy.n_access = 2;
	g->policy.mac = mac_of;
	g->policy.lan[0].open_nat = false;
	mac_known = ACCESS_MAC_KNOWN;
}

/* Issue 5, design 7: a rule by MAC address */
static void a_rule_may_name_a_host_by_its_mac_address(void **state)
{
	struct in6_addr in = host(20), in6 = host6(20), other = host(21), far = host(40);
	struct rig *g = *state;
	const struct lease_policy *p = &g->policy;

	rules_by_mac(g);
	assert_int_equal(policy_quota(p, &in), 100);
	assert_int_equal(policy_quota(p, &in6), 100);
	assert_true(policy_unasked(p, &in));
	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 80, &in),
			 LEASE_OK);
	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 4000, &in),
			 LEASE_ACCESS);
	assert_int_equal(policy_pinhole(p, LEASE_BY_PCP, IPPROTO_UDP, 90, &in6),
			 LEASE_OK);
	assert_int_equal(policy_quota(p, &other), 3);
	assert_false(policy_unasked(p, &other));
	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 80, &other),
			 LEASE_ACCESS);
	assert_int_equal(policy_quota(p, &far), 3);
	assert_false(policy_undecided(p, &in) || policy_undecided(p, &far));
	/* Also with a network: both have to be right. */
	mac_rules[0].n_nets = 1;
	mac_rules[0].nets[0] = (struct prefix){host(16), 125};
	assert_int_equal(policy_quota(p, &in), 100);
	mac_rules[0].nets[0] = (struct prefix){host(24), 125};
	assert_int_equal(policy_quota(p, &in), 3);
}

/* Nobody gets anything by it, and nobody loses what he has got. */
static void a_mac_address_that_is_not_known_is_no_host_s(void **state)
{
	struct in6_addr in = host(20), far = host(40);
	struct rig *g = *state;
	const struct lease_policy *p = &g->policy;
	struct lease l = {
		.protocol = IPPROTO_UDP, .ext_port = 80, .int_port = 80, .internal = in};

	rules_by_mac(g);
	mac_known = ACCESS_MAC_UNKNOWN;
	assert_int_equal(policy_quota(p, &in), 3);
	assert_false(policy_unasked(p, &in));
	assert_int_equal(policy_ext_port(p, LEASE_BY_UPNP, IPPROTO_UDP, 80, &in),
			 LEASE_ACCESS);
	assert_true(policy_undecided(p, &in));
	assert_int_equal(policy_quota_kept(p, &in), 100);
	assert_int_equal(policy_kept(p, LEASE_BY_UPNP, &l), LEASE_OK);
	assert_int_equal(policy_kept(p, LEASE_BY_OPEN_NAT, &l), LEASE_OK);
	l.ext_port = l.int_port = 8000; /* by the rule after it */
	assert_int_equal(policy_kept(p, LEASE_BY_UPNP, &l), LEASE_OK);
	l.ext_port = l.int_port = 100; /* by no rule */
	assert_int_equal(policy_kept(p, LEASE_BY_UPNP, &l), LEASE_ACCESS);
	l.ext_port = l.int_port = 80;
	l.internal = far;
	assert_int_equal(policy_kept(p, LEASE_BY_UPNP, &l), LEASE_ACCESS);
	assert_int_equal(policy_quota_kept(p, &far), 3);
	mac_known = ACCESS_MAC_KNOWN;
	l.internal = host(21);
	assert_int_equal(policy_kept(p, LEASE_BY_UPNP, &l), LEASE_ACCESS);
	assert_int_equal(policy_quota_kept(p, &l.internal), 3);
}

static void refused_lease(void *arg, const struct lease *l, enum lease_reason reason)
{
	(void)l;
	assert_int_equal(reason, LEASE_ACCESS);
	++*(int *)arg;
}

/* A core that was started again, or another configuration, while the host sleeps. */
static void a_lease_outlives_what_is_known_of_its_host(void **state)
{
	struct rig *g = *state;
	struct lease found;
	int refused = 0;

	rules_by_mac(g);
	ask(g, pmp(20, 80, 80));
	assert_int_equal(g->reply.reason, LEASE_OK);
	found = *at(g, 80);
	mac_known = ACCESS_MAC_UNKNOWN;
	assert_int_equal(
		registry_judge(g->book, 9, true, refused_lease, &refused, &g->out), 0);
	registry_free(g->book);
	g->book = registry_new(&g->policy);
	assert_int_equal(registry_adopt(g->book, &found, g->now), LEASE_OK);
	mac_known = ACCESS_MAC_KNOWN;
	mac_rules[0].macs[0][5] = 9;
	assert_int_equal(
		registry_judge(g->book, 9, true, refused_lease, &refused, &g->out), 1);
	assert_int_equal(refused, 1);
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
		T(a_rule_may_name_a_host_by_its_mac_address),
		T(a_mac_address_that_is_not_known_is_no_host_s),
		T(a_lease_outlives_what_is_known_of_its_host),
		T(remote_prefixes_have_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
