/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods of org.portreeve over a real socket, with a core made of an array. */
#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/clock.h"
#include "config.h"
#include "daemon/control.h"

#define TURNS 5000

struct fixture {
	struct event_base *base;
	struct control *control;
	struct sockaddr_un addr;
	socklen_t addr_len;
	int fd;
	struct lease *lease;
	size_t n;
	enum lease_reason reason; /* of end_lease */
	size_t reloads;
	struct lease_denial denial;
	size_t looks; /* at what goes by the leases */
	const char *reload_error;
	struct store_question question;
	bool no_store; /* history is not answered */
	bool later;    /* end_lease answers when asked to */
	size_t n_pending, most_pending;
	struct {
		void (*done)(void *arg, enum lease_reason reason);
		void *arg;
	} pending[64];
};

#define RANGE_FIRST 27000
#define RANGE_LAST 27100

static uid_t caller; /* what SO_PEERCRED says */

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int err = __real_getsockopt(fd, level, name, value, len);

	if (!err && level == SOL_SOCKET && name == SO_PEERCRED)
		((struct ucred *)value)->uid = caller;
	return err;
}

static void status(void *core, struct control_status *out)
{
	struct fixture *f = core;

	out->started_ms = clock_ms() - 61500;
	out->epoch_ms = clock_ms() - 5500;
	out->wan.interface = "ppp0";
	addr_parse("11.0.0.2", &out->wan.addr);
	out->wan.up = true;
	out->n_lans = 2;
	out->lans[0] = (struct control_lan){
		.name = "br-lan", .upnp = true, .pcp = true, .http_port = 49152};
	addr_parse("192.168.1.1", &out->lans[0].addr);
	out->lans[1] = (struct control_lan){.name = "br-guest"};
	out->leases = f->n;
	out->max_leases = 131072;
	out->destroy_element = true;
	out->n_processes = 2;
	out->processes[0] = (struct control_process){"parent", NULL, 7, "root"};
	out->processes[1] = (struct control_process){"igd", "br-lan", 9, "portreeve-net"};
}

static void each_lease(void *core, void (*each)(void *arg, const struct lease *l),
		       void *arg)
{
	struct fixture *f = core;

	for (size_t i = 0; i < f->n; i++)
		each(arg, &f->lease[i]);
}

static const struct lease *find_lease(void *core, const struct control_key *key)
{
	struct fixture *f = core;

	for (size_t i = 0; i < f->n; i++) {
		const struct lease *l = &f->lease[i];

		if (l->protocol == key->protocol && l->ext_port == key->ext_port &&
		    l->remote_len == key->remote_len &&
		    addr_equal(&l->remote, &key->remote))
			return l;
	}
	return NULL;
}

static void end_lease(void *core, const struct control_key *key,
		      void (*done)(void *arg, enum lease_reason reason), void *arg)
{
	const struct lease *l = find_lease(core, key);
	struct fixture *f = core;

	assert_non_null(l);
	if (f->reason == LEASE_OK)
		f->lease[l - f->lease] = f->lease[--f->n];
	if (!f->later) {
		done(arg, f->reason);
		return;
	}
	f->pending[f->n_pending].done = done;
	f->pending[f->n_pending++].arg = arg;
	if (f->n_pending > f->most_pending)
		f->most_pending = f->n_pending;
}

/* Grants what is asked for, or refuses it with f->reason. */
static void add_lease(void *core, const struct lease_request *req,
		      void (*done)(void *arg, enum lease_reason reason), void *arg)
{
	struct fixture *f = core;

	assert_int_equal(req->op, LEASE_OP_MAP);
	assert_int_equal(req->by, LEASE_BY_ADMIN);
	if (f->reason == LEASE_OK)
		f->lease[f->n++] = (struct lease){.protocol = req->protocol,
						  .ext_port = req->ext_port,
						  .int_port = req->int_port,
						  .internal = req->internal,
						  .enabled = true,
						  .origin = LEASE_BY_PCP,
						  .claims = 1 << LEASE_BY_PCP,
						  .created_ms = clock_ms() - 12500,
						  .deadline_ms = clock_ms() + 3587500};
	done(arg, f->reason);
}

static const struct check_report *check(void *core)
{
	static const struct check_report report = {
		.n = 2,
		.finding = {{CHECK_BLOCK, "ip-forward", "it does not route", "sysctl x"},
			    {CHECK_NOTE, "other", "a \"note\"", ""}},
	};

	(void)core;
	return &report;
}

/* As if the leases of one port were those of a range. */
static uint16_t last_port(void *core, const struct lease *l)
{
	(void)core;
	return l->ext_port == RANGE_FIRST ? RANGE_LAST : l->ext_port;
}

static void reload(void *core, void (*done)(void *arg, const char *error, size_t ended),
		   void *arg)
{
	struct fixture *f = core;

	f->reloads++;
	done(arg, f->reload_error, 3);
}

static void history(void *core, const struct store_question *q, core_store_done done,
		    void *arg)
{
	struct fixture *f = core;
	struct store_answer answer = {.next = 9, .more = q->after == 0};
	struct store_event e[2] = {
		{.id = 8,
		 .time_ms = 1700000000500,
		 .times = 1,
		 .what = STORE_REFUSED,
		 .reason = LEASE_RESERVED,
		 .by = LEASE_BY_UPNP,
		 .protocol = IPPROTO_UDP,
		 .ext_port = 22,
		 .int_port = 2222,
		 .seconds = UINT32_MAX,
		 .description = "a \"game\""},
		{.id = 9, .time_ms = 1700000001000, .times = 12, .what = STORE_RESTORED},
	};

	f->question = *q;
	assert_int_equal(addr_parse("192.168.1.20", &e[0].internal), 0);
	if (f->no_store)
		done(arg, NULL, NULL, 0);
	else
		done(arg, &answer, e, 2);
}

