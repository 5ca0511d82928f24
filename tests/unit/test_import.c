/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What import makes of other programs' files. That portreeved takes it: tests/lab/test_import.py */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/import.h"

/* The text that comes out, or the error. */
static void becomes(const char *text, const char *want)
{
	char err[IMPORT_ERROR] = "", *out = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n);
	int code = import_convert("x.conf", text, strlen(text), f, err);

	fclose(f);
	if (code)
		assert_string_equal(err, want);
	else
		assert_string_equal(out, want);
	assert_true(!code || !n);
	free(out);
}

#define HEAD "# portreeve.conf, made from x.conf by portreeve import\n"

static void a_table_becomes_forwards(void **state)
{
	(void)state;
	becomes("# games\n"
		"8080 192.168.1.10 80  # web\n"
		"\n"
		"tcp/22222\t192.168.1.11\t22\r\n"
		"27000-27100 192.168.1.20\n"
		"udp/4000-4010 192.168.1.20 4000-4010\n",
		HEAD
		"forward \"line 2\" { port = \"8080\"  to = \"192.168.1.10:80\" }\n"
		"forward \"line 4\" { port = \"tcp/22222\"  to = \"192.168.1.11:22\" }\n"
		"forward \"line 5\" { port = \"27000-27100\"  to = \"192.168.1.20\" }\n"
		"forward \"line 6\" { port = \"udp/4000-4010\"  to = \"192.168.1.20\" }\n");
	becomes("", HEAD);
}

static void a_wrong_line_is_named(void **state)
{
	(void)state;
	becomes("80 192.168.1.10\n80\n",
		"x.conf:2: this is neither \"port address [port]\" nor a comment");
	becomes("80 fd00::1\n", "x.conf:1: \"fd00::1\" is no IPv4 address of a host");
	becomes("80 127.0.0.1\n", "x.conf:1: \"127.0.0.1\" is no IPv4 address of a host");
	becomes("80 10.0.0.1 0\n", "x.conf:1: \"0\" is no port");
	becomes("80-90 10.0.0.1 8080\n",
		"x.conf:1: a range keeps its ports: leave \"8080\" out");
	becomes("80-90 10.0.0.1 80-91\n",
		"x.conf:1: \"80-91\" is not as long as the range before it");
	becomes("80 10.0.0.1\ntcp/70-90 10.0.0.2\n",
		"x.conf:2: a port of \"tcp/70-90\" is in a line above already");
	becomes("ext_ifname=x\nhello\n",
		"x.conf:2: this is neither \"key=value\" nor a rule");
	becomes("ext_ifname=x\nallow 1 2\n",
		"x.conf:2: a rule has ports, a network, and ports");
	becomes("ext_ifname=x\nallow 1-99999 10.0.0.0/8 1\n",
		"x.conf:2: a rule has ports, an IPv4 network, and ports");
	becomes("config upnpd\nfoo\n",
		"x.conf:2: this is neither config, option nor list");
}

static void a_miniupnpd_conf_becomes_ours(void **state)
{
	(void)state;
	becomes("#comment\n"
		"ext_ifname=ppp0\n"
		"listening_ip=eth1\n"
		"listening_ip=192.168.2.1/24\n"
		"http_port=5555\n"
		"enable_pcp_pmp=yes\n"
		"enable_upnp=no\n"
		"min_lifetime=120\n"
		"max_lifetime=86400\n"
		"secure_mode=yes\n"
		"uuid=00000000-0000-0000-0000-000000000000\n"
		"frobnicate=yes\n"
		"allow 1024-65535 192.168.1.0/24 1024-65535\n"
		"allow 22 192.168.1.0/24 22\n"
		"deny 0-65535 0.0.0.0/0 0-65535\n",
		HEAD
		"wan \"ppp0\" {}\n"
		"lan \"eth1\" { upnp = false  pcp = true  http-port = 5555 }\n"
		"min-lifetime = \"120s\"\n"
		"max-lifetime = \"86400s\"\n"
		"access \"line 13\" { address = \"192.168.1.0/24\"  ports = \"1024-65535\" }\n"
		"access \"line 15\" { address = \"0.0.0.0/0\"  leases = 0 }\n"
		"\n"
		"# line 4: listening_ip = 192.168.2.1/24 is an address: write lan "
		"\\x22INTERFACE\\x22 {} with the name of its interface; without any, all "
		"interfaces with a private address are LANs\n"
		"# line 10: secure_mode is always so: a host opens ports only to itself\n"
		"# line 11: uuid is not needed: each LAN has one that was made by chance\n"
		"# line 12: frobnicate is not known to portreeve import\n"
		"# line 14: allow 22 192.168.1.0/24 is not taken over: there is a rule of that "
		"network already, whose ports are a list here\n");
}

static void a_uci_file_becomes_ours(void **state)
{
	(void)state;
	becomes("config upnpd 'config'\n"
		"\toption enabled '1'\n"
		"\toption enable_natpmp '1'\n"
		"\toption enable_upnp \"0\"\n"
		"\toption internal_iface 'lan'\n"
		"\toption external_iface 'wan'\n"
		"\toption port '5000'\n"
		"\n"
		"config perm_rule\n"
		"\toption action 'allow'\n"
		"\toption ext_ports '1024-65535'\n"
		"\toption int_addr '192.168.1.0/24'\n"
		"\toption int_ports '1024-65535'\n"
		"\toption comment 'Allow high ports'\n"
		"config perm_rule\n"
		"\toption action 'deny'\n"
		"\toption ext_ports '0-65535'\n"
		"\toption int_addr '0.0.0.0/0'\n",
		HEAD
		"lan \"br-lan\" { upnp = false  pcp = true  http-port = 5000 }\n"
		"access \"line 9\" { address = \"192.168.1.0/24\"  ports = \"1024-65535\" }\n"
		"access \"line 15\" { address = \"0.0.0.0/0\"  leases = 0 }\n"
		"\n"
		"# line 5: internal_iface lan is br-lan, unless /etc/config/network says "
		"otherwise\n"
		"# line 6: external_iface is not needed: the WAN is the interface of the "
		"default route\n");
}

/* Text that would become more than it is. */
static void nothing_is_smuggled_in(void **state)
{
	char text[2048];

	(void)state;
	becomes("ext_ifname=a\"{}router{}\n", HEAD
		"\n# line 1: ext_ifname = a\\x22{}router{} is no interface's name: the WAN "
		"is that of the default route\n");
	becomes("evil\033key=1\n",
		HEAD "\n# line 1: evil\\x1bkey is not known to portreeve "
		     "import\n");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	becomes(text, "x.conf:1: too long, or no text");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_becomes_forwards),
		cmocka_unit_test(a_wrong_line_is_named),
		cmocka_unit_test(a_miniupnpd_conf_becomes_ours),
		cmocka_unit_test(a_uci_file_becomes_ours),
		cmocka_unit_test(nothing_is_smuggled_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
