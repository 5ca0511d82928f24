/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/reserved.h"
#include "tests/unit/conf_text.h"

/* A file under the sources, found from wherever the tests run. */
static const char *source(const char *path, char buf[512])
{
	const char *top = getenv("srcdir");

	snprintf(buf, 512, "%s/%s", top ? top : ".", path);
	return buf;
}

static void without_a_file_the_defaults_hold(void **state)
{
	(void)state;
	accepts(" ");
	assert_string_equal(c.wan, "");
	assert_int_equal(c.n_lans, 0);
	assert_int_equal(c.leases, 131072);
	assert_int_equal(c.per_host, 64);
	assert_int_equal(c.requests_per_second, 200);
	assert_int_equal(c.min_lifetime_s, 120);
	assert_int_equal(c.max_lifetime_s, 86400);
	assert_string_equal(c.reserved_file, CONFIG_RESERVED_FILE);
}

static void reads_every_key(void **state)
{
	char text[PREFIX_TEXT];

	(void)state;
	accepts("wan \"ppp0\" {}\n"
		"lan \"br-lan\" { also = { \"10.20.0.0/16\", \"10.30.0.1\" } http-port = 5431 }\n"
		"lan eth1 { upnp = false pcp = false }\n"
		"lan \"eth2\" {}\n"
		"limits { leases = 1000 per-host = 10 requests-per-second = 1000000 }\n"
		"  min-lifetime = 1s max-lifetime = \"7d\"\n"
		"reserved = { \"udp/3074\", tcp/8100-8200, 7000 }\n"
		"allow-reserved = { \"tcp/8150\" }\n"
		"reserved-file = \"/etc/r\"\n");
	assert_string_equal(c.wan, "ppp0");
	assert_int_equal(c.n_lans, 3);
	assert_string_equal(c.lan[0].name, "br-lan");
	assert_true(c.lan[0].upnp && c.lan[0].pcp);
	assert_int_equal(c.lan[0].http_port, 5431);
	assert_int_equal(c.lan[0].n_also, 2);
	assert_string_equal(prefix_text(&c.lan[0].also[0], text), "10.20.0.0/16");
	assert_int_equal(c.lan[0].also[1].len, 128);
	assert_string_equal(c.lan[1].name, "eth1");
	assert_false(c.lan[1].upnp || c.lan[1].pcp);
	assert_string_equal(c.lan[2].name, "eth2");
	assert_true(c.lan[2].upnp && c.lan[2].pcp);
	assert_int_equal(c.lan[2].http_port, 0);
	assert_int_equal(c.leases, 1000);
	assert_int_equal(c.per_host, 10);
	assert_int_equal(c.requests_per_second, 1000000);
	assert_int_equal(c.min_lifetime_s, 1);
	assert_int_equal(c.max_lifetime_s, 7 * 86400);
	assert_string_equal(c.reserved_file, "/etc/r");
	assert_true(portset_has(&c.reserved_udp, 3074));
	assert_false(portset_has(&c.reserved_tcp, 3074));
	assert_true(portset_has(&c.reserved_tcp, 8100) &&
		    portset_has(&c.reserved_tcp, 8200));
	assert_false(portset_has(&c.reserved_tcp, 8150));
	assert_true(portset_has(&c.reserved_tcp, 7000) &&
		    portset_has(&c.reserved_udp, 7000));
}

static void nat_pmp_follows_pcp_unless_it_is_set(void **state)
{
	(void)state;
	accepts("lan a {} lan b { pcp = false } lan c { nat-pmp = false }\n"
		"lan d { nat-pmp = true pcp = false }\n");
	assert_true(c.lan[0].pcp && c.lan[0].nat_pmp);
	assert_false(c.lan[1].pcp || c.lan[1].nat_pmp);
	assert_true(c.lan[2].pcp && !c.lan[2].nat_pmp);
	assert_true(!c.lan[3].pcp && c.lan[3].nat_pmp);
}

