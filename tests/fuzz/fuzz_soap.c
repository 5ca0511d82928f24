/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SOAP bodies, and what the actions make of them: a question to the core that is in form, or
 * an answer that is XML.
 *
 * An input: 8 bytes (face and service, the core's reply, the state), then the body. A body
 * that starts with # gives a SOAPAction header in its first line.
 */
#include <errno.h>
#include <libxml/parser.h>

#include "igd/actions.h"
#include "igd/description.h"
#include "igd/listing.h"
#include "tests/fuzz/fuzz.h"

static struct description *description;
static struct soap_writer *writer;
static struct soap_call call;

struct around {
	uint8_t where;
	struct lease_reply reply;
	struct record_state state;
};

static void set_up(void)
{
	static const uint8_t uuid[16] = {1, 2, 3};

	xmlInitParser();
	description = description_new(uuid);
	writer = soap_writer_new();
	must(description && writer);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void check_call(void)
{
	must(memchr(call.urn, '\0', sizeof(call.urn)));
	must(memchr(call.action, '\0', sizeof(call.action)));
	must(call.n_args <= SOAP_ARGS_MAX);
	for (size_t i = 0; i < call.n_args; i++) {
		const char *v = call.args[i].value;

		must(memchr(call.args[i].name, '\0', sizeof(call.args[i].name)));
		must(v >= call.text && v < call.text + sizeof(call.text));
		must(memchr(v, '\0', (size_t)(call.text + sizeof(call.text) - v)));
		must(!*v || (!is_space(*v) && !is_space(v[strlen(v) - 1])));
		must(soap_arg(&call, call.args[i].name));
	}
}

/* What goes out is well-formed, and but for lists of mappings short. */
static void check_answer(const struct action_answer *a)
{
	xmlDocPtr doc;

	must(a->status == 200 || a->status == 500 || a->status == 503);
	if (!a->body)
		return;
	must(a->len && a->len < LISTING_MAX + 4096);
	doc = xmlReadMemory(a->body, (int)a->len, NULL, NULL,
			    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	must(doc);
	xmlFreeDoc(doc);
}

/* The core says the same so often that any list is full before. */
static void answer_as_core(struct action *action, const struct around *around,
			   struct lease_request *req, const struct action_env *env,
			   struct action_answer *answer)
{
	enum action_step step = ACTION_ASK;
	size_t n = 0;

	for (; step == ACTION_ASK; n++) {
		must(lease_request_valid(req) && req->by == LEASE_BY_UPNP);
		must(addr_equal(&req->client, &env->client));
		must(req->op != LEASE_OP_MAP || addr_equal(&req->internal, &env->client));
		must(n < LISTING_MAX / 64);
		step = action_reply(action, &around->reply, req, writer, answer);
	}
	must(step == ACTION_ANSWERED);
	action_forget(action);
}

static void run_action(const struct around *around)
{
	unsigned int face = around->where & 1;
	struct action_env env = {.state = &around->state, .now_ms = 66000};
	struct action_answer answer = {0};
	struct lease_request req = {0};
	struct action action;
	int err;

	env.connection = description_default_connection(description, face);
	must(!addr_parse(around->where & 0x80 ? "2001:db8:1::20" : "192.168.1.20",
			 &env.client));
	err = action_find(face, (enum igd_service)(around->where / 2 % IGD_SERVICES),
			  call.urn, call.action, &action);
	must(!err || err == 401);
	if (err) {
		action_fault(err, writer, &answer);
		check_answer(&answer);
		return;
	}
	req.client = env.client;
	switch (action_run(&action, &env, &call, &req, writer, &answer)) {
	case ACTION_ANSWERED:
		break;
	case ACTION_ASK:
		answer_as_core(&action, around, &req, &env, &answer);
		break;
	case ACTION_REFRESH:
		action_counters(&action, &env, writer, &answer);
		break;
	}
	check_answer(&answer);
}

static void read_around(struct around *a, struct feed *f)
{
	uint8_t bits;

	memset(a, 0, sizeof(*a));
	a->where = feed_u8(f);
	bits = feed_u8(f);
	a->reply.reason = feed_u8(f) % LEASE_REASON_END;
	a->reply.flags = bits & 12;
	a->reply.protocol = bits & 1 ? IPPROTO_TCP : IPPROTO_UDP;
	a->reply.ext_port = feed_u16(f);
	a->reply.lifetime = feed_u16(f) * 100U;
	a->reply.packets = a->reply.number = a->reply.ext_port;
	must(!addr_parse("192.168.1.20", &a->reply.internal));
	if (bits & 16)
		must(!addr_parse("11.0.0.2", &a->reply.remote));
	a->reply.remote_len = bits & 16 ? 128 : 0;
	feed_copy(f, a->reply.description, bits >> 5);
	if (bits & 2) {
		must(!addr_parse("11.0.0.1", &a->state.wan4));
		a->state.wan_up = 1;
		a->state.wan_since_ms = 1000;
		a->state.rx_bytes = 1ULL << 33;
	}
}

static void fuzz_header(struct feed *f)
{
	char *line = feed_text(f, f->left), urn[SOAP_URN_MAX + 1],
	     action[SOAP_NAME_MAX + 1];

	line[strcspn(line, "\r\n")] = '\0';
	if (!soap_parse_header(line, urn, action)) {
		must(*urn && *action && !strchr(urn, '"') && !strchr(urn, '#'));
		must(strlen(urn) <= SOAP_URN_MAX && strlen(action) <= SOAP_NAME_MAX);
	}
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	struct around around;
	uint8_t *body;
	size_t len;
	int err;

	if (!description)
		set_up();
	read_around(&around, &f);
	if (f.left && *f.pos == '#') {
		f.pos++;
		f.left--;
		fuzz_header(&f);
		return 0;
	}
	len = f.left;
	body = feed_block(&f, &len);
	err = soap_parse(&call, (const char *)body, len);
	free(body);
	must(err == 0 || err == -EBADMSG);
	if (!err) {
		check_call();
		run_action(&around);
	}
	return 0;
}
