/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole command lines against a daemon that answers what it is told. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"

struct fixture {
	char dir[32];
	char call[4096]; /* what the daemon was asked */
	char *out;
	char *err;
	size_t columns;
	bool colour;
	const char *dhcp_leases;
	const char *vendors;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/portreeve-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->columns = 80;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rmdir(f->dir);
	free(f->out);
	free(f->err);
	free(f);
	return 0;
}

/* Runs "portreeve ARGS --runtime-dir DIR". */
static int run(struct fixture *f, const char *args)
{
	size_t out_len, err_len;
	struct cli cli = {.columns = f->columns,
			  .colour = f->colour,
			  .timeout_ms = 200,
			  .dhcp_leases = f->dhcp_leases,
			  .vendors = f->vendors};
	char line[256], *argv[32] = {"portreeve"}, *word, *save;
	int argc = 1, code;

	free(f->out);
	free(f->err);
	cli.out = open_memstream(&f->out, &out_len);
	cli.err = open_memstream(&f->err, &err_len);
	snprintf(line, sizeof(line), "%s --runtime-dir %s", args, f->dir);
	for (word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	code = cli_run(&cli, argc, argv);
	fclose(cli.out);
	fclose(cli.err);
	if (code &&
	    !f->out[0]) { /* one line, and nothing that a script would take for the answer */
		assert_ptr_equal(strchr(f->err, '\n'), f->err + strlen(f->err) - 1);
		assert_memory_equal(f->err, "portreeve: ", 11);
	} else { /* check has its verdict as exit code, too */
		assert_string_equal(f->err, "");
		assert_in_range(code, 0, 2);
	}
	return code;
}

/* One connection, one call; it is written to `told`, then the answer is sent. */
static void daemon_serve(int listener, int told, const char *answer, size_t len,
			 bool hang)
{
	int fd = accept(listener, NULL, NULL);
	char call[4096];
	size_t n = 0;

	while (!n || call[n - 1]) {
		ssize_t got = read(fd, call + n, sizeof(call) - n);

		if (got <= 0)
			_exit(1);
		n += (size_t)got;
	}
	if (write(told, call, n) != (ssize_t)n)
		_exit(1);
	while (len) {
		ssize_t sent = send(fd, answer, len, MSG_NOSIGNAL);

		if (sent <= 0)
			_exit(1);
		answer += sent;
		len -= (size_t)sent;
	}
	if (hang)
		pause();
	_exit(0);
}

static int run_against(struct fixture *f, const char *args, const char *answer,
		       size_t len, bool hang)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), told[2], code;
	pid_t pid;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/control", f->dir);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(pipe(told), 0);
	pid = fork();
	if (!pid)
		daemon_serve(listener, told[1], answer, len, hang);
	close(listener);
	close(told[1]);
	code = run(f, args);
	memset(f->call, 0, sizeof(f->call));
	if (read(told[0], f->call, sizeof(f->call) - 1) < 0)
		f->call[0] = '\0';
	close(told[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(addr.sun_path);
	return code;
}

static int run_with(struct fixture *f, const char *args, const char *answer)
{
	return run_against(f, args, answer, strlen(answer) + 1, false);
}

#define ERROR(name) "{\"error\":\"" name "\",\"parameters\":{}}"
#define LEASE(protocol, port, rest)                                                      \
	"{\"protocol\":\"" protocol "\",\"external_port\":" port                         \
	",\"internal_address\":\"192.168.1.20\",\"internal_port\":" port "," rest "}"
#define XBOX                                                                             \
	LEASE("udp", "3074",                                                             \
	      "\"remote\":null,\"origin\":\"pcp\",\"claims\":[\"pcp\",\"upnp\"],"        \
	      "\"description\":\"Xbox\",\"enabled\":true,\"age_s\":12,\"remaining_s\":3588")
#define WEB                                                                              \
	LEASE("tcp", "8080",                                                             \
	      "\"remote\":\"11.0.0.0/24\",\"origin\":\"upnp\",\"claims\":[\"upnp\"],"    \
	      "\"description\":\"a \\u001b[31mred\\u202e and very long description\","   \
	      "\"enabled\":false,\"age_s\":90000,\"remaining_s\":null")
#define TORRENT                                                                           \
	LEASE("tcp", "6881",                                                              \
	      "\"remote\":null,\"origin\":\"nat-pmp\",\"claims\":[\"pcp\",\"nat-pmp\","   \
	      "\"upnp\",\"open-nat\"],\"description\":\"\",\"enabled\":true,\"age_s\":0," \
	      "\"remaining_s\":61")

static void lists_a_table_for_80_columns(void **state)
{
	static const char two[] = "{\"parameters\":{\"leases\":[" XBOX "," WEB
				  "]},\"continues\":true}\0"
				  "{\"parameters\":{\"leases\":[" TORRENT "]}}";
	struct fixture *f = *state;

	assert_int_equal(run_against(f, "list", two, sizeof(two), false), 0);
	assert_string_equal(f->call, "{\"method\":\"org.portreeve.List\",\"parameters\":"
				     "{\"traffic\":true},\"more\":true}");
	assert_string_equal(
		f->out,
		"PORT      TO                 BY                AGE     LEFT     DESCRIPTION\n"
		"tcp/6881  192.168.1.20:6881  pcp+nat-pmp+upn…  0s      1m 01s\n"
		"tcp/8080  192.168.1.20:8080  upnp              1d 01h  -        disabled, only …\n"
		"udp/3074  192.168.1.20:3074  pcp+upnp          12s     59m 48s  Xbox\n");
}

static void lists_in_full_where_there_is_room(void **state)
{
	struct fixture *f = *state;

	f->columns = 200;
	f->colour = true;
	assert_int_equal(run_with(f, "list", "{\"parameters\":{\"leases\":[" WEB "]}}"),
			 0);
	assert_string_equal(f->out,
			    "\033[1mPORT      TO                 BY    AGE     LEFT  "
			    "DESCRIPTION\n\033[0m"
			    "tcp/8080  192.168.1.20:8080  upnp  1d 01h  -     disabled, "
			    "only from 11.0.0.0/24; a \\x1b[31mred\xef\xbf\xbd and very "
			    "long description\n");
}

/* As the width allows, and where something is known: the last use, the bytes, the packets. */
static void lists_what_goes_by_a_lease(void **state)
{
	static const char busy[] = "{\"parameters\":{\"leases\":[" LEASE(
		"udp", "3074",
		"\"claims\":[\"pcp\"],\"description\":\"Xbox\",\"age_s\":12,"
		"\"remaining_s\":60,\"traffic\":{\"connections\":2,"
		"\"packets\":1812,\"bytes_in\":1234567,\"bytes_out\":999,"
		"\"idle_s\":4}") "," LEASE("udp", "3075",
					   "\"claims\":[\"pcp\"],"
					   "\"description\":\"PC\","
					   "\"age_s\":12,\"remaining_s\":60,"
					   "\"traffic\":null") "]}}";
	static const char uncounted[] = "{\"parameters\":{\"leases\":[" LEASE(
		"udp", "3074",
		"\"claims\":[\"pcp\"],\"description\":\"Xbox\",\"age_s\":12,"
		"\"remaining_s\":60,\"traffic\":{\"connections\":1,"
		"\"packets\":null,\"bytes_in\":null,\"bytes_out\":null,"
		"\"idle_s\":4}") "]}}";
	struct fixture *f = *state;

	f->columns = 100;
	assert_int_equal(run_with(f, "list", busy), 0);
	assert_string_equal(
		f->out,
		"PORT      TO                 BY   AGE  LEFT    USED  IN      OUT    PACKETS  "
		"DESCRIPTION\n"
		"udp/3074  192.168.1.20:3074  pcp  12s  1m 00s  4s    1.2 MB  999 B  1812     "
		"Xbox\n"
		"udp/3075  192.168.1.20:3075  pcp  12s  1m 00s  -     -       -      -        "
		"PC\n");
	f->columns = 80;
	assert_int_equal(run_with(f, "list", busy), 0);
	assert_non_null(strstr(f->out, "LEFT    USED  IN      OUT    DESCRIPTION\n"));
	f->columns = 75;
	assert_int_equal(run_with(f, "list", busy), 0);
	assert_non_null(strstr(f->out, "LEFT    USED  DESCRIPTION\n"));
	f->columns = 200;
	assert_int_equal(run_with(f, "list", uncounted), 0);
	assert_non_null(strstr(f->out, "LEFT    USED  DESCRIPTION\n"));
}

static void lists_sorted_json_for_scripts(void **state)
{
	struct fixture *f = *state;
	json_t *want, *got;

	assert_int_equal(run_with(f, "--json list",
				  "{\"parameters\":{\"leases\":[" XBOX "," TORRENT "]}}"),
			 0);
	want = json_loads("{\"leases\":[" TORRENT "," XBOX "]}", 0, NULL);
	got = json_loads(f->out, 0, NULL);
	assert_true(json_equal(want, got));
	json_decref(want);
	json_decref(got);
}

/* From the lease file of a DHCP server; the age has no room beside a name of that length. */
static void lists_devices_by_name(void **state)
{
	static const char one[] = "{\"parameters\":{\"leases\":[" XBOX "]}}";
	struct fixture *f = *state;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/leases", f->dir);
	file = fopen(path, "w");
	fputs("1795262580 a4:c0:e1:00:00:01 192.168.1.20 Xbox-\033[1m *\n", file);
	fclose(file);
	f->dhcp_leases = path;
	f->vendors = "/nonexistent";
	assert_int_equal(run_with(f, "list", one), 0);
	assert_string_equal(f->out,
			    "PORT      TO                 DEVICE        BY        AGE  "
			    "LEFT     DESCRIPTION\n"
			    "udp/3074  192.168.1.20:3074  Xbox-\\x1b[1m  pcp+upnp  12s  "
			    "59m 48s  Xbox\n");
	f->columns = 70;
	assert_int_equal(run_with(f, "list", one), 0);
	assert_string_equal(f->out,
			    "PORT      TO                 DEVICE        BY        "
			    "LEFT     DESCRIPTI…\n"
			    "udp/3074  192.168.1.20:3074  Xbox-\\x1b[1m  pcp+upnp  "
			    "59m 48s  Xbox\n");
	assert_int_equal(run_with(f, "--json list", one), 0);
	assert_non_null(strstr(f->out, "\"device_name\":\"Xbox-\\u001B[1m\","
				       "\"device_mac\":\"a4:c0:e1:00:00:01\"}"));
	f->dhcp_leases = NULL;
	unlink(path);
}

static void says_when_there_are_none(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with(f, "list", "{\"parameters\":{\"leases\":[]}}"), 0);
	assert_string_equal(f->out, "No leases.\n");
	assert_int_equal(run_with(f, "list --json", "{\"parameters\":{\"leases\":[]}}"),
			 0);
	assert_string_equal(f->out, "{\"leases\":[]}\n");
}

