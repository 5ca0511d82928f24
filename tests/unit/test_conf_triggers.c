/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/profiles.h"
#include "tests/unit/conf_text.h"

static void open_nat_has_the_defaults_of_the_design(void **state)
{
	const struct config_open_nat *o = &c.open_nat;

	(void)state;
	accepts(" ");
	assert_int_equal(o->udp_remotes, 2);
	assert_int_equal(o->tcp_remotes, 4);
	assert_int_equal(o->window_s, 60);
	assert_int_equal(o->idle_s, 120);
	assert_int_equal(o->per_host, 16);
	assert_int_equal(o->n_instant, 4);
	assert_int_equal(o->instant[3].first, 3478);
	assert_int_equal(o->instant[3].last, 3479);
	assert_true(o->instant[3].udp && !o->instant[3].tcp);
	assert_int_equal(o->n_quiet, 4);
	assert_int_equal(o->quiet[3].first, 853);
	assert_int_equal(c.n_triggers, 0);
	assert_int_equal(c.n_profiles, 0);
}

static void open_nat_is_read(void **state)
{
	const struct config_open_nat *o = &c.open_nat;

	(void)state;
	accepts("open-nat { udp-remotes = 1 tcp-remotes = 16 window = 30s idle = \"5m\"\n"
		"per-host = 0 instant = { udp/9000, 9100-9200 } quiet = { udp/161 } }");
	assert_int_equal(o->udp_remotes, 1);
	assert_int_equal(o->tcp_remotes, 16);
	assert_int_equal(o->window_s, 30);
	assert_int_equal(o->idle_s, 300);
	assert_int_equal(o->per_host, 0);
	assert_int_equal(o->n_instant, 2);
	assert_int_equal(o->instant[0].first, 9000);
	assert_true(o->instant[1].tcp && o->instant[1].udp);
	assert_int_equal(o->instant[2].first, 0);
	assert_int_equal(o->n_quiet, 1);
	assert_int_equal(o->quiet[0].first, 161);
	assert_int_equal(o->quiet[1].first, 0);
}

static void an_empty_list_of_open_nat_is_none(void **state)
{
	(void)state;
	accepts("open-nat { instant = {} }");
	assert_int_equal(c.open_nat.n_instant, 0);
	assert_int_equal(c.open_nat.n_quiet, 4);
	accepts("open-nat { quiet = {} }");
	assert_int_equal(c.open_nat.n_instant, 4);
	assert_int_equal(c.open_nat.n_quiet, 0);
	accepts("open-nat {}");
	assert_int_equal(c.open_nat.n_instant, 4);
}

static void open_nat_is_checked(void **state)
{
	(void)state;
	refuses("open-nat { udp-remotes = 0 }",
		"p.conf:1: udp-remotes: 0 is out of range, allowed is 1 to 16");
	refuses("open-nat {\ntcp-remotes = 17 }",
		"p.conf:2: tcp-remotes: 17 is out of range, allowed is 1 to 16");
	refuses("open-nat { window = 90 }",
		"p.conf:1: window: \"90\" is not a duration, allowed is \"120s\", \"2m\", "
		"\"24h\" and the like");
	refuses("open-nat { idle = 2d window = 2d }",
		"p.conf:1: idle: 2d is out of range, allowed are whole seconds, 1s to 1d");
	refuses("\nopen-nat { idle = 30s }",
		"p.conf:2: window: 60s is more than idle, allowed is 1s to 30s");
	refuses("open-nat { per-host = 65536 }",
		"p.conf:1: per-host: 65536 is out of range, allowed is 0 to 65535");
	refuses("open-nat { instant = { udp/0 } }",
		"p.conf:1: instant: \"udp/0\" is not a port, allowed is 5555, 8000-8100, "
		"udp/3074 or 5555/tcp");
	refuses("open-nat { quiet = { 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17 } }",
		"p.conf:1: quiet: \"17\" is one too many, 16 ports or ranges are allowed");
	refuses("open-nat { udp = 2 }",
		"p.conf:1: udp: no such key, allowed here: udp-remotes, tcp-remotes, window, "
		"idle, per-host, instant, quiet");
}