static void explain(void *core, uint8_t protocol, uint16_t port,
		    control_explain_done done, void *arg)
{
	const struct explain_report report = {
		.verdict = "refused",
		.reason = "reserved",
		.text = "it was \"refused\"",
		.n = 1,
		.fact = {{"lease", EXPLAIN_BAD, "there is none", ""}},
		.try_listener = port == 3074,
		.inside_port = 4000,
	};

	(void)core;
	assert_int_equal(protocol, IPPROTO_UDP);
	done(arg, port == 9 ? NULL : &report);
}

static void flows(void *core, uint8_t protocol, uint16_t port, control_flows_done done,
		  void *arg)
{
	struct fixture *f = core;
	const struct control_key key = {.protocol = protocol, .ext_port = port};
	struct conntrack_flow flow = {.inbound = true,
				      .counted = port == 3074,
				      .in_bytes = 7,
				      .idle_s = 1,
				      .left_s = 29};
	struct control_flows answer;

	addr_parse("11.0.0.9", &flow.flow.original.src);
	flow.flow.original.sport = 1025;
	answer = (struct control_flows){.lease = find_lease(f, &key),
					.flow = &flow,
					.n = 1,
					.sum = {.connections = 1,
						.counted = port == 3074,
						.in_bytes = 7,
						.idle_s = 1}};
	done(arg, port == 9 ? -EBUSY : 0, &answer);
}

/* Of one lease something is known, of another that there is nothing; of the others nothing. */
static bool traffic(void *core, const struct lease *l, struct traffic_sum *out)
{
	(void)core;
	*out = TRAFFIC_NONE;
	if (l->ext_port == 3074)
		*out = (struct traffic_sum){.connections = 2,
					    .counted = 2,
					    .packets = 3,
					    .in_bytes = 4,
					    .out_bytes = 5,
					    .idle_s = 6};
	return l->ext_port <= 3075;
}

static void look(void *core, void (*done)(void *arg), void *arg)
{
	struct fixture *f = core;

	f->looks++;
	done(arg);
}

static bool
nat_type(void *core, const struct in6_addr *host,
	 void (*each)(void *arg, const char *lan, const struct nat_type *type), void *arg)
{
	static const struct nat_type type = {
		.mapping = NAT_MAPPING_INDEPENDENT,
		.filtering = NAT_FILTERING_ADDRESS_PORT,
		.at_best = true,
		.grades = {"Moderate", "Type 2", "B"},
		.n = 2,
		.reason = {{"own-ports", "it keeps its port", ""},
			   {"open-nat-off", "it is off", "open-nat = true"}},
	};
	struct in6_addr stranger;

	(void)core;
	assert_int_equal(addr_parse("11.0.0.9", &stranger), 0);
	if (host && addr_equal(host, &stranger))
		return false;
	each(arg, "br-lan", &type);
	if (!host)
		each(arg, "br-guest", &type);
	return true;
}

static const struct config *config(void *core)
{
	static struct config c = {.n_profiles = 2,
				  .profile = {"xbox", "battle-net"},
				  .profiles_dir = "/usr/share/p"};

	(void)core;
	return &c;
}

static const struct control_counts *counts(void *core)
{
	static const struct control_counts n = {
		.granted = {[LEASE_BY_PCP] = 7},
		.ended = {[LEASE_END_GONE] = 3},
		.refused = {[LEASE_RESERVED] = 2},
	};

	(void)core;
	return &n;
}

static struct lease_denial denied[2] = {
	{.ports = {.tcp = true, .udp = true}, .since_s = 7},
	{.ports = {.udp = true, .first = 3074, .last = 3075}, .since_s = 8}};

static const struct lease_denial *denials(void *core, size_t *n)
{
	(void)core;
	addr_parse("192.168.1.20", &denied[0].host.addr);
	denied[0].host.len = 128;
	*n = 2;
	return denied;
}

/* Notes what is to be denied; port 9 there is no room for. */
static int deny(void *core, const struct lease_denial *d, size_t *ended, size_t *kept)
{
	struct fixture *f = core;

	f->denial = *d;
	*ended = 3;
	*kept = 1;
	return d->ports.first == 9 ? -ENOSPC : 0;
}

static int allow(void *core, const struct lease_denial *d)
{
	struct fixture *f = core;

	f->denial = *d;
	return d->ports.first == 9 ? -ENOENT : 0;
}

static const struct control_ops ops = {
	.counts = counts,
	.status = status,
	.each_lease = each_lease,
	.find_lease = find_lease,
	.look = look,
	.traffic = traffic,
	.last_port = last_port,
	.end_lease = end_lease,
	.add_lease = add_lease,
	.denials = denials,
	.deny = deny,
	.allow = allow,
	.check = check,
	.history = history,
	.explain = explain,
	.flows = flows,
	.reload = reload,
	.nat_type = nat_type,
	.config = config,
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	caller = 0;
	f->base = event_base_new();
	f->addr.sun_family = AF_UNIX;
	f->addr_len = sizeof(f->addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&f->addr, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&f->addr, &f->addr_len), 0);
	assert_int_equal(listen(fd, 64), 0);
	f->control = control_new(f->base, fd, &ops, f);
	assert_non_null(f->control);
	f->fd = -1;
	f->lease = calloc(2000, sizeof(*f->lease));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->fd >= 0)
		close(f->fd);
	control_free(f->control);
	event_base_free(f->base);
	free(f->lease);
	free(f);
	return 0;
}

static struct lease *put(struct fixture *f, uint8_t protocol, uint16_t port)
{
	struct lease *l = &f->lease[f->n++];

	*l = (struct lease){.protocol = protocol,
			    .ext_port = port,
			    .int_port = port,
			    .enabled = true,
			    .origin = LEASE_BY_PCP,
			    .claims = 1 << LEASE_BY_PCP,
			    .created_ms = clock_ms() - 12500,
			    .deadline_ms = clock_ms() + 3587500};
	addr_parse("192.168.1.20", &l->internal);
	return l;
}

static void say(struct fixture *f, const char *text)
{
	if (f->fd < 0) {
		f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_int_equal(connect(f->fd, (struct sockaddr *)&f->addr, f->addr_len),
				 0);
	}
	assert_int_equal(send(f->fd, text, strlen(text) + 1, MSG_NOSIGNAL),
			 strlen(text) + 1);
}