#define STATUS                                                                           \
	"{\"version\":\"0.1.0\",\"uptime_s\":7384,\"wan\":{\"interface\":\"ppp0\","      \
	"\"address\":\"11.0.0.2\",\"up\":true},\"lans\":[{\"name\":\"br-lan\","          \
	"\"address\":\"192.168.1.1\",\"upnp\":true,\"pcp\":true,\"http_port\":49152},"   \
	"{\"name\":\"br-guest\",\"address\":null,\"upnp\":false,\"pcp\":false,"          \
	"\"http_port\":null}],\"leases\":{\"count\":12,\"max\":131072},"                 \
	"\"kernel\":{\"in_place_renewal\":true,\"destroy_element\":true,"                \
	"\"assumed_61\":false},\"epoch_s\":7384,\"processes\":[{\"role\":\"parent\","    \
	"\"lan\":null,\"pid\":712,\"user\":\"root\"},{\"role\":\"igd\","                 \
	"\"lan\":\"br-lan\",\"pid\":714,\"user\":\"portreeve-net\"}]}"

static void tells_the_status(void **state)
{
	struct fixture *f = *state;
	json_t *want, *got;

	assert_int_equal(run_with(f, "status", "{\"parameters\":" STATUS "}"), 0);
	assert_string_equal(
		f->out,
		"● portreeved 0.1.0, up 2h 03m\n"
		"       WAN: ppp0, 11.0.0.2\n"
		"       LAN: br-lan, 192.168.1.1; UPnP on port 49152, PCP and NAT-PMP\n"
		"            br-guest, no address yet; neither UPnP nor PCP\n"
		"    Leases: 12 of at most 131072\n"
		"    Kernel: renews leases in place\n"
		"\n"
		"PROCESS  LAN     PID  USER\n"
		"parent   -       712  root\n"
		"igd      br-lan  714  portreeve-net\n");
	assert_int_equal(run_with(f, "status --json", "{\"parameters\":" STATUS "}"), 0);
	want = json_loads(STATUS, 0, NULL);
	got = json_loads(f->out, 0, NULL);
	assert_true(json_equal(want, got));
	json_decref(want);
	json_decref(got);
}