static void hosts_that_may_ask_for_others_are_read(void **state)
{
	char text[PREFIX_TEXT];

	(void)state;
	accepts("lan a { third-party = { \"192.168.1.10\", \"10.1.0.0/16\" } }");
	assert_int_equal(c.lan[0].n_third, 2);
	assert_string_equal(prefix_text(&c.lan[0].third[1], text), "10.1.0.0/16");
	refuses("lan a { third-party = { \"nas\" } }",
		"p.conf:1: third-party: \"nas\" is not an IPv4 network, allowed is "
		"\"10.20.0.0/16\" and the like");
}

static void the_nonce_rule_is_one_of_two(void **state)
{
	(void)state;
	accepts("cut-expired = false");
	assert_false(c.cut_expired);
	accepts("cut-expired = true");
	assert_true(c.cut_expired);
	accepts("");
	assert_true(c.cut_expired);
	accepts("pcp-nonce = \"strict\"");
	assert_false(c.pcp_nonce_same_source);
	accepts("pcp-nonce = \"same-source\"");
	assert_true(c.pcp_nonce_same_source);
	refuses("pcp-nonce = off", "p.conf:1: pcp-nonce: \"off\" is neither, allowed is "
				   "\"strict\" or \"same-source\"");
}

static void allow_reserved_wins_wherever_it_stands(void **state)
{
	(void)state;
	accepts("allow-reserved = { \"8001\" }\nreserved = { \"8000-8002\" }\n");
	assert_true(portset_has(&c.reserved_udp, 8000) &&
		    portset_has(&c.reserved_udp, 8002));
	assert_false(portset_has(&c.reserved_udp, 8001));
}

static void an_unknown_key_names_its_line_and_what_is_allowed(void **state)
{
	(void)state;
	refuses("\n\nfoo = 1\n",
		"p.conf:3: foo: no such key, allowed here: wan, lan, limits, history, access, forward, router, "
		"open-nat, trigger, profiles, min-lifetime, max-lifetime, gone-after, pcp-nonce, cut-expired, own-masquerade, reserved, "
		"allow-reserved, reserved-file, profiles-dir");
	refuses("lan \"br0\" {\n\tupnp = true\n\topen = true\n}\n",
		"p.conf:3: open: no such key, allowed here: trusted, upnp, pcp, nat-pmp, "
		"open-nat, also, third-party, http-port");
	refuses("limits {\n per-hosts = 1 }",
		"p.conf:2: per-hosts: no such key, allowed here: leases, per-host, "
		"requests-per-second");
	refuses("bar { x = 1 }\n",
		"p.conf:1: bar: no such key, allowed here: wan, lan, limits, history, access, forward, router, "
		"open-nat, trigger, profiles, min-lifetime, max-lifetime, gone-after, pcp-nonce, cut-expired, own-masquerade, reserved, "
		"allow-reserved, reserved-file, profiles-dir");
	refuses("wan \"ppp0\" { mtu = 1 }\n",
		"p.conf:1: mtu: no such key, allowed here: none");
}

static void an_unknown_key_cannot_write_to_the_terminal(void **state)
{
	(void)state;
	assert_int_equal(parse("\"\\e[2J\\n\" = 1\n"), -EINVAL);
	for (const char *p = err; *p; p++)
		assert_true((unsigned char)*p >= 0x20);
}

static void numbers_are_checked(void **state)
{
	(void)state;
	refuses("limits {\n leases = 0 }",
		"p.conf:2: leases: 0 is out of range, allowed is 1 to 131072");
	refuses("limits { leases = 131073 }",
		"p.conf:1: leases: 131073 is out of range, allowed is 1 to 131072");
	refuses("limits { per-host = 65536 }",
		"p.conf:1: per-host: 65536 is out of range, allowed is 1 to 65535");
	refuses("limits { requests-per-second = 99999999999999999999999999 }",
		"p.conf:1: requests-per-second: 99999999999999999999999999 is out of range, "
		"allowed is 1 to 1000000");
	refuses("limits { per-host = many }",
		"p.conf:1: per-host: \"many\" is not a number, allowed is 1 to 65535");
	refuses("limits { per-host = -1 }",
		"p.conf:1: per-host: \"-1\" is not a number, allowed is 1 to 65535");
	refuses("limits { per-host = \"\" }",
		"p.conf:1: per-host: \"\" is not a number, allowed is 1 to 65535");
	refuses("lan \"br0\" { http-port = 80 }",
		"p.conf:1: http-port: 80 is out of range, allowed is 1024 to 65535");
}