static void guests_get_nothing_without_asking_unless_it_is_said(void **state)
{
	(void)state;
	accepts("lan a {} lan b { trusted = false } lan c { open-nat = false }\n"
		"lan d { open-nat = true trusted = false }");
	assert_true(c.lan[0].open_nat);
	assert_false(c.lan[1].open_nat);
	assert_false(c.lan[2].open_nat);
	assert_true(c.lan[3].open_nat);
	refuses("lan a { open-nat = 1 }",
		"p.conf:1: open-nat: \"1\" is neither, allowed is true or false");
}

static void triggers_are_read(void **state)
{
	const struct lease_trigger *t = c.trigger;
	char text[PREFIX_TEXT];

	(void)state;
	accepts("trigger \"battle.net\" { when = \"tcp/6112\" open = { tcp/6112, udp/6112 } }\n"
		"trigger x { when = { 88, udp/500-510 } open = { udp/3074-3079 } idle = 2s\n"
		"share = true lan = { br0, eth1 } hosts = { 192.168.1.20, 192.168.2.5/24 } }");
	assert_int_equal(c.n_triggers, 2);
	assert_string_equal(t[0].name, "battle.net");
	assert_int_equal(t[0].n_when, 1);
	assert_true(t[0].when[0].tcp && !t[0].when[0].udp);
	assert_int_equal(t[0].when[0].first, 6112);
	assert_int_equal(t[0].n_open, 2);
	assert_true(t[0].open[1].udp && !t[0].open[1].tcp);
	assert_int_equal(t[0].idle_s, 900);
	assert_false(t[0].share);
	assert_int_equal(t[0].n_lans, 0);
	assert_int_equal(t[0].n_hosts, 0);
	assert_int_equal(t[1].n_when, 2);
	assert_true(t[1].when[0].tcp && t[1].when[0].udp);
	assert_int_equal(t[1].when[1].last, 510);
	assert_int_equal(t[1].open[0].last, 3079);
	assert_int_equal(t[1].idle_s, 2);
	assert_true(t[1].share);
	assert_int_equal(t[1].n_lans, 2);
	assert_string_equal(t[1].lan[1], "eth1");
	assert_int_equal(t[1].n_hosts, 2);
	assert_string_equal(prefix_text(&t[1].host[1], text), "192.168.2.0/24");
}

static void triggers_are_checked(void **state)
{
	(void)state;
	refuses("trigger t { open = 1 }",
		"p.conf:1: when: trigger \"t\" has none, allowed is \"tcp/6112\" and the like");
	refuses("trigger t { when = 1 }",
		"p.conf:1: open: trigger \"t\" has none, allowed is \"tcp/6112\" and the like");
	refuses("trigger t { when = http open = 1 }",
		"p.conf:1: when: \"http\" is not a port, allowed is 5555, 8000-8100, udp/3074 "
		"or 5555/tcp");
	refuses("trigger t { when = 1 open = 5-4 }",
		"p.conf:1: open: \"5-4\" is not a port, allowed is 5555, 8000-8100, udp/3074 or "
		"5555/tcp");
	refuses("trigger \"\" { when = 1 open = 1 }",
		"p.conf:1: trigger: \"\" is no name, 1 to 31 letters without quotes are "
		"allowed");
	refuses("trigger t { when = 1 open = 1 idle = 500ms }",
		"p.conf:1: idle: 500ms is out of range, allowed are whole seconds, 1s to 1d");
	refuses("trigger t { when = 1 open = 1 hosts = console }",
		"p.conf:1: hosts: \"console\" is not an IPv4 network, allowed is "
		"\"10.20.0.0/16\" and the like");
	refuses("trigger t { when = 1 open = 1 lan = \"a b\" }",
		"p.conf:1: lan: \"a b\" is no interface name, 1 to 15 letters are allowed");
	refuses("trigger t { when = 1 open = 1 lan = { a, b, c, d, e } }",
		"p.conf:1: lan: \"e\" is one too many, 4 LANs are allowed");
	refuses("trigger t { when = 1 open = 1 port = 1 }",
		"p.conf:1: port: no such key, allowed here: when, open, idle, share, lan, "
		"hosts");
	refuses("trigger t { when = 1 open = 1 }\ntrigger t { when = 1 open = 1 }\n",
		"p.conf:2: syntax: found duplicate title 't'");
}

