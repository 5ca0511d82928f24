/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the keys of miniupnpd.conf, and those of OpenWrt's /etc/config/upnpd, mean here. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "cli/import_inside.h"

static bool is_yes(const char *value)
{
	return strcmp(value, "yes") == 0 || strcmp(value, "1") == 0 ||
	       strcmp(value, "true") == 0 || strcmp(value, "on") == 0;
}

/* A name that the kernel and our configuration take. */
static bool interface_valid(const char *name)
{
	size_t n = strlen(name);

	if (!n || n >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("-_.@", *name))
			return false;
	return true;
}

static void take_wan(struct import *i, const char *key, const char *value)
{
	if (interface_valid(value))
		snprintf(i->wan, sizeof(i->wan), "%s", value);
	else
		import_note(i,
			    "%s = %s is no interface's name: the WAN is that of the "
			    "default route",
			    key, value);
}

static void add_lan(struct import *i, const char *name)
{
	for (size_t k = 0; k < i->n_lans; k++)
		if (strcmp(i->lan[k], name) == 0)
			return;
	if (i->n_lans == IMPORT_LANS)
		import_fail(i, "more than %d LANs are not allowed", IMPORT_LANS);
	else
		snprintf(i->lan[i->n_lans++], IFNAMSIZ, "%s", name);
}

static void take_lan(struct import *i, const char *key, const char *value)
{
	struct prefix p;

	if (!prefix_parse(value, &p))
		import_note(i,
			    "%s = %s is an address: write lan \"INTERFACE\" {} with the "
			    "name of its interface; without any, all interfaces with a "
			    "private address are LANs",
			    key, value);
	else if (interface_valid(value))
		add_lan(i, value);
	else
		import_note(i, "%s = %s is no interface's name", key, value);
}

/* OpenWrt's names are not those of the kernel. */
static void take_uci_lan(struct import *i, const char *key, const char *value)
{
	if (strcmp(value, "lan") == 0) {
		add_lan(i, "br-lan");
		import_note(i,
			    "%s lan is br-lan, unless /etc/config/network says otherwise",
			    key);
	} else {
		import_note(i,
			    "%s %s: write lan \"INTERFACE\" {} with its name in ip link",
			    key, value);
	}
}

static void take_upnp(struct import *i, const char *key, const char *value)
{
	(void)key;
	i->upnp = is_yes(value);
}

static void take_pcp(struct import *i, const char *key, const char *value)
{
	(void)key;
	i->pcp = is_yes(value);
}

static void take_port(struct import *i, const char *key, const char *value)
{
	unsigned long port = strtoul(value, NULL, 10);

	if (port >= 1024 && port <= 65535)
		i->http_port = port;
	else if (port)
		import_note(i, "%s = %s is not taken over: UPnP gets a port from 1024 up",
			    key, value);
}

static void take_min(struct import *i, const char *key, const char *value)
{
	(void)key;
	i->min_s = strtoul(value, NULL, 10);
}

static void take_max(struct import *i, const char *key, const char *value)
{
	(void)key;
	i->max_s = strtoul(value, NULL, 10);
}

static void take_third_party(struct import *i, const char *key, const char *value)
{
	if (is_yes(value))
		import_note(
			i,
			"%s: say which hosts may, in their lan block: third-party = { "
			"\"192.168.1.10\" }",
			key);
}

static void take_secure(struct import *i, const char *key, const char *value)
{
	import_note(i,
		    is_yes(value)
			    ? "%s is always so: a host opens ports only to itself"
			    : "%s = no is not taken over: a host opens ports only to "
			      "itself; PCP's third-party may be allowed",
		    key);
}

static void take_enabled(struct import *i, const char *key, const char *value)
{
	if (!is_yes(value))
		import_note(i, "%s is off there: systemctl disable portreeve", key);
}