static void durations_are_checked(void **state)
{
	(void)state;
	refuses("min-lifetime = 120",
		"p.conf:1: min-lifetime: \"120\" is not a duration, allowed is \"120s\", \"2m\", "
		"\"24h\" and the like");
	refuses("min-lifetime = 500ms",
		"p.conf:1: min-lifetime: 500ms is out of range, allowed are whole seconds, 1s to 1d");
	refuses("max-lifetime = 8d",
		"p.conf:1: max-lifetime: 8d is out of range, allowed are whole seconds, 1s to 7d");
	refuses("\n max-lifetime = 1m\n",
		"p.conf:2: min-lifetime: 120s is more than max-lifetime, allowed is 1s to 60s");
	accepts("max-lifetime = 1m min-lifetime = 5s");
	refuses("gone-after = 9s",
		"p.conf:1: gone-after: 9s is out of range, allowed are whole seconds, 10s to 7d");
	refuses("gone-after = 8d",
		"p.conf:1: gone-after: 8d is out of range, allowed are whole seconds, 1s to 7d");
	accepts("gone-after = 10s");
	assert_int_equal(c.gone_after_s, 10);
	accepts("");
	assert_int_equal(c.gone_after_s, 1800);
}

static void booleans_are_checked(void **state)
{
	(void)state;
	refuses("lan \"br0\" { upnp = maybe }",
		"p.conf:1: upnp: \"maybe\" is neither, allowed is true or false");
}

static void ports_are_checked(void **state)
{
	(void)state;
	refuses("reserved = { \"udp/3074\",\n \"udp/99999\" }",
		"p.conf:2: reserved: \"udp/99999\" is not a port, allowed is 5555, 8000-8100, "
		"udp/3074 or 5555/tcp");
	refuses("allow-reserved = { \"8100-8000\" }",
		"p.conf:1: allow-reserved: \"8100-8000\" is not a port, allowed is 5555, "
		"8000-8100, udp/3074 or 5555/tcp");
}

static void networks_are_checked(void **state)
{
	(void)state;
	refuses("lan \"br0\" { also = { \"10.20.0.0/33\" } }",
		"p.conf:1: also: \"10.20.0.0/33\" is not an IPv4 network, allowed is "
		"\"10.20.0.0/16\" and the like");
	refuses("lan \"br0\" { also = { \"fd00::/8\" } }",
		"p.conf:1: also: \"fd00::/8\" is not an IPv4 network, allowed is "
		"\"10.20.0.0/16\" and the like");
	refuses("lan \"br0\" { also = { \"0.0.0.0/0\" } }",
		"p.conf:1: also: \"0.0.0.0/0\" is too wide, /8 to /32 is allowed");
	refuses("lan \"br0\" { also = { 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16, 10.4.0.0/16,\n"
		"10.5.0.0/16, 10.6.0.0/16, 10.7.0.0/16, 10.8.0.0/16, 10.9.0.0/16 } }",
		"p.conf:2: also: \"10.9.0.0/16\" is one too many, 8 networks are allowed");
}