static void tells_what_stands_in_the_way(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		run_with(f, "check", "{\"parameters\":{\"findings\":[],\"more\":false}}"),
		0);
	assert_string_equal(
		f->out, "✓ nothing stands in the way of open ports on this machine\n");
	assert_int_equal(
		run_with(
			f, "check",
			"{\"parameters\":{\"findings\":[{\"severity\":\"warning\",\"id\":\"x\","
			"\"text\":\"maybe\",\"fix\":null}],\"more\":false}}"),
		1);
	assert_string_equal(f->out, "! 1 thing may stand in the way\n\n! maybe\n");
	assert_int_equal(
		run_with(
			f, "check",
			"{\"parameters\":{\"findings\":[{\"severity\":\"block\",\"id\":\"x\","
			"\"text\":\"a sentence of words that has no room in eighty columns and "
			"goes on in the next line\",\"fix\":\"do\\tthis \\\"x\\\"\"},"
			"{\"severity\":\"note\",\"id\":\"y\",\"text\":\"so\",\"fix\":\"\"}],"
			"\"more\":true}}"),
		2);
	assert_string_equal(
		f->out,
		"✗ blocked: 1 thing stands in the way\n\n"
		"✗ a sentence of words that has no room in eighty columns and goes on in the next\n"
		"  line\n"
		"  → do\\x09this \"x\"\n\n"
		"· so\n\n"
		"  ... and more\n");
}

#define FACT(state, text, fix)                                                           \
	"{\"id\":\"x\",\"state\":\"" state "\",\"text\":\"" text "\",\"fix\":" fix "}"