static json_t *hear(struct fixture *f)
{
	static char buf[2 * 1024 * 1024];
	size_t n = 0;

	for (int i = 0; i < TURNS; i++) {
		ssize_t got = recv(f->fd, buf + n, sizeof(buf) - n, MSG_PEEK);
		char *end = got > 0 ? memchr(buf + n, '\0', (size_t)got) : NULL;

		assert_int_not_equal(got, 0);
		if (got > 0) {
			size_t take = end ? (size_t)(end - buf) + 1 - n : (size_t)got;

			assert_int_equal(recv(f->fd, buf + n, take, 0), take);
			n += take;
		}
		if (end)
			return json_loads(buf, 0, NULL);
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		usleep(100);
	}
	fail_msg("no answer");
	return NULL;
}

static void ask(struct fixture *f, const char *call, const char *want)
{
	json_t *message;
	char *text;

	say(f, call);
	message = hear(f);
	text = json_dumps(message, JSON_COMPACT);
	assert_string_equal(text, want);
	free(text);
	json_decref(message);
}

#define LIST "{\"method\":\"org.portreeve.List\"}"
#define LIST_MORE "{\"method\":\"org.portreeve.List\",\"more\":true}"
#define DELETE(params) "{\"method\":\"org.portreeve.Delete\",\"parameters\":" params "}"
#define INVALID(name)                                                                               \
	"{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"" name \
	"\"}}"
#define NOT_FOUND "{\"error\":\"org.portreeve.NotFound\",\"parameters\":{}}"
#define LEASE_WITH(protocol, port, more)                                                 \
	"{\"protocol\":\"" protocol "\",\"external_port\":" port                         \
	",\"internal_address\":\"192.168.1.20\",\"internal_port\":" port                 \
	",\"remote\":null,\"origin\":\"pcp\",\"claims\":[\"pcp\"],\"description\":\"\"," \
	"\"enabled\":true,\"age_s\":12,\"remaining_s\":3588" more "}"
#define LEASE(protocol, port) LEASE_WITH(protocol, port, "")
#define LIST_TRAFFIC(traffic)                                                            \
	"{\"method\":\"org.portreeve.List\",\"parameters\":{\"traffic\":" traffic "}}"

static void lists_with_the_schema_of_the_manual(void **state)
{
	struct fixture *f = *state;
	struct lease *l;

	ask(f, LIST, "{\"parameters\":{\"leases\":[]}}");
	l = put(f, IPPROTO_UDP, 3074);
	l->claims = 1 << LEASE_BY_PCP | 1 << LEASE_BY_UPNP;
	strcpy(l->description, "Xbox \"Teredo\" \x01");
	ask(f, LIST,
	    "{\"parameters\":{\"leases\":[{\"protocol\":\"udp\",\"external_port\":3074,"
	    "\"internal_address\":\"192.168.1.20\",\"internal_port\":3074,\"remote\":null,"
	    "\"origin\":\"pcp\",\"claims\":[\"pcp\",\"upnp\"],"
	    "\"description\":\"Xbox \\\"Teredo\\\" \\u0001\",\"enabled\":true,\"age_s\":12,"
	    "\"remaining_s\":3588}]}}");
}

/* Only who asks for it causes a look at the connections; what is not known is null. */
static void lists_what_goes_by_a_lease(void **state)
{
	struct fixture *f = *state;

	put(f, IPPROTO_UDP, 3074);
	put(f, IPPROTO_UDP, 3075);
	put(f, IPPROTO_UDP, 3076);
	ask(f, LIST_TRAFFIC("true"),
	    "{\"parameters\":{\"leases\":[" LEASE_WITH(
		    "udp", "3074",
		    ",\"traffic\":{\"connections\":2,\"packets\":3,"
		    "\"bytes_in\":4,\"bytes_out\":5,\"idle_s\":6}") "," LEASE_WITH("udp",
										   "3075",
										   ",\"traffic\":{\"connections\":0,\"packets\":null,"
										   "\"bytes_in\":null,\"bytes_out\":null,"
										   "\"idle_s\":null}") "," LEASE_WITH("udp",
														      "3076",
														      ",\"traffic\":null") "]}}");
	assert_int_equal(f->looks, 1);
	ask(f, LIST_TRAFFIC("false"),
	    "{\"parameters\":{\"leases\":[" LEASE("udp", "3074") "," LEASE(
		    "udp", "3075") "," LEASE("udp", "3076") "]}}");
	ask(f, LIST_TRAFFIC("1"), INVALID("traffic"));
	assert_int_equal(f->looks, 1);
}

static void lists_what_is_not_ordinary(void **state)
{
	struct fixture *f = *state;
	struct lease *l = put(f, IPPROTO_TCP, 80);

	l->origin = LEASE_BY_UPNP;
	l->claims = 1 << LEASE_BY_UPNP;
	l->until_gone = l->claims;
	l->enabled = false;
	l->remote_len = 120;
	addr_parse("11.0.0.0", &l->remote);
	strcpy(l->description, "caf\xe9");
	ask(f, LIST,
	    "{\"parameters\":{\"leases\":[{\"protocol\":\"tcp\",\"external_port\":80,"
	    "\"internal_address\":\"192.168.1.20\",\"internal_port\":80,"
	    "\"remote\":\"11.0.0.0/24\",\"origin\":\"upnp\",\"claims\":[\"upnp\"],"
	    "\"description\":\"caf\\\\xe9\",\"enabled\":false,\"age_s\":12,"
	    "\"remaining_s\":null}]}}");
	l->deadline_ms = LEASE_NO_DEADLINE;
	l->until_gone = 0;
	l->remote_len = 0;
	l->description[0] = '\0';
	addr_parse("fd00::2", &l->internal);
	ask(f, LIST,
	    "{\"parameters\":{\"leases\":[{\"protocol\":\"tcp\",\"external_port\":80,"
	    "\"internal_address\":\"fd00::2\",\"internal_port\":80,\"remote\":null,"
	    "\"origin\":\"upnp\",\"claims\":[\"upnp\"],\"description\":\"\","
	    "\"enabled\":false,\"age_s\":12,\"remaining_s\":null,\"family\":\"ipv6\"}]}}");
}