static void interfaces_are_checked(void **state)
{
	char text[1024] = "", line[40];

	(void)state;
	refuses("wan \"ppp0\" {}\nwan \"ppp1\" {}\n",
		"p.conf:2: wan: \"ppp1\" is a second one, one is allowed");
	refuses("wan \"a-very-long-name\" {}",
		"p.conf:1: wan: \"a-very-long-name\" is no interface name, 1 to 15 letters are "
		"allowed");
	refuses("lan \"br/0\" {}",
		"p.conf:1: lan: \"br/0\" is no interface name, 1 to 15 letters are allowed");
	refuses("lan \"\" { upnp = true }",
		"p.conf:1: lan: \"\" is no interface name, 1 to 15 letters are allowed");
	refuses("lan \"br0\" {}\n\nwan \"br0\" {}\n",
		"p.conf:1: lan: \"br0\" is also the wan, allowed is another interface");
	refuses("lan \"br0\" { http-port = 5000 }\nlan \"br1\" { http-port = 5000 }\n",
		"p.conf:2: http-port: 5000 is also that of lan \"br0\", allowed is another one for "
		"each LAN");
	refuses("lan \"br0\" {}\nlan \"br0\" {}\n",
		"p.conf:2: syntax: found duplicate title 'br0'");
	for (int i = 0; i <= CONFIG_LANS; i++) {
		snprintf(line, sizeof(line), "lan \"br%d\" {}\n", i);
		strcat(text, line);
	}
	refuses(text, "p.conf:17: lan: \"br16\" is one too many, 16 LANs are allowed");
}

static void the_path_of_the_list_is_checked(void **state)
{
	char text[400];

	(void)state;
	refuses("reserved-file = \"r.conf\"",
		"p.conf:1: reserved-file: \"r.conf\" is not a whole path, allowed is \"/path\" of "
		"up to 255 letters, or \"\" for no list");
	snprintf(text, sizeof(text), "reserved-file = \"/%0300d\"", 1);
	assert_int_equal(parse(text), -EINVAL);
	accepts("reserved-file = \"\"");
	assert_string_equal(c.reserved_file, "");
}

static void syntax_errors_name_their_line(void **state)
{
	static const char *const texts[] = {
		"\n}\n",
		"\nlan { upnp = true }\n",
		"\nlan \"br0\" upnp\n",
		"\nlimits = 3\n",
		"\nreserved { \"1\" }\n",
		"\nreserved-file = { \"/a\" }\n",
		"\nreserved-file\n= = 3\n",
		"\nlimits { leases = 3\n",
		"\nreserved = { \"1\" \"2\" }\n",
		"\nwan \"ppp0\n",
		"\n/* no end\n",
		"\n\"x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(parse(texts[i]), -EINVAL);
		print_message("%s\n", err);
		assert_int_equal(strncmp(err, "p.conf:", 7), 0);
		assert_true(strtol(err + 7, NULL, 10) >= 2);
		assert_null(strchr(err, '\n'));
	}
}

static void an_unclosed_block_is_an_error(void **state)
{
	(void)state;
	refuses("limits {\n leases = 3\n",
		"p.conf:2: syntax: the file ends inside a block, a } is missing");
	refuses("lan \"br0\" {",
		"p.conf:1: syntax: the file ends inside a block, a } is missing");
	refuses("\n/* no end\n",
		"p.conf:2: syntax: the file ends inside a comment, a */ is missing");
	refuses("__end = 1\n", "p.conf:2: __end: no such key");
	refuses("wan \"ppp0\" {",
		"p.conf:1: syntax: the file ends inside a block, a } is missing");
}

static void only_text_of_a_bounded_size_is_read(void **state)
{
	static const char nul[] = "wan \"ppp0\" {}\n\0limits {}\n";
	char *big = malloc(1048577);
	FILE *f = fmemopen((void *)(uintptr_t)nul, sizeof(nul) - 1, "r");

	(void)state;
	assert_int_equal(config_read(&c, f, "p.conf", err), -EINVAL);
	fclose(f);
	assert_string_equal(err, "p.conf:2: a NUL byte, only text is allowed");
	assert_non_null(big);
	memset(big, '\n', 1048576);
	big[1048576] = '\0';
	refuses(big, "p.conf: the file is too large, 1048575 bytes are allowed");
	big[1048575] = '\0';
	accepts(big);
	free(big);
}