static void explains_the_verdict_first(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		run_with(
			f, "explain 3074/udp",
			"{\"parameters\":{\"open\":false,\"verdict\":\"cgnat\",\"reason\":null,"
			"\"text\":\"no\",\"fix\":\"ask\",\"facts\":[" FACT("good", "one", "null") "," FACT(
				"bad", "two",
				"\"ask\"") "," FACT("unknown", "three",
						    "\"try\"") "," FACT("note", "four",
									"null") "],\"listener\":null}}"),
		1);
	assert_string_equal(f->call,
			    "{\"method\":\"org.portreeve.Explain\",\"parameters\":"
			    "{\"protocol\":\"udp\",\"external_port\":3074}}");
	assert_string_equal(f->out, "✗ no\n  → ask\n\n  ✓ one\n  ✗ two\n  ? three\n"
				    "    → try\n  · four\n");
	assert_int_equal(
		run_with(
			f, "--json explain udp/3074",
			"{\"parameters\":{\"open\":true,\"verdict\":\"open\",\"reason\":null,"
			"\"text\":\"yes\",\"fix\":null,\"facts\":[],\"listener\":{"
			"\"address\":\"11.0.0.2\",\"port\":9,\"from\":\"11.0.0.1\"}}}"),
		0);
	/* From this machine, which is not the router, nothing is sent. */
	assert_non_null(strstr(f->out, "{\"ports\":[{\"protocol\":\"udp\","
				       "\"external_port\":3074,\"open\":true,"));
	assert_non_null(strstr(f->out, "was not tried: this is not the router"));
	assert_int_equal(run_with(f, "explain udp/3074", "{\"parameters\":{}}"), 69);
}

#define DENIALS                                                                           \
	"{\"denials\":[{\"host\":\"192.168.1.20\",\"protocol\":null,\"port\":null,"       \
	"\"port_last\":null,\"since\":99999999999},{\"host\":null,\"protocol\":\"udp\","  \
	"\"port\":3074,\"port_last\":3075,\"since\":99999999999},{\"host\":\"fd00::/8\"," \
	"\"protocol\":null,\"port\":80,\"port_last\":80,\"since\":99999999999}]"

static void denies_and_allows(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with(f, "deny", "{\"parameters\":" DENIALS "}}"), 0);
	assert_string_equal(f->out, "HOST          PORT           SINCE\n"
				    "192.168.1.20  all            0s ago\n"
				    "all           udp/3074-3075  0s ago\n"
				    "fd00::/8      80             0s ago\n");
	assert_int_equal(run_with(f, "deny", "{\"parameters\":{\"denials\":[]}}"), 0);
	assert_string_equal(f->out, "Nothing is denied.\n");
	assert_int_equal(
		run_with(f, "deny 192.168.1.20 udp/3074",
			 "{\"parameters\":{\"denials\":[],\"ended\":1,\"kept\":2}}"),
		0);
	assert_string_equal(f->call,
			    "{\"method\":\"org.portreeve.Deny\",\"parameters\":{\"host\":"
			    "\"192.168.1.20\",\"port\":3074,\"port_last\":3074,"
			    "\"protocol\":\"udp\"}}");
	assert_string_equal(
		f->out, "denied 192.168.1.20 udp/3074; 1 lease ended\n"
			"2 stay open, by portreeve add or a forward of portreeve.conf: "
			"portreeve list\n");
	assert_int_equal(run_with(f, "allow 80-90 fd00::/8", "{\"parameters\":{}}"), 0);
	assert_string_equal(f->call,
			    "{\"method\":\"org.portreeve.Allow\",\"parameters\":{"
			    "\"port\":80,\"port_last\":90,\"host\":\"fd00::/8\"}}");
	assert_string_equal(f->out, "no longer denied: 80-90 fd00::/8\n");
	assert_int_equal(run_with(f, "allow a4:c0:e1:00:00:01", "{\"parameters\":{}}"),
			 0);
	assert_string_equal(f->out, "no longer denied: a4:c0:e1:00:00:01\n");
	assert_int_equal(run(f, "deny a4:c0:e1:00:00:01 ::1"), 64);
	assert_int_equal(run_with(f, "allow 80", ERROR("org.portreeve.NotFound")), 1);
	assert_int_equal(run_with(f, "deny 80", ERROR("org.portreeve.NotAllowed")), 77);
	assert_string_equal(f->err,
			    "portreeve: only root may do that; try: sudo portreeve "
			    "deny 80\n");
	assert_int_equal(run(f, "allow"), 64);
	assert_int_equal(run(f, "deny 1 2"), 64);
	assert_int_equal(run(f, "deny 1 ::1 2"), 64);
	assert_int_equal(run(f, "deny ::/0"), 64);
	assert_int_equal(run(f, "deny x"), 64);
}