static void lists_a_lease_past_its_deadline_with_nothing_left(void **state)
{
	struct fixture *f = *state;
	struct lease *l = put(f, IPPROTO_TCP, 80);
	const json_t *lease;
	json_t *message;

	l->deadline_ms = clock_ms() - 1;
	l->created_ms = clock_ms() + 1000;
	say(f, LIST);
	message = hear(f);
	lease = json_array_get(
		json_object_get(json_object_get(message, "parameters"), "leases"), 0);
	assert_int_equal(json_integer_value(json_object_get(lease, "remaining_s")), 0);
	assert_int_equal(json_integer_value(json_object_get(lease, "age_s")), 0);
	json_decref(message);
}

static void lists_many_in_pieces(void **state)
{
	struct fixture *f = *state;
	size_t got = 0, pieces = 0;
	bool more = true;

	for (uint16_t i = 0; i < 1200; i++)
		memset(put(f, IPPROTO_UDP, (uint16_t)(20000 + i))->description, 7, 128);
	ask(f, LIST,
	    "{\"error\":\"org.portreeve.TooMany\",\"parameters\":{\"limit\":500}}");
	say(f, LIST_MORE);
	for (; more; pieces++) {
		json_t *message = hear(f);
		const json_t *p = json_object_get(message, "parameters");

		got += json_array_size(json_object_get(p, "leases"));
		more = json_is_true(json_object_get(message, "continues"));
		json_decref(message);
		f->n = 1199; /* the last one ends while the list is read */
	}
	assert_int_equal(got, 1199);
	assert_int_equal(pieces, (1200 + CONTROL_PIECE - 1) / CONTROL_PIECE);
	f->n = 0;
	ask(f, LIST_MORE, "{\"parameters\":{\"leases\":[]}}");
}

static void tells_what_stands_in_the_way(void **state)
{
	struct fixture *f = *state;

	ask(f, "{\"method\":\"org.portreeve.Check\"}",
	    "{\"parameters\":{\"findings\":[{\"severity\":\"block\",\"id\":\"ip-forward\","
	    "\"text\":\"it does not route\",\"fix\":\"sysctl x\"},{\"severity\":\"note\","
	    "\"id\":\"other\",\"text\":\"a \\\"note\\\"\",\"fix\":null}],\"more\":false}}");
}

static void tells_its_status(void **state)
{
	struct fixture *f = *state;

	ask(f, "{\"method\":\"org.portreeve.Status\"}",
	    "{\"parameters\":{\"version\":\"" PACKAGE_VERSION "\",\"uptime_s\":61,"
	    "\"wan\":{\"interface\":\"ppp0\",\"address\":\"11.0.0.2\",\"up\":true},"
	    "\"lans\":[{\"name\":\"br-lan\",\"address\":\"192.168.1.1\",\"upnp\":true,"
	    "\"pcp\":true,\"http_port\":49152},{\"name\":\"br-guest\",\"address\":null,"
	    "\"upnp\":false,\"pcp\":false,\"http_port\":null}],"
	    "\"leases\":{\"count\":0,\"max\":131072},"
	    "\"kernel\":{\"in_place_renewal\":false,\"destroy_element\":true,"
	    "\"assumed_61\":false},\"epoch_s\":5,"
	    "\"processes\":[{\"role\":\"parent\",\"lan\":null,\"pid\":7,\"user\":\"root\"},"
	    "{\"role\":\"igd\",\"lan\":\"br-lan\",\"pid\":9,\"user\":\"portreeve-net\"}]}}");
}

static void deletes_a_port_of_one_protocol_or_of_both(void **state)
{
	struct fixture *f = *state;

	put(f, IPPROTO_UDP, 3074);
	put(f, IPPROTO_TCP, 3074);
	put(f, IPPROTO_TCP, 3075);
	ask(f, DELETE("{\"protocol\":\"udp\",\"external_port\":3074}"),
	    "{\"parameters\":{\"deleted\":1,\"leases\":[" LEASE("udp", "3074") "]}}");
	ask(f, DELETE("{\"protocol\":\"udp\",\"external_port\":3074}"), NOT_FOUND);
	put(f, IPPROTO_UDP, 3074);
	ask(f, DELETE("{\"protocol\":null,\"external_port\":3074,\"remote\":null}"),
	    "{\"parameters\":{\"deleted\":2,\"leases\":[" LEASE("tcp", "3074") "," LEASE(
		    "udp", "3074") "]}}");
	ask(f, LIST, "{\"parameters\":{\"leases\":[" LEASE("tcp", "3075") "]}}");
}

static void deletes_only_of_the_remote_that_was_named(void **state)
{
	struct fixture *f = *state;
	struct lease *l = put(f, IPPROTO_UDP, 3074);

	l->remote_len = 128;
	addr_parse("11.0.0.2", &l->remote);
	put(f, IPPROTO_UDP, 3074);
	ask(f, DELETE("{\"external_port\":3074,\"remote\":\"11.0.0.3\"}"), NOT_FOUND);
	say(f, DELETE("{\"external_port\":3074,\"remote\":\"11.0.0.2\"}"));
	json_decref(hear(f));
	assert_int_equal(f->n, 1);
	assert_int_equal(f->lease[0].remote_len, 0);
}

static void deletes_for_root_only(void **state)
{
	struct fixture *f = *state;

	put(f, IPPROTO_UDP, 3074);
	caller = 1000;
	ask(f, DELETE("{\"external_port\":3074}"),
	    "{\"error\":\"org.portreeve.NotAllowed\",\"parameters\":{}}");
	assert_int_equal(f->n, 1);
	ask(f, LIST, "{\"parameters\":{\"leases\":[" LEASE("udp", "3074") "]}}");
}