/* What each key becomes; without a function it is not needed, for that reason. */
static const struct {
	const char *key;
	void (*take)(struct import *i, const char *key, const char *value);
	const char *why;
} keys[] = {
	{"ext_ifname", take_wan, NULL},
	{"listening_ip", take_lan, NULL},
	{"internal_iface", take_uci_lan, NULL},
	{"enable_upnp", take_upnp, NULL},
	{"enable_pcp_pmp", take_pcp, NULL},
	{"enable_natpmp", take_pcp, NULL},
	{"http_port", take_port, NULL},
	{"port", take_port, NULL},
	{"min_lifetime", take_min, NULL},
	{"max_lifetime", take_max, NULL},
	{"pcp_allow_thirdparty", take_third_party, NULL},
	{"secure_mode", take_secure, NULL},
	{"enabled", take_enabled, NULL},
	{"external_iface", NULL, "the WAN is the interface of the default route"},
	{"external_iface6", NULL, "IPv6 goes by the same WAN"},
	{"external_zone", NULL, "zones of the firewall are not asked"},
	{"ext_ifname6", NULL, "IPv6 goes by the same WAN"},
	{"ext_ip", NULL, "the address is that of the WAN"},
	{"external_ip", NULL, "the address is that of the WAN"},
	{"ext_allow_private_ipv4", NULL,
	 "a private WAN address is served, and check says so"},
	{"ext_perform_stun", NULL,
	 "portreeve check tells of other routers before this one"},
	{"ext_stun_host", NULL, "no STUN server is asked"},
	{"ext_stun_port", NULL, "no STUN server is asked"},
	{"use_stun", NULL, "portreeve check tells of other routers before this one"},
	{"stun_host", NULL, "no STUN server is asked"},
	{"stun_port", NULL, "no STUN server is asked"},
	{"https_port", NULL, "UPnP has no HTTPS"},
	{"minissdpdsocket", NULL, "portreeved answers searches itself"},
	{"lease_file", NULL, "leases are kept by the kernel, and in /var/lib/portreeve"},
	{"lease_file6", NULL, "leases are kept by the kernel, and in /var/lib/portreeve"},
	{"upnp_lease_file", NULL,
	 "leases are kept by the kernel, and in /var/lib/portreeve"},
	{"upnp_lease_file6", NULL,
	 "leases are kept by the kernel, and in /var/lib/portreeve"},
	{"bitrate_up", NULL, "the speed that is told is the interface's"},
	{"bitrate_down", NULL, "the speed that is told is the interface's"},
	{"upload", NULL, "the speed that is told is the interface's"},
	{"download", NULL, "the speed that is told is the interface's"},
	{"presentation_url", NULL, "it is the status page"},
	{"friendly_name", NULL, "names of the device are portreeve's own"},
	{"manufacturer_name", NULL, "names of the device are portreeve's own"},
	{"manufacturer_url", NULL, "names of the device are portreeve's own"},
	{"model_name", NULL, "names of the device are portreeve's own"},
	{"model_description", NULL, "names of the device are portreeve's own"},
	{"model_url", NULL, "names of the device are portreeve's own"},
	{"model_number", NULL, "names of the device are portreeve's own"},
	{"serial", NULL, "names of the device are portreeve's own"},
	{"serial_number", NULL, "names of the device are portreeve's own"},
	{"uuid", NULL, "each LAN has one that was made by chance"},
	{"notify_interval", NULL, "announcements have UPnP's own times"},
	{"system_uptime", NULL, "the uptime that is told is the WAN's"},
	{"packet_log", NULL, "leases are logged, packets are not"},
	{"log_output", NULL, "leases are logged always"},
	{"clean_ruleset_threshold", NULL, "leases end by themselves"},
	{"clean_ruleset_interval", NULL, "leases end by themselves"},
	{"upnp_table_name", NULL, "the table is inet portreeve"},
	{"upnp_nat_table_name", NULL, "the table is inet portreeve"},
	{"upnp_forward_chain", NULL, "the table is inet portreeve"},
	{"upnp_nat_chain", NULL, "the table is inet portreeve"},
	{"upnp_nat_postrouting_chain", NULL, "the table is inet portreeve"},
	{"upnp_nftables_family_split", NULL, "the table is inet portreeve"},
	{"force_igd_desc_v1", NULL, "IGD:1 and IGD:2 are both there"},
	{"force_forwarding", NULL, "portreeve check says whether this machine routes"},
	{"igdv1", NULL, "IGD:1 and IGD:2 are both there"},
	{"ipv6_disable", NULL, "IPv6 is served where the LAN has a global address"},
	{"anchor", NULL, "pf is not of Linux"},
	{"queue", NULL, "pf is not of Linux"},
	{"tag", NULL, "pf is not of Linux"},
};

void import_option(struct import *i, const char *key, const char *value)
{
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		if (strcmp(keys[k].key, key) != 0)
			continue;
		if (keys[k].take)
			keys[k].take(i, key, value);
		else
			import_note(i, "%s is not needed: %s", key, keys[k].why);
		return;
	}
	import_note(i, "%s is not known to portreeve import", key);
}

static bool take_ports(const char *text, struct port_range *out)
{
	unsigned int first, last;
	char end;
	int n = sscanf(text, "%5u-%5u%c", &first, &last, &end);

	if (n == 1 && !strchr(text, '-'))
		last = first;
	else if (n != 2)
		return false;
	if (first > last || last > 65535)
		return false;
	*out = (struct port_range){.first = (uint16_t)(first ? first : 1),
				   .last = (uint16_t)last,
				   .tcp = true,
				   .udp = true};
	return true;
}

/* The first rule that names a host holds for it here; there it is the first that fits the
 * ports too. */
void import_rule(struct import *i, bool allow, const char *ext, const char *net,
		 const char *ports)
{
	struct port_range outside, inside;
	char text[PREFIX_TEXT];
	struct prefix p;

	if (prefix_parse(net, &p) || !addr_is_v4(&p.addr) || !take_ports(ext, &outside) ||
	    !take_ports(ports, &inside)) {
		import_fail(i, "a rule has ports, an IPv4 network, and ports");
		return;
	}
	prefix_trim(&p);
	if (!allow && (outside.first > 1024 || outside.last != 65535)) {
		import_note(i,
			    "deny %s %s is not taken over: access blocks say which ports "
			    "a host may open",
			    ext, net);
		return;
	}
	for (size_t k = 0; k < i->n_rules; k++) {
		if (i->rule[k].len != p.len || !addr_equal(&i->rule[k].addr, &p.addr))
			continue;
		import_note(i,
			    "%s %s %s is not taken over: there is a rule of that network "
			    "already, whose ports are a list here",
			    allow ? "allow" : "deny", ext, net);
		return;
	}
	if (i->n_rules == IMPORT_RULES) {
		import_fail(i, "more than %d rules are not allowed", IMPORT_RULES);
		return;
	}
	i->rule[i->n_rules++] = p;
	/* "0.0.0.0" with the length of everybody has no /0 of its own text. */
	fprintf(i->blocks, "access \"line %u\" { address = \"%s\"  ", i->line,
		p.len == 96 ? "0.0.0.0/0" : prefix_text(&p, text));
	if (!allow || outside.last < outside.first)
		fputs("leases = 0 }\n", i->blocks);
	else
		fprintf(i->blocks, "ports = \"%u-%u\" }\n", outside.first, outside.last);
	if (allow && (inside.first > 1024 || inside.last != 65535))
		import_note(i, "the inside ports %s are not asked: only external ones",
			    ports);
}