static void shows_who_is_connected(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		run_with(
			f, "show udp/3074",
			"{\"parameters\":{\"lease\":" LEASE(
				"udp", "3074",
				"\"claims\":[\"pcp\",\"upnp\"],\"traffic\":{"
				"\"connections\":2,\"packets\":4,\"bytes_in\":1234567,"
				"\"bytes_out\":999,\"idle_s\":4}") ",\"flows\":[{\"remote_address\":"
								   "\"11.0.0.9\",\"remote_port\":1025,\"inbound\":true,\"answered\":true,"
								   "\"packets\":4,\"bytes_in\":1234567,\"bytes_out\":999,\"age_s\":61,"
								   "\"idle_s\":4,\"left_s\":119},{\"remote_address\":\"2a01::9\",\"remote_port\":7,"
								   "\"inbound\":false,\"answered\":false,\"packets\":null,\"bytes_in\":null,"
								   "\"bytes_out\":null,\"age_s\":null,\"left_s\":29}],\"more\":true}}"),
		0);
	assert_string_equal(
		f->out, "udp/3074 to 192.168.1.20:3074 (pcp+upnp)\n\n"
			"REMOTE         BEGUN           AGE     IN      OUT    LAST USE\n"
			"11.0.0.9:1025  in              1m 01s  1.2 MB  999 B  4s\n"
			"[2a01::9]:7    out, no answer  -       -       -      -\n"
			"\n2 connections, 4 packets, 1.2 MB in, 999 B out, last used 4s "
			"ago\n"
			"... and more\n");
	assert_int_equal(run_with(f, "show udp/3074", ERROR("org.portreeve.NotFound")),
			 1);
	assert_string_equal(f->err,
			    "portreeve: no lease on udp/3074; try: portreeve explain "
			    "udp/3074\n");
	assert_int_equal(run(f, "show"), 64);
	assert_int_equal(run(f, "explain 1 2"), 64);
}

static void tells_the_status_of_a_daemon_that_waits(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		run_with(f, "status",
			 "{\"parameters\":{\"version\":\"1\",\"uptime_s\":1,\"wan\":{"
			 "\"interface\":null,\"address\":null,\"up\":false},\"lans\":[],"
			 "\"leases\":{\"count\":0,\"max\":1},\"kernel\":{"
			 "\"assumed_61\":true},\"processes\":[]}}"),
		0);
	assert_string_equal(
		f->out,
		"● portreeved 1, up 1s\n"
		"       WAN: none yet; waiting for a default route\n"
		"       LAN: none yet; waiting for an interface with a private address\n"
		"    Leases: 0 of at most 1\n"
		"    Kernel: renews leases by replacing them (told to take it for a "
		"6.1)\n");
}

#define EVENTS                                                                             \
	"{\"events\":[{\"id\":8,\"time\":86400.5,\"event\":\"refused\",\"times\":12,"      \
	"\"protocol\":\"udp\",\"external_port\":22,\"internal_address\":\"192.168.1.20\"," \
	"\"internal_port\":2222,\"remote\":null,\"by\":\"upnp\",\"reason\":\"reserved\","  \
	"\"seconds\":60,\"description\":\"a \\u001b[1mgame\"},"                            \
	"{\"id\":9,\"time\":86401,\"event\":\"restored\",\"times\":3}],\"next\":null}"

static void tells_the_history(void **state)
{
	struct fixture *f = *state;

	setenv("TZ", "UTC", 1);
	f->columns = 120;
	assert_int_equal(run_with(f, "history --host 192.168.1.20 --port udp/22",
				  "{\"parameters\":" EVENTS "}"),
			 0);
	assert_non_null(strstr(f->call, "\"host\":\"192.168.1.20\",\"port\":22,"
					"\"protocol\":\"udp\"}}"));
	assert_string_equal(
		f->out,
		"TIME                 EVENT        PORT    TO                 BY    REMARK\n"
		"1970-01-02 00:00:00  refused 12x  udp/22  192.168.1.20:2222  upnp  reserved; a \\x1b[1mgame\n"
		"1970-01-02 00:00:01  restored                                      3 leases, after a reboot\n");
	assert_int_equal(run_with(f, "history --json", "{\"parameters\":" EVENTS "}"), 0);
	assert_memory_equal(f->out, "{\"events\":[{\"id\":8,", 18);
	assert_int_equal(
		run_with(f, "history", "{\"parameters\":{\"events\":[],\"next\":null}}"),
		0);
	assert_string_equal(f->out, "Nothing happened.\n");
	/* One that says that there is more and gives nothing must not be asked for ever. */
	assert_int_equal(
		run_with(f, "history", "{\"parameters\":{\"events\":[],\"next\":4}}"),
		69);
}