#define RELOAD "{\"method\":\"org.portreeve.Reload\"}"

static void reloads_and_says_what_is_wrong(void **state)
{
	struct fixture *f = *state;

	ask(f, RELOAD, "{\"parameters\":{\"ended\":3}}");
	assert_int_equal(f->reloads, 1);
	f->reload_error = "p.conf:3: wan: wrong";
	ask(f, RELOAD,
	    "{\"error\":\"org.portreeve.BadConfiguration\",\"parameters\":{\"text\":"
	    "\"p.conf:3: wan: wrong\"}}");
	assert_int_equal(f->reloads, 2);
	ask(f, "{\"method\":\"org.portreeve.Reload\",\"parameters\":{\"file\":\"/x\"}}",
	    "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{"
	    "\"parameter\":\"file\"}}");
	assert_int_equal(f->reloads, 2);
}

static void reloads_for_root_only(void **state)
{
	struct fixture *f = *state;

	caller = 1000;
	ask(f, RELOAD, "{\"error\":\"org.portreeve.NotAllowed\",\"parameters\":{}}");
	assert_int_equal(f->reloads, 0);
}

static void a_range_is_listed_with_its_last_port(void **state)
{
	struct fixture *f = *state;
	json_t *reply, *lease;

	put(f, IPPROTO_UDP, RANGE_FIRST);
	put(f, IPPROTO_UDP, 3074);
	say(f, LIST);
	reply = hear(f);
	lease = json_array_get(
		json_object_get(json_object_get(reply, "parameters"), "leases"), 0);
	assert_int_equal(json_integer_value(json_object_get(lease, "external_port")),
			 RANGE_FIRST);
	assert_int_equal(json_integer_value(json_object_get(lease, "external_port_last")),
			 RANGE_LAST);
	lease = json_array_get(
		json_object_get(json_object_get(reply, "parameters"), "leases"), 1);
	assert_null(json_object_get(lease, "external_port_last"));
	json_decref(reply);
}

static void deletes_nothing_when_a_parameter_is_wrong(void **state)
{
	struct fixture *f = *state;

	put(f, IPPROTO_UDP, 3074);
	ask(f, DELETE("{}"), INVALID("external_port"));
	ask(f, DELETE("{\"external_port\":0}"), INVALID("external_port"));
	ask(f, DELETE("{\"external_port\":65536}"), INVALID("external_port"));
	ask(f, DELETE("{\"external_port\":68610}"), INVALID("external_port"));
	ask(f, DELETE("{\"external_port\":\"3074\"}"), INVALID("external_port"));
	ask(f, DELETE("{\"external_port\":3074.0}"), INVALID("external_port"));
	ask(f, DELETE("{\"external_port\":3074,\"protocol\":\"sctp\"}"),
	    INVALID("protocol"));
	ask(f, DELETE("{\"external_port\":3074,\"protocol\":17}"), INVALID("protocol"));
	ask(f, DELETE("{\"external_port\":3074,\"remote\":\"x\"}"), INVALID("remote"));
	ask(f, DELETE("{\"external_port\":3074,\"remote\":1}"), INVALID("remote"));
	ask(f, DELETE("{\"external_port\":3074,\"internal_address\":\"x\"}"),
	    INVALID("internal_address"));
	ask(f, DELETE("{\"external_port\":3074,\"internal_address\":\"::\"}"),
	    INVALID("internal_address"));
	ask(f, DELETE("{\"external_port\":3074,\"internal_port\":0}"),
	    INVALID("internal_port"));
	ask(f, DELETE("{\"external_port\":3074,\"internal_address\":\"192.168.1.21\"}"),
	    NOT_FOUND);
	ask(f, DELETE("{\"external_port\":3074,\"internal_port\":9}"), NOT_FOUND);
	ask(f, DELETE("{\"external_port\":3074,\"only\":1}"), INVALID("only"));
	assert_int_equal(f->n, 1);
}

#define ADD(params) "{\"method\":\"org.portreeve.Add\",\"parameters\":" params "}"
#define ADD_TO(rest)                                                                     \
	ADD("{\"protocol\":\"udp\",\"external_port\":3074,\"internal_address\":"         \
	    "\"192.168.1.20\"" rest "}")

static void adds_what_is_right(void **state)
{
	struct fixture *f = *state;

	ask(f, ADD_TO(",\"internal_port\":0"), INVALID("internal_port"));
	ask(f, ADD_TO(",\"seconds\":604801"), INVALID("seconds"));
	ask(f, ADD_TO(",\"remote\":\"x\""), INVALID("remote"));
	ask(f, ADD_TO(",\"description\":1"), INVALID("description"));
	ask(f, ADD_TO(",\"more\":1"), INVALID("more"));
	ask(f, ADD("{\"protocol\":\"udp\",\"external_port\":0}"),
	    INVALID("external_port"));
	ask(f,
	    ADD("{\"protocol\":\"udp\",\"external_port\":1,\"internal_address\":\"x\"}"),
	    INVALID("internal_address"));
	ask(f,
	    ADD("{\"protocol\":\"udp\",\"external_port\":1,\"internal_address\":"
		"\"2a01::1\",\"internal_port\":2}"),
	    INVALID("internal_port"));
	assert_int_equal(f->n, 0);
	ask(f, ADD_TO(""), "{\"parameters\":{\"lease\":" LEASE("udp", "3074") "}}");
	f->reason = LEASE_TAKEN;
	ask(f, ADD_TO(""),
	    "{\"error\":\"org.portreeve.Failed\",\"parameters\":{\"reason\":\"taken\","
	    "\"text\":\"another host has the port\"}}");
}

static void adds_for_nobody_else(void **state)
{
	struct fixture *f = *state;

	caller = 1000;
	ask(f, ADD_TO(""), "{\"error\":\"org.portreeve.NotAllowed\",\"parameters\":{}}");
	assert_int_equal(f->n, 0);
}