static void every_truncation_of_a_good_file_ends_well(void **state)
{
	static const char good[] =
		"wan \"ppp0\" {}\n"
		"lan \"br-lan\" { upnp = true also = { \"10.0.0.0/8\" } }\n"
		"limits { per-host = 10 }\nreserved = { \"udp/3074\" }\n";

	(void)state;
	for (size_t n = 1; n < sizeof(good); n++) {
		char *cut = strndup(good, n);

		if (parse(cut))
			assert_int_equal(strncmp(err, "p.conf:", 7), 0);
		free(cut);
	}
}

/* What the default file shows, when the # before it is taken away. */
static char *examples_of(FILE *f)
{
	char line[256], *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	while (fgets(line, sizeof(line), f)) {
		bool example = line[0] == '#' && line[1] != ' ' && line[1] != '\n';
		bool prose = line[0] == '#' && (line[1] == ' ' || line[1] == '\n');

		/* the command in the introduction */
		if (strncmp(line, "#\tportreeved", 12) == 0)
			continue;
		fputs(example ? line + 1 : prose ? "\n" : line, out);
	}
	fclose(out);
	return text;
}

static void the_default_file_changes_nothing_and_its_examples_are_valid(void **state)
{
	char path[512], *examples;
	struct config d;
	FILE *f = fopen(source("conf/portreeve.conf", path), "re");

	(void)state;
	assert_non_null(f);
	assert_int_equal(config_read(&c, f, path, err), 0);
	config_defaults(&d);
	assert_memory_equal(&c, &d, sizeof(c));
	rewind(f);
	examples = examples_of(f);
	fclose(f);
	accepts(examples);
	free(examples);
	assert_string_equal(c.wan, "ppp0");
	assert_int_equal(c.n_lans, 4);
	assert_int_equal(c.per_host, d.per_host);
	assert_int_equal(c.max_lifetime_s, d.max_lifetime_s);
	assert_true(portset_has(&c.reserved_udp, 3074));
}

static size_t count(const struct portset *s)
{
	size_t n = 0;

	for (uint32_t p = 0; p < 65536; p++)
		n += portset_has(s, (uint16_t)p);
	return n;
}

static void the_shipped_list_is_read(void **state)
{
	static const uint16_t closed[] = {0,    22,   665,  667,  986,  988,  1024, 1900,
					  5000, 5351, 5353, 5432, 6000, 6255, 8080, 9200};
	static const uint16_t open[] = {666,  987,  1025, 1935, 3074, 5004,
					5060, 6112, 6119, 6256, 6881, 65535};
	static struct portset tcp, udp;
	char path[512];
	FILE *f = fopen(source("conf/reserved.conf", path), "re");

	(void)state;
	assert_non_null(f);
	assert_int_equal(reserved_read(f, path, &tcp, &udp, err, sizeof(err)), 0);
	fclose(f);
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		assert_true(portset_has(&tcp, closed[i]) && portset_has(&udp, closed[i]));
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		assert_false(portset_has(&tcp, open[i]) || portset_has(&udp, open[i]));
	/* 1023 privileged, 248 of X11, 4 of Timbuktu, 49 others */
	assert_int_equal(count(&tcp), 1023 + 248 + 4 + 49);
	assert_int_equal(count(&udp), count(&tcp));
}

static void the_list_names_the_line_that_is_wrong(void **state)
{
	static const char text[] = "80 # web\n\n tcp/22\t5555/udp\nudp/x # why\n";
	static struct portset tcp, udp;
	char line[700];
	FILE *f = fmemopen((void *)(uintptr_t)text, sizeof(text) - 1, "r");

	(void)state;
	assert_int_equal(reserved_read(f, "r.conf", &tcp, &udp, err, sizeof(err)),
			 -EINVAL);
	fclose(f);
	assert_string_equal(
		err, "r.conf:4: \"udp/x\" is not a port, allowed is 5555, 8000-8100, "
		     "udp/3074 or 5555/tcp");
	assert_true(portset_has(&tcp, 22) && !portset_has(&udp, 22));
	assert_true(portset_has(&udp, 5555) && !portset_has(&tcp, 5555));
	memset(line, ' ', sizeof(line));
	f = fmemopen(line, sizeof(line), "r");
	assert_int_equal(reserved_read(f, "r.conf", &tcp, &udp, err, sizeof(err)),
			 -EINVAL);
	fclose(f);
	assert_string_equal(err, "r.conf:1: the line is too long, 510 bytes are allowed");
}