static void deletes_and_says_what_ended(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with(f, "delete udp/3074",
				  "{\"parameters\":{\"deleted\":1,\"leases\":[" XBOX
				  "]}}"),
			 0);
	assert_string_equal(
		f->call,
		"{\"method\":\"org.portreeve.Delete\",\"parameters\":{\"protocol\":"
		"\"udp\",\"external_port\":3074,\"remote\":null}}");
	assert_string_equal(f->out, "deleted udp/3074 to 192.168.1.20:3074 (pcp+upnp)\n");
	run_with(f, "delete --remote 11.0.0.0/24 8080/tcp --json",
		 "{\"parameters\":{\"deleted\":1,\"leases\":[" WEB "]}}");
	assert_string_equal(
		f->call,
		"{\"method\":\"org.portreeve.Delete\",\"parameters\":{\"protocol\":"
		"\"tcp\",\"external_port\":8080,\"remote\":\"11.0.0.0/24\"}}");
	assert_memory_equal(f->out, "{\"deleted\":1,", 13);
	assert_int_equal(run_with(f, "delete 8080",
				  "{\"parameters\":{\"deleted\":1,\"leases\":[" WEB
				  "]}}"),
			 0);
	assert_string_equal(
		f->call,
		"{\"method\":\"org.portreeve.Delete\",\"parameters\":{\"protocol\":"
		"null,\"external_port\":8080,\"remote\":null}}");
	assert_string_equal(
		f->out,
		"deleted tcp/8080 to 192.168.1.20:8080 only from 11.0.0.0/24 (upnp)\n");
}

static void deletes_what_leads_to_one_host(void **state)
{
	static const char *const to[] = {"2a01::20", "[2a01::20]", "[2a01::20]:80",
					 "192.168.1.20:80"};
	static const char *const call[] = {
		"\"internal_address\":\"2a01::20\"}}",
		"\"internal_address\":\"2a01::20\"}}",
		"\"internal_address\":\"2a01::20\",\"internal_port\":80}}",
		"\"internal_address\":\"192.168.1.20\",\"internal_port\":80}}"};
	struct fixture *f = *state;
	char line[64];

	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		snprintf(line, sizeof(line), "delete tcp/80 %s", to[i]);
		assert_int_equal(
			run_with(f, line,
				 "{\"parameters\":{\"deleted\":1,\"leases\":[" WEB "]}}"),
			0);
		assert_non_null(strstr(f->call, call[i]));
	}
	assert_int_equal(
		run_with(f, "delete tcp/80 ::1", ERROR("org.portreeve.NotFound")), 1);
	assert_string_equal(f->err,
			    "portreeve: no lease on tcp/80 to ::1; see portreeve list\n");
}

static void exits_1_when_there_is_no_such_lease(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with(f, "delete udp/3074", ERROR("org.portreeve.NotFound")),
			 1);
	assert_string_equal(f->err,
			    "portreeve: no lease on udp/3074; see portreeve list\n");
}

static void exits_77_when_it_may_not(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with(f, "delete 3074", ERROR("org.portreeve.NotAllowed")),
			 77);
	assert_string_equal(
		f->err,
		"portreeve: only root may delete; try: sudo portreeve delete 3074\n");
}

static void reloads_and_says_what_that_ended(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with(f, "reload", "{\"parameters\":{\"ended\":2}}"), 0);
	assert_string_equal(f->call, "{\"method\":\"org.portreeve.Reload\"}");
	assert_string_equal(f->out, "reloaded; leases ended by it: 2\n");
	assert_int_equal(run_with(f, "reload --json", "{\"parameters\":{\"ended\":0}}"),
			 0);
	assert_string_equal(f->out, "{\"ended\":0}\n");
	assert_int_equal(
		run_with(f, "reload",
			 "{\"error\":\"org.portreeve.BadConfiguration\",\"parameters\":"
			 "{\"text\":\"/etc/p.conf:3: wan: is wrong\"}}"),
		78);
	assert_string_equal(
		f->err, "portreeve: /etc/p.conf:3: wan: is wrong; nothing has changed\n");
	assert_int_equal(run_with(f, "reload", ERROR("org.portreeve.NotAllowed")), 77);
	assert_string_equal(
		f->err, "portreeve: only root may reload; try: sudo portreeve reload\n");
}

static void exits_64_on_what_it_does_not_understand(void **state)
{
	static const char *const lines[] = {
		"",
		"lst",
		"list all",
		"status now",
		"check now",
		"reload now",
		"delete",
		"delete 1 2",
		"delete 1 [::1",
		"delete 1 ::1 2",
		"delete 1 1.2.3.4:0",
		"delete 0",
		"delete x",
		"delete -1",
		"delete 65536",
		"delete 3-4",
		"delete icmp/1",
		"--jsn list",
		"list --x=1",
		"list --remote 1.2.3.4",
		"list --since 2h",
		"history --since x",
		"history --host router",
		"history --port 1-2",
		"history now",
		"delete 1 --remote x",
		"list -q",
		"l\x1b",
		"list --json=1",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(run(f, lines[i]), 64);
		assert_null(strchr(f->err, '\x1b'));
	}
}

static void exits_69_when_nobody_is_there(void **state)
{
	struct fixture *f = *state;
	char want[256];

	assert_int_equal(run(f, "list"), 69);
	snprintf(
		want, sizeof(want),
		"portreeve: %s/control: No such file or directory; is portreeved running? Try: "
		"systemctl start portreeve\n",
		f->dir);
	assert_string_equal(f->err, want);
	assert_int_equal(run(f, "status --json"), 69);
	assert_int_equal(run(f, "delete udp/1"), 69);
}