static void says_what_the_kernel_said(void **state)
{
	struct fixture *f = *state;
	json_t *message;

	put(f, IPPROTO_UDP, 3074);
	f->reason = LEASE_KERNEL;
	say(f, DELETE("{\"external_port\":3074}"));
	message = hear(f);
	assert_string_equal(json_string_value(json_object_get(message, "error")),
			    "org.portreeve.Failed");
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(message, "parameters"), "reason")),
			    lease_reason_name(LEASE_KERNEL));
	json_decref(message);
	f->reason = LEASE_NOT_FOUND;
	ask(f, DELETE("{\"external_port\":3074}"), NOT_FOUND);
}

static void answers_when_the_kernel_has_done_all(void **state)
{
	struct fixture *f = *state;
	json_t *message;
	char text[16];
	int ended = 0;

	f->later = true;
	for (unsigned int i = 1; i <= 30; i++) {
		struct lease *l = put(f, IPPROTO_UDP, 3074);

		snprintf(text, sizeof(text), "11.0.0.%u", i);
		l->remote_len = 128;
		addr_parse(text, &l->remote);
	}
	say(f, DELETE("{\"external_port\":3074}"));
	for (int i = 0; i < TURNS && ended < 30; i++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		usleep(100);
		assert_int_equal(recv(f->fd, text, 1, MSG_PEEK), -1);
		if (f->n_pending) {
			f->n_pending--;
			ended++;
			f->pending[f->n_pending].done(f->pending[f->n_pending].arg,
						      LEASE_OK);
		}
	}
	message = hear(f);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(message, "parameters"), "deleted")),
			 30);
	json_decref(message);
	assert_in_range(f->most_pending, 2, 8);
	assert_int_equal(f->n, 0);
}

#define HISTORY(params) "{\"method\":\"org.portreeve.History\",\"parameters\":" params "}"
#define EVENTS                                                                             \
	"\"events\":[{\"id\":8,\"time\":1700000000.5,\"event\":\"refused\",\"times\":1,"   \
	"\"protocol\":\"udp\",\"external_port\":22,\"internal_address\":\"192.168.1.20\"," \
	"\"internal_port\":2222,\"remote\":null,\"by\":\"upnp\",\"reason\":\"reserved\","  \
	"\"seconds\":null,\"description\":\"a \\\"game\\\"\"},"                            \
	"{\"id\":9,\"time\":1700000001.0,\"event\":\"restored\",\"times\":12}]"

static void tells_the_history_a_page_at_a_time(void **state)
{
	struct fixture *f = *state;

	ask(f, HISTORY("{}"), "{\"parameters\":{" EVENTS ",\"next\":9}}");
	assert_int_equal(f->question.limit, STORE_PAGE);
	assert_int_equal(f->question.since_ms, 0);
	ask(f,
	    HISTORY("{\"after\":9,\"since\":1700000000,\"host\":\"192.168.1.20\","
		    "\"protocol\":\"tcp\",\"port\":3074}"),
	    "{\"parameters\":{" EVENTS ",\"next\":null}}");
	assert_int_equal(f->question.after, 9);
	assert_int_equal(f->question.since_ms, 1700000000000);
	assert_int_equal(f->question.port, 3074);
	assert_int_equal(f->question.protocol, IPPROTO_TCP);
	assert_true(addr_is_v4(&f->question.host));
	f->no_store = true;
	ask(f, HISTORY("{}"),
	    "{\"error\":\"org.portreeve.Failed\",\"parameters\":{\"reason\":\"store\","
	    "\"text\":\"the store does not answer now\"}}");
}

static void refuses_wrong_questions_by_name(void **state)
{
	struct fixture *f = *state;

	ask(f, HISTORY("{\"after\":-1}"), INVALID("after"));
	ask(f, HISTORY("{\"since\":\"x\"}"), INVALID("since"));
	ask(f, HISTORY("{\"since\":9223372036854775807}"), INVALID("since"));
	ask(f, HISTORY("{\"port\":65536}"), INVALID("port"));
	ask(f, HISTORY("{\"protocol\":\"icmp\"}"), INVALID("protocol"));
	ask(f, HISTORY("{\"host\":\"router\"}"), INVALID("host"));
	ask(f, HISTORY("{\"hosts\":\"1.2.3.4\"}"), INVALID("hosts"));
}

#define EXPLAIN(port)                                                                    \
	"{\"method\":\"org.portreeve.Explain\",\"parameters\":{\"protocol\":\"udp\","    \
	"\"external_port\":" port "}}"
#define FLOWS(port)                                                                      \
	"{\"method\":\"org.portreeve.Flows\",\"parameters\":{\"protocol\":\"udp\","      \
	"\"external_port\":" port "}}"
#define BUSY                                                                                \
	"{\"error\":\"org.portreeve.Failed\",\"parameters\":{\"reason\":\"busy\",\"text\":" \
	"\"too many ask at once; try again in a moment\"}}"

static void explains_a_port(void **state)
{
	static const char begin[] =
		"{\"parameters\":{\"open\":false,\"verdict\":\"refused\",\"reason\":"
		"\"reserved\",\"text\":\"it was \\\"refused\\\"\",\"fix\":null,\"facts\":["
		"{\"id\":\"lease\",\"state\":\"bad\",\"text\":\"there is none\","
		"\"fix\":null}],\"listener\":";
	struct fixture *f = *state;
	char want[512];

	snprintf(want, sizeof(want), "%snull}}", begin);
	ask(f, EXPLAIN("5900"), want);
	snprintf(want, sizeof(want), "%s{\"address\":null,\"port\":4000,\"from\":null}}}",
		 begin);
	ask(f, EXPLAIN("3074"), want);
	ask(f, EXPLAIN("9"), BUSY);
	ask(f, EXPLAIN("0"), INVALID("external_port"));
	ask(f, EXPLAIN("65536"), INVALID("external_port"));
	ask(f, "{\"method\":\"org.portreeve.Explain\"}", INVALID("protocol"));
}