/* A file of its own; the caller unlinks it. */
static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void loads_the_list_that_the_file_names(void **state)
{
	char list[] = "/tmp/portreeve-list-XXXXXX", conf[] = "/tmp/portreeve-conf-XXXXXX";
	char text[200];

	(void)state;
	write_file(list, "udp/4000-4002\n");
	snprintf(
		text, sizeof(text),
		"reserved-file = \"%s\"\nreserved = { 5000 }\nallow-reserved = { 4001 }\n",
		list);
	write_file(conf, text);
	assert_int_equal(config_load(&c, conf, false, err), 0);
	assert_true(portset_has(&c.reserved_udp, 4000) &&
		    portset_has(&c.reserved_tcp, 5000));
	assert_int_equal(count(&c.reserved_udp), 3);
	assert_int_equal(count(&c.reserved_tcp), 1);
	unlink(list);
	assert_int_equal(config_load(&c, conf, false, err), -ENOENT);
	snprintf(
		text, sizeof(text),
		"reserved-file: %s: No such file or directory; install it, or name another list "
		"in the configuration",
		list);
	assert_string_equal(err, text);
	unlink(conf);
}

static void a_missing_file_is_an_error_only_if_it_was_named(void **state)
{
	(void)state;
	assert_int_equal(config_load(&c, "/nonexistent/p.conf", false, err), -ENOENT);
	assert_string_equal(err, "/nonexistent/p.conf: No such file or directory");
	/* optional: on to the reserved list, which is not installed here */
	config_load(&c, "/nonexistent/p.conf", true, err);
	assert_null(strstr(err, "p.conf"));
	assert_int_equal(config_load(&c, "/tmp", false, err), -EINVAL);
	assert_string_equal(err, "/tmp: Is a directory");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_file_the_defaults_hold),
		cmocka_unit_test(reads_every_key),
		cmocka_unit_test(nat_pmp_follows_pcp_unless_it_is_set),
		cmocka_unit_test(hosts_that_may_ask_for_others_are_read),
		cmocka_unit_test(the_nonce_rule_is_one_of_two),
		cmocka_unit_test(allow_reserved_wins_wherever_it_stands),
		cmocka_unit_test(an_unknown_key_names_its_line_and_what_is_allowed),
		cmocka_unit_test(an_unknown_key_cannot_write_to_the_terminal),
		cmocka_unit_test(numbers_are_checked),
		cmocka_unit_test(durations_are_checked),
		cmocka_unit_test(booleans_are_checked),
		cmocka_unit_test(ports_are_checked),
		cmocka_unit_test(networks_are_checked),
		cmocka_unit_test(interfaces_are_checked),
		cmocka_unit_test(the_path_of_the_list_is_checked),
		cmocka_unit_test(syntax_errors_name_their_line),
		cmocka_unit_test(an_unclosed_block_is_an_error),
		cmocka_unit_test(only_text_of_a_bounded_size_is_read),
		cmocka_unit_test(every_truncation_of_a_good_file_ends_well),
		cmocka_unit_test(
			the_default_file_changes_nothing_and_its_examples_are_valid),
		cmocka_unit_test(the_shipped_list_is_read),
		cmocka_unit_test(the_list_names_the_line_that_is_wrong),
		cmocka_unit_test(loads_the_list_that_the_file_names),
		cmocka_unit_test(a_missing_file_is_an_error_only_if_it_was_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