static void exits_69_when_the_daemon_hangs_or_hangs_up(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_against(f, "status", "", 0, true), 69);
	assert_non_null(strstr(f->err, "does not answer"));
	assert_int_equal(run_against(f, "list", "{\"par", 5, true), 69);
	assert_non_null(strstr(f->err, "does not answer"));
	assert_int_equal(run_against(f, "status", "", 0, false), 69);
	assert_non_null(strstr(f->err, "hung up"));
	assert_int_equal(run_with(f, "list",
				  "{\"parameters\":{\"leases\":[]},\"continues\":true}"),
			 69);
	assert_non_null(strstr(f->err, "hung up"));
}

static void exits_69_on_answers_that_are_none(void **state)
{
	static const char *const answers[] = {
		"x",
		"",
		"[]",
		"{\"parameters\":1}",
		"{\"parameters\":{}}",
		"{\"parameters\":{\"leases\":[1]}}",
		"{\"parameters\":{\"leases\":{}}}",
		"{\"parameters\":{\"leases\":[{\"external_port\":65536}]}}",
	};
	struct fixture *f = *state;
	char *endless;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		assert_int_equal(run_with(f, "list", answers[i]), 69);
	endless = malloc(5000000);
	memset(endless, ' ', 5000000);
	assert_int_equal(run_against(f, "list", endless, 5000000, true), 69);
	free(endless);
}

static void exits_70_on_errors_that_it_does_not_know(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with(f, "list", ERROR("org.x.\\u001b[1mNew")), 70);
	assert_non_null(strstr(f->err, "org.x.\\x1b[1mNew"));
	assert_int_equal(
		run_with(f, "delete 1",
			 "{\"error\":\"org.portreeve.Failed\",\"parameters\":{"
			 "\"reason\":\"kernel\",\"text\":\"the kernel refused\"}}"),
		70);
	assert_non_null(strstr(f->err, "the kernel refused; see its log"));
	assert_int_equal(
		run_with(f, "add udp/1 192.168.1.20",
			 "{\"error\":\"org.portreeve.Failed\",\"parameters\":{"
			 "\"reason\":\"taken\",\"text\":\"another host has the port\"}}"),
		70);
	assert_string_equal(f->err,
			    "portreeve: portreeved refused: another host has the port; "
			    "portreeve list shows who has it\n");
}

static void adds_and_says_what_it_has_added(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		run_with(f, "add udp/3074 192.168.1.20:4000 --for 2h --remote 11.0.0.2",
			 "{\"parameters\":{\"lease\":" XBOX "}}"),
		0);
	assert_string_equal(
		f->call,
		"{\"method\":\"org.portreeve.Add\",\"parameters\":{\"protocol\":"
		"\"udp\",\"external_port\":3074,\"internal_address\":"
		"\"192.168.1.20\",\"internal_port\":4000,\"remote\":\"11.0.0.2\","
		"\"description\":null,\"seconds\":7200}}");
	assert_string_equal(f->out, "added udp/3074 to 192.168.1.20:3074 (pcp+upnp)\n");
	assert_int_equal(
		run_with(f, "add udp/1 2a01::20", ERROR("org.portreeve.NotAllowed")), 77);
	assert_int_equal(run(f, "add udp/1"), 64);
	assert_int_equal(run(f, "add udp/1 192.168.1.20:0"), 64);
	assert_int_equal(run(f, "add udp/1 host"), 64);
	assert_int_equal(run(f, "add udp/1-2 192.168.1.20"), 64);
	assert_int_equal(run(f, "add udp/1 192.168.1.20 --for 8d"), 64);
	assert_int_equal(run(f, "list --for 8d"), 64);
}

static void exits_0_with_help_and_version(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "--version"), 0);
	assert_memory_equal(f->out, "portreeve ", 10);
	assert_int_equal(run(f, "help"), 0);
	assert_memory_equal(f->out, "usage: ", 7);
	assert_int_equal(run(f, "list --help"), 0);
	for (const char *line = f->out; *line; line = strchr(line, '\n') + 1) {
		const char *dir = strstr(line, RUNSTATEDIR), *end = strchr(line, '\n');

		/* A directory of the build's may be long: "/run" is what it counts for. */
		assert_in_range(end - line, 0,
				dir && dir < end ? 76 + (int)strlen(RUNSTATEDIR) : 80);
	}
}

#define VERDICT                                                                                       \
	"{\"lan\":\"br-lan\",\"host\":\"192.168.1.20\",\"mapping\":\"unknown\","                      \
	"\"filtering\":\"address-and-port-dependent\",\"at_best\":true,"                              \
	"\"xbox\":\"Moderate\",\"playstation\":\"Type 2\",\"nintendo\":\"B\",\"reasons\":["           \
	"{\"id\":\"cgnat\",\"text\":\"carrier's \\u001B NAT\",\"fix\":\"ask for one \\\"IPv4\\\"\"}," \
	"{\"id\":\"may-ask\",\"text\":\"it may ask\",\"fix\":null}]}"