static void tells_who_is_connected(void **state)
{
	struct fixture *f = *state;

	ask(f, FLOWS("3074"), NOT_FOUND);
	put(f, IPPROTO_UDP, 3074);
	put(f, IPPROTO_UDP, 3075);
	ask(f, FLOWS("3074"),
	    "{\"parameters\":{\"lease\":" LEASE_WITH(
		    "udp", "3074",
		    ",\"traffic\":{\"connections\":1,\"packets\":0,"
		    "\"bytes_in\":7,\"bytes_out\":0,\"idle_s\":1}") ",\"flows\":[{\"remote_address\":\"11.0.0.9\",\"remote_port\":1025,"
								    "\"inbound\":true,\"answered\":false,\"packets\":0,\"bytes_in\":7,"
								    "\"bytes_out\":0,\"age_s\":null,\"idle_s\":1,\"left_s\":29}],\"more\":false}}");
	ask(f, FLOWS("3075"),
	    "{\"parameters\":{\"lease\":" LEASE_WITH(
		    "udp", "3075",
		    ",\"traffic\":{\"connections\":1,\"packets\":null,"
		    "\"bytes_in\":null,\"bytes_out\":null,\"idle_s\":1}") ",\"flows\":[{\"remote_address\":\"11.0.0.9\",\"remote_port\":1025,"
									  "\"inbound\":true,\"answered\":false,\"packets\":null,\"bytes_in\":null,"
									  "\"bytes_out\":null,\"age_s\":null,\"idle_s\":1,\"left_s\":29}],"
									  "\"more\":false}}");
	ask(f, FLOWS("9"), BUSY);
}

#define DENY(method, parameters)                                                         \
	"{\"method\":\"org.portreeve." method "\",\"parameters\":" parameters "}"
#define DENIALS                                                                          \
	"\"denials\":[{\"host\":\"192.168.1.20\",\"protocol\":null,\"port\":null,"       \
	"\"port_last\":null,\"since\":7},{\"host\":null,\"protocol\":\"udp\","           \
	"\"port\":3074,\"port_last\":3075,\"since\":8}]"

static void denies_and_allows(void **state)
{
	struct fixture *f = *state;
	char text[DENIAL_TEXT];

	ask(f, "{\"method\":\"org.portreeve.Denials\"}",
	    "{\"parameters\":{" DENIALS "}}");
	ask(f, DENY("Deny", "{\"host\":\"192.168.1.20/24\",\"port\":80}"),
	    "{\"parameters\":{" DENIALS ",\"ended\":3,\"kept\":1}}");
	assert_string_equal(denial_text(&f->denial, text), "192.168.1.0/24 80");
	ask(f, DENY("Allow", "{\"protocol\":\"udp\",\"port\":80,\"port_last\":90}"),
	    "{\"parameters\":{" DENIALS "}}");
	assert_string_equal(denial_text(&f->denial, text), "udp/80-90");
	ask(f, DENY("Allow", "{\"host\":\"A4:C0:E1:00:00:01\"}"),
	    "{\"parameters\":{" DENIALS "}}");
	assert_string_equal(denial_text(&f->denial, text), "a4:c0:e1:00:00:01");
	ask(f, DENY("Allow", "{\"port\":9}"), NOT_FOUND);
	ask(f, DENY("Deny", "{\"port\":9}"),
	    "{\"error\":\"org.portreeve.Failed\",\"parameters\":{\"reason\":\"full\","
	    "\"text\":\"there are as many denials as there may be\"}}");
	ask(f, DENY("Deny", "{}"), INVALID("port"));
	ask(f, DENY("Deny", "{\"port\":0}"), INVALID("port"));
	ask(f, DENY("Deny", "{\"port\":65536}"), INVALID("port"));
	ask(f, DENY("Deny", "{\"port\":9,\"port_last\":8}"), INVALID("port_last"));
	ask(f, DENY("Deny", "{\"host\":\"x\"}"), INVALID("host"));
	ask(f, DENY("Deny", "{\"host\":\"::/0\"}"), INVALID("host"));
	ask(f, DENY("Deny", "{\"host\":\"192.168.1.20\",\"protocol\":\"udp\"}"),
	    INVALID("protocol"));
	ask(f, DENY("Deny", "{\"port\":9,\"protocol\":\"sctp\"}"), INVALID("protocol"));
	ask(f, DENY("Deny", "{\"ports\":9}"), INVALID("ports"));
}

static void denies_for_root_only(void **state)
{
	struct fixture *f = *state;

	caller = 1000;
	ask(f, DENY("Deny", "{\"port\":80}"),
	    "{\"error\":\"org.portreeve.NotAllowed\",\"parameters\":{}}");
	ask(f, DENY("Allow", "{\"port\":80}"),
	    "{\"error\":\"org.portreeve.NotAllowed\",\"parameters\":{}}");
	ask(f, "{\"method\":\"org.portreeve.Denials\"}",
	    "{\"parameters\":{" DENIALS "}}");
	assert_false(f->denial.ports.first);
}

#define NAT_TYPE(parameters)                                                             \
	"{\"method\":\"org.portreeve.NatType\",\"parameters\":" parameters "}"
#define VERDICT(lan, host)                                                                 \
	"{\"lan\":\"" lan "\",\"host\":" host ",\"mapping\":\"endpoint-independent\","     \
	"\"filtering\":\"address-and-port-dependent\",\"at_best\":true,"                   \
	"\"xbox\":\"Moderate\",\"playstation\":\"Type 2\",\"nintendo\":\"B\","             \
	"\"reasons\":[{\"id\":\"own-ports\",\"text\":\"it keeps its port\",\"fix\":null}," \
	"{\"id\":\"open-nat-off\",\"text\":\"it is off\",\"fix\":\"open-nat = true\"}]}"