static void what_triggers_open_has_a_limit(void **state)
{
	static char text[16384];
	size_t n = 0;

	(void)state;
	accepts("trigger t { when = 1 open = { 2000-2127 } }");
	refuses("trigger t { when = 1 open = { 2000-2127, tcp/3000 } }",
		"p.conf:1: open: 257 ports are too many, 256 are allowed, each counted for "
		"each protocol");
	accepts("trigger t { when = { tcp/1-4096 } open = { 3000-3127 } share = true }");
	refuses("trigger t { when = { 1-2049 } open = 3000 }",
		"p.conf:1: when: 4098 ports are too many, 4096 are allowed, each counted for "
		"each protocol");
	for (unsigned int i = 0; i <= LEASE_TRIGGERS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "trigger t%u { when = 1 open = 2000 }\n", i);
	refuses(text, "p.conf:129: trigger: \"t128\" is one too many, 128 are allowed");
}

static void profiles_are_named(void **state)
{
	static char text[1024];
	size_t n = (size_t)snprintf(text, sizeof(text), "profiles = { ");

	(void)state;
	accepts("profiles = { xbox, \"nintendo-switch\", xbox }");
	assert_int_equal(c.n_profiles, 2);
	assert_string_equal(c.profile[0], "xbox");
	assert_string_equal(c.profile[1], "nintendo-switch");
	refuses("profiles = { ../xbox }",
		"p.conf:1: profiles: \"../xbox\" is no profile's name, 1 to 31 of a-z, 0-9 and - "
		"are allowed");
	refuses("profiles = { \"\" }",
		"p.conf:1: profiles: \"\" is no profile's name, 1 to 31 of a-z, 0-9 and - are "
		"allowed");
	for (unsigned int i = 0; i <= CONFIG_PROFILES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%sp%u", i ? ", " : "",
				      i);
	snprintf(text + n, sizeof(text) - n, " }");
	refuses(text,
		"p.conf:1: profiles: \"p32\" is one too many, 32 profiles are allowed");
}

/* A profile of that text in a directory of its own, read after " " (no configuration). */
static int read_profile(const char *text)
{
	char dir[] = "/tmp/portreeve-profiles-XXXXXX", path[128];
	FILE *f;
	int r;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/p.conf", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	accepts(" ");
	snprintf(c.profiles_dir, sizeof(c.profiles_dir), "%s", dir);
	r = profile_read(&c, "p", err);
	unlink(path);
	rmdir(dir);
	return r;
}

static void a_profile_adds_triggers_and_instant_ports(void **state)
{
	(void)state;
	assert_int_equal(
		read_profile("# About\n"
			     "trigger a { when = udp/88 open = { udp/3074-3089 }\n"
			     "share = true idle = 1m }\n"
			     "instant = { udp/3544, udp/9000 }\n"),
		0);
	assert_int_equal(c.n_triggers, 1);
	assert_string_equal(c.trigger[0].name, "a");
	assert_int_equal(c.trigger[0].idle_s, 60);
	/* 3544 was there */
	assert_int_equal(c.open_nat.n_instant, 5);
	assert_int_equal(c.open_nat.instant[4].first, 9000);
}

static void profiles_are_checked(void **state)
{
	(void)state;
	assert_int_equal(read_profile("wan a {}\n"), -EINVAL);
	assert_non_null(strstr(
		err, "/p.conf:1: wan: no such key, allowed here: trigger, instant"));
	assert_int_equal(read_profile("\ntrigger a { when = 1 }\n"), -EINVAL);
	assert_non_null(strstr(err, "/p.conf:2: open: trigger \"a\" has none"));
	assert_int_equal(read_profile("instant = { udp }\n"), -EINVAL);
	assert_int_equal(read_profile("trigger a {\n"), -EINVAL);
	assert_non_null(strstr(err, "the file ends inside a block"));
	accepts(" ");
	snprintf(c.profiles_dir, sizeof(c.profiles_dir), "/nonexistent");
	assert_int_equal(profile_read(&c, "xbox", err), -ENOENT);
	assert_string_equal(
		err, "profiles: /nonexistent/xbox.conf: No such file or directory; "
		     "allowed are the names that portreeve profiles lists");
	c.profiles_dir[0] = '\0';
	assert_int_equal(profile_read(&c, "xbox", err), -ENOENT);
}