static void tells_what_nat_a_host_sees(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with(f, "nat-type 192.168.1.20",
				  "{\"parameters\":{\"verdicts\":[" VERDICT "]}}"),
			 0);
	assert_string_equal(f->call,
			    "{\"method\":\"org.portreeve.NatType\",\"parameters\":"
			    "{\"host\":\"192.168.1.20\"}}");
	assert_string_equal(
		f->out,
		"192.168.1.20 on br-lan\n"
		"    mapping: unknown\n"
		"  filtering: address-and-port-dependent\n"
		"   consoles: at best Xbox Moderate, PlayStation Type 2, Nintendo B\n"
		"  · carrier's \\x1b NAT\n"
		"    → ask for one \"IPv4\"\n"
		"  · it may ask\n");
	assert_int_equal(run_with(f, "--json nat-type",
				  "{\"parameters\":{\"verdicts\":[" VERDICT "]}}"),
			 0);
	assert_string_equal(f->out, "{\"verdicts\":[" VERDICT "]}\n");
	assert_int_equal(run_with(f, "nat-type 11.0.0.9",
				  "{\"error\":\"org.portreeve.NotInside\",\"parameters\":"
				  "{\"host\":\"11.0.0.9\"}}"),
			 1);
	assert_string_equal(f->err,
			    "portreeve: 11.0.0.9 is in no LAN; see portreeve status\n");
	assert_int_equal(run(f, "nat-type console"), 64);
	assert_int_equal(run(f, "nat-type ::1"), 64);
	assert_int_equal(run(f, "nat-type 1.2.3.4 1.2.3.5"), 64);
	assert_int_equal(run(f, "list --stun a"), 64);
}

static void lists_and_shows_profiles(void **state)
{
	struct fixture *f = *state;
	char path[64], answer[256];
	FILE *p;

	snprintf(path, sizeof(path), "%s/game.conf", f->dir);
	snprintf(answer, sizeof(answer),
		 "{\"parameters\":{\"directory\":\"%s\",\"on\":[\"game\"]}}", f->dir);
	p = fopen(path, "w");
	assert_non_null(p);
	fputs("# A \"game\" \x1b[31m\ntrigger \"g\" {\n\twhen = { \"tcp/1\" }\n}\n", p);
	fclose(p);
	assert_int_equal(run_with(f, "profiles", answer), 0);
	assert_string_equal(f->call, "{\"method\":\"org.portreeve.Profiles\"}");
	assert_non_null(strstr(f->out, "PROFILE  ON  FOR\n"
				       "game     on  A \"game\" \\x1b[31m\n"));
	assert_int_equal(run_with(f, "profiles game", answer), 0);
	assert_string_equal(f->out,
			    "# game, on\n# A \"game\" \\x1b[31m\ntrigger \"g\" {\n"
			    " when = { \"tcp/1\" }\n}\n");
	assert_int_equal(run_with(f, "profiles --json", answer), 0);
	assert_non_null(strstr(f->out, "{\"name\":\"game\",\"on\":true,\"about\":"));
	assert_int_equal(run_with(f, "profiles ../etc", answer), 1);
	assert_int_equal(run_with(f, "profiles other", answer), 1);
	unlink(path);
	assert_int_equal(
		run_with(f, "profiles",
			 "{\"parameters\":{\"directory\":\"/nonexistent\",\"on\":[]}}"),
		70);
	assert_int_equal(run_with(f, "profiles",
				  "{\"parameters\":{\"directory\":null,\"on\":[]}}"),
			 1);
	assert_int_equal(run(f, "profiles a b"), 64);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(lists_a_table_for_80_columns),
		TEST(lists_in_full_where_there_is_room),
		TEST(lists_what_goes_by_a_lease),
		TEST(denies_and_allows),
		TEST(deletes_what_leads_to_one_host),
		TEST(lists_sorted_json_for_scripts),
		TEST(lists_devices_by_name),
		TEST(says_when_there_are_none),
		TEST(tells_the_status),
		TEST(tells_what_stands_in_the_way),
		TEST(explains_the_verdict_first),
		TEST(shows_who_is_connected),
		TEST(tells_the_status_of_a_daemon_that_waits),
		TEST(tells_the_history),
		TEST(tells_what_nat_a_host_sees),
		TEST(lists_and_shows_profiles),
		TEST(deletes_and_says_what_ended),
		TEST(reloads_and_says_what_that_ended),
		TEST(exits_1_when_there_is_no_such_lease),
		TEST(exits_77_when_it_may_not),
		TEST(exits_64_on_what_it_does_not_understand),
		TEST(exits_69_when_nobody_is_there),
		TEST(exits_69_when_the_daemon_hangs_or_hangs_up),
		TEST(exits_69_on_answers_that_are_none),
		TEST(exits_70_on_errors_that_it_does_not_know),
		TEST(adds_and_says_what_it_has_added),
		TEST(exits_0_with_help_and_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