static void tells_what_nat_a_host_sees(void **state)
{
	struct fixture *f = *state;

	ask(f, NAT_TYPE("{\"host\":\"192.168.1.20\"}"),
	    "{\"parameters\":{\"verdicts\":[" VERDICT("br-lan",
						      "\"192.168.1.20\"") "]}}");
	ask(f, NAT_TYPE("{}"),
	    "{\"parameters\":{\"verdicts\":[" VERDICT("br-lan", "null") "," VERDICT(
		    "br-guest", "null") "]}}");
	ask(f, NAT_TYPE("{\"host\":\"11.0.0.9\"}"),
	    "{\"error\":\"org.portreeve.NotInside\",\"parameters\":{\"host\":\"11.0.0.9\"}}");
	ask(f, NAT_TYPE("{\"host\":\"console\"}"), INVALID("host"));
	ask(f, NAT_TYPE("{\"host\":1}"), INVALID("host"));
	ask(f, NAT_TYPE("{\"lan\":\"br-lan\"}"), INVALID("lan"));
}

static void tells_which_profiles_are_on(void **state)
{
	struct fixture *f = *state;

	ask(f, "{\"method\":\"org.portreeve.Profiles\"}",
	    "{\"parameters\":{\"directory\":\"/usr/share/p\",\"on\":[\"xbox\",\"battle-net\"]}}");
}

static long long event_of(struct fixture *f, const char *what)
{
	json_t *message = hear(f), *event;
	long long id;

	assert_true(json_is_true(json_object_get(message, "continues")));
	event = json_object_get(json_object_get(message, "parameters"), "event");
	assert_string_equal(json_string_value(json_object_get(event, "event")), what);
	id = json_integer_value(json_object_get(event, "id"));
	if (strcmp(what, "lost") == 0)
		id = json_integer_value(json_object_get(event, "times"));
	json_decref(message);
	return id;
}

#define WATCH "{\"method\":\"org.portreeve.Watch\",\"more\":true}"

static void tells_what_happens_as_it_happens(void **state)
{
	struct fixture *f = *state;
	struct lease_change step = {.has = true};
	struct lease_request req = {.protocol = IPPROTO_UDP, .ext_port = 22};

	ask(f, "{\"method\":\"org.portreeve.Watch\"}",
	    "{\"error\":\"org.varlink.service.ExpectedMore\",\"parameters\":{}}");
	step.after = *put(f, IPPROTO_UDP, 3074);
	control_step(f->control, &step); /* nobody watches yet */
	say(f, WATCH);
	for (int i = 0; i < 20; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
	control_step(f->control, &step);
	assert_int_equal(event_of(f, "granted"), 1);
	step.had = true;
	step.before = step.after;
	control_step(f->control, &step); /* only armed again */
	step.after.deadline_ms += 1000;
	control_step(f->control, &step);
	assert_int_equal(event_of(f, "renewed"), 2);
	step.has = false;
	step.end = LEASE_END_EXPIRED;
	control_step(f->control, &step);
	control_refused(f->control, &req, LEASE_RESERVED);
	assert_int_equal(event_of(f, "ended"), 3);
	assert_int_equal(event_of(f, "refused"), 4);
}

/* A watcher that does not read is told how much it has missed. */
static void a_slow_watcher_costs_no_memory(void **state)
{
	struct lease_change step = {.has = true};
	struct fixture *f = *state;

	step.after = *put(f, IPPROTO_UDP, 3074);
	say(f, WATCH);
	for (int i = 0; i < 20; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
	for (int i = 0; i < 1000; i++)
		control_step(f->control, &step);
	assert_int_equal(event_of(f, "lost"), 1000 - 256);
	for (int i = 1000 - 256; i < 1000; i++)
		assert_int_equal(event_of(f, "granted"), i + 1);
}

static void counts_what_has_happened(void **state)
{
	struct fixture *f = *state;
	json_t *message, *p;

	say(f, "{\"method\":\"org.portreeve.Metrics\"}");
	message = hear(f);
	p = json_object_get(message, "parameters");
	assert_int_equal(json_array_size(json_object_get(p, "granted")),
			 LEASE_BY_END - 1);
	assert_int_equal(
		json_integer_value(json_object_get(
			json_array_get(json_object_get(p, "granted"), 0), "count")),
		7);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(p, "refused"), LEASE_RESERVED - 1),
			"label")),
		"reserved");
	json_decref(message);
}

static void describes_its_interface(void **state)
{
	struct fixture *f = *state;
	const char *text;
	json_t *message;

	say(f, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
	       "\"parameters\":{\"interface\":\"org.portreeve\"}}");
	message = hear(f);
	text = json_string_value(
		json_object_get(json_object_get(message, "parameters"), "description"));
	assert_non_null(strstr(text, "\ninterface org.portreeve\n"));
	assert_non_null(strstr(text, "as \\xNN\n"));
	assert_non_null(
		strstr(text, "\nmethod List(traffic: ?bool) -> (leases: []Lease)\n"));
	json_decref(message);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(lists_with_the_schema_of_the_manual),
		TEST(lists_what_is_not_ordinary),
		TEST(lists_what_goes_by_a_lease),
		TEST(lists_a_lease_past_its_deadline_with_nothing_left),
		TEST(lists_many_in_pieces),
		TEST(tells_what_stands_in_the_way),
		TEST(tells_its_status),
		TEST(deletes_a_port_of_one_protocol_or_of_both),
		TEST(deletes_only_of_the_remote_that_was_named),
		TEST(deletes_for_root_only),
		TEST(reloads_and_says_what_is_wrong),
		TEST(reloads_for_root_only),
		TEST(a_range_is_listed_with_its_last_port),
		TEST(deletes_nothing_when_a_parameter_is_wrong),
		TEST(adds_what_is_right),
		TEST(adds_for_nobody_else),
		TEST(says_what_the_kernel_said),
		TEST(answers_when_the_kernel_has_done_all),
		TEST(tells_the_history_a_page_at_a_time),
		TEST(refuses_wrong_questions_by_name),
		TEST(explains_a_port),
		TEST(tells_who_is_connected),
		TEST(denies_and_allows),
		TEST(denies_for_root_only),
		TEST(tells_what_nat_a_host_sees),
		TEST(tells_which_profiles_are_on),
		TEST(tells_what_happens_as_it_happens),
		TEST(a_slow_watcher_costs_no_memory),
		TEST(counts_what_has_happened),
		TEST(describes_its_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