static void the_directory_of_profiles_is_checked(void **state)
{
	(void)state;
	accepts(" ");
	assert_string_equal(c.profiles_dir, CONFIG_PROFILES_DIR);
	accepts("profiles-dir = \"\"");
	assert_string_equal(c.profiles_dir, "");
	refuses("profiles-dir = \"profiles.d\"",
		"p.conf:1: profiles-dir: \"profiles.d\" is not a whole path, allowed is "
		"\"/path\" of up to 255 letters, or \"\" for no list");
}

static void the_shipped_profiles_are_read_all_at_once(void **state)
{
	const char *top = getenv("srcdir");
	struct dirent *e;
	size_t n = 0;
	DIR *dir;

	(void)state;
	accepts(" ");
	snprintf(c.profiles_dir, sizeof(c.profiles_dir), "%s/conf/profiles.d",
		 top ? top : ".");
	dir = opendir(c.profiles_dir);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		char *dot = strrchr(e->d_name, '.'), line[128], path[600];
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		assert_non_null(dot);
		assert_string_equal(dot, PROFILE_SUFFIX);
		snprintf(path, sizeof(path), "%s/%s", c.profiles_dir, e->d_name);
		f = fopen(path, "r");
		assert_non_null(f);
		/* what `portreeve profiles` says of it */
		assert_non_null(fgets(line, sizeof(line), f));
		assert_memory_equal(line, "# ", 2);
		assert_non_null(strchr(line, '\n'));
		fclose(f);
		*dot = '\0';
		if (profile_read(&c, e->d_name, err))
			fail_msg("%s", err);
		n++;
	}
	closedir(dir);
	assert_true(n >= 6 && c.n_triggers >= 6);
	/* none waits for ports that the reserved list closes by default */
	for (size_t i = 0; i < c.n_triggers; i++)
		for (size_t k = 0; k < c.trigger[i].n_open; k++)
			assert_true(c.trigger[i].open[k].first > 1024);
}

static void every_truncation_of_a_good_file_ends_well(void **state)
{
	static const char good[] =
		"profiles = { a, b }\n"
		"open-nat { window = \"60s\" idle = 2m instant = { 1 } quiet = {} }\n"
		"trigger \"b\" { when = { \"tcp/80\", 90-91 } open = \"udp/1-3\" share = true\n"
		"hosts = { 11.0.0.0/24 } lan = { eth0 } idle = 3s }\n";

	(void)state;
	for (size_t n = 1; n < sizeof(good); n++) {
		char *cut = strndup(good, n);

		if (parse(cut))
			assert_int_equal(strncmp(err, "p.conf:", 7), 0);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_nat_has_the_defaults_of_the_design),
		cmocka_unit_test(open_nat_is_read),
		cmocka_unit_test(an_empty_list_of_open_nat_is_none),
		cmocka_unit_test(open_nat_is_checked),
		cmocka_unit_test(guests_get_nothing_without_asking_unless_it_is_said),
		cmocka_unit_test(triggers_are_read),
		cmocka_unit_test(triggers_are_checked),
		cmocka_unit_test(what_triggers_open_has_a_limit),
		cmocka_unit_test(profiles_are_named),
		cmocka_unit_test(a_profile_adds_triggers_and_instant_ports),
		cmocka_unit_test(profiles_are_checked),
		cmocka_unit_test(the_directory_of_profiles_is_checked),
		cmocka_unit_test(the_shipped_profiles_are_read_all_at_once),
		cmocka_unit_test(every_truncation_of_a_good_file_ends_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
