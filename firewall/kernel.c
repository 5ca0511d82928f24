/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/wire.h"

#define DUMP_TRIES 20

int firewall_open(const struct firewall_options *options, struct firewall **out)
{
	struct firewall *fw = calloc(1, sizeof(*fw));
	const char *table = options->table ? options->table : FIREWALL_TABLE;
	int err;

	if (!fw)
		return -ENOMEM;
	fw->use = calloc(PORT_USES, sizeof(*fw->use));
	err = fw->use ? nl_open(&fw->nl) : -ENOMEM;
	if (!err && strlen(table) >= sizeof(fw->table))
		err = -ENAMETOOLONG;
	if (!err) {
		strcpy(fw->table, table);
		err = firewall_probe(fw);
	}
	if (err) {
		firewall_close(fw);
		return err;
	}
	if (options->assume_kernel_61)
		fw->in_place = fw->destroy = false;
	log_debug("firewall: renewal in place: %s, destroy: %s",
		  fw->in_place ? "yes" : "no", fw->destroy ? "yes" : "no");
	*out = fw;
	return 0;
}

void firewall_close(struct firewall *fw)
{
	if (!fw)
		return;
	nl_close(&fw->nl);
	nl_batch_free(&fw->batch);
	router_fini(&fw->router);
	free(fw->use);
	free(fw->staged);
	free(fw->key);
	free(fw->userdata);
	free(fw->message);
	free(fw);
}

uint32_t firewall_portid(const struct firewall *fw)
{
	return mnl_socket_get_portid(fw->nl.sock);
}

bool firewall_renews_in_place(const struct firewall *fw)
{
	return fw->in_place;
}

bool firewall_has_destroy(const struct firewall *fw)
{
	return fw->destroy;
}

/* Elements to the kernel */

struct nlattr *elements_begin(struct nlmsghdr *nlh, const char *table, const char *set)
{
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	return mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void put_value(struct nlmsghdr *nlh, uint16_t type, const void *data, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, len, data);
	mnl_attr_nest_end(nlh, nest);
}

static void put_counter(struct nlmsghdr *nlh, uint64_t packets)
{
	struct nlattr *expr = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_EXPR), *data;

	mnl_attr_put_strz(nlh, NFTA_EXPR_NAME, "counter");
	data = mnl_attr_nest_start(nlh, NFTA_EXPR_DATA);
	mnl_attr_put_u64(nlh, NFTA_COUNTER_PACKETS, htobe64(packets));
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, expr);
}

void elements_put(struct nlmsghdr *nlh, const struct kernel_element *e)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);

	if (e->flags)
		mnl_attr_put_u32(nlh, NFTA_SET_ELEM_FLAGS, htonl(e->flags));
	if (e->timeout_ms) {
		/* Where one is there with the same timeout, only the second renews it. */
		mnl_attr_put_u64(nlh, NFTA_SET_ELEM_TIMEOUT, htobe64(e->timeout_ms));
		mnl_attr_put_u64(nlh, NFTA_SET_ELEM_EXPIRATION, htobe64(e->timeout_ms));
	}
	put_value(nlh, NFTA_SET_ELEM_KEY, e->key, e->key_len);
	if (e->key_to)
		put_value(nlh, NFTA_SET_ELEM_KEY_END, e->key_to, e->key_len);
	if (e->data)
		put_value(nlh, NFTA_SET_ELEM_DATA, e->data, e->data_len);
	if (e->userdata_len)
		mnl_attr_put(nlh, NFTA_SET_ELEM_USERDATA, e->userdata_len, e->userdata);
	if (e->counted)
		put_counter(nlh, e->packets);
	mnl_attr_nest_end(nlh, nest);
}

void elements_end(struct nlmsghdr *nlh, struct nlattr *list)
{
	mnl_attr_nest_end(nlh, list);
}

void element_message(struct nl_batch *b, const char *table, const char *set,
		     uint16_t type, uint16_t flags, const struct kernel_element *e)
{
	struct nlmsghdr *nlh = nl_batch_put(b, type, flags);
	struct nlattr *list;

	if (!nlh)
		return;
	list = elements_begin(nlh, table, set);
	elements_put(nlh, e);
	elements_end(nlh, list);
}

void flush_message(struct nl_batch *b, const char *table, const char *set)
{
	struct nlmsghdr *nlh = nl_batch_put(b, NFT_MSG_DELSETELEM, 0);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
}

/* Elements from the kernel */

struct attrs {
	const struct nlattr **attr;
	uint16_t max;
};

static int note_attr(const struct nlattr *attr, void *data)
{
	struct attrs *a = data;

	if (mnl_attr_get_type(attr) <= a->max)
		a->attr[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

/* libmnl's own macro warns under -Wconversion. */
#define for_each_nested(attr, nest)                                                      \
	for ((attr) = mnl_attr_get_payload(nest);                                        \
	     mnl_attr_ok((attr), left_of(attr, nest)); (attr) = mnl_attr_next(attr))

static int left_of(const struct nlattr *attr, const struct nlattr *nest)
{
	const char *end = (const char *)mnl_attr_get_payload(nest) +
			  mnl_attr_get_payload_len(nest);

	return (int)(end - (const char *)attr);
}

/* The bytes within a nested NFTA_DATA_VALUE. */
static const uint8_t *get_value(const struct nlattr *nest, uint16_t *len)
{
	const struct nlattr *attr;

	if (!nest)
		return NULL;
	for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) != NFTA_DATA_VALUE)
			continue;
		*len = mnl_attr_get_payload_len(attr);
		return mnl_attr_get_payload(attr);
	}
	return NULL;
}

static uint64_t get_u64(const struct nlattr *attr)
{
	uint64_t be = 0;

	if (mnl_attr_get_payload_len(attr) == sizeof(be))
		memcpy(&be, mnl_attr_get_payload(attr), sizeof(be));
	return be64toh(be);
}

/* The attribute of that type in a nest, or NULL. */
static const struct nlattr *get_nested(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *attr;

	if (!nest)
		return NULL;
	for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}
	return NULL;
}

/* The packets of an element's own expression, which is a counter or none of ours. */
static uint64_t get_packets(const struct nlattr *expr)
{
	static const char counter[] = "counter";
	const struct nlattr *name = get_nested(expr, NFTA_EXPR_NAME);
	const struct nlattr *data = get_nested(expr, NFTA_EXPR_DATA);
	const struct nlattr *packets = get_nested(data, NFTA_COUNTER_PACKETS);

	if (!name || !packets || mnl_attr_get_payload_len(name) != sizeof(counter) ||
	    memcmp(mnl_attr_get_payload(name), counter, sizeof(counter)) != 0)
		return 0;
	return get_u64(packets);
}

struct dump {
	dumped_cb each;
	void *arg;
};

static int dump_element(const struct dump *dump, const struct nlattr *nest)
{
	const struct nlattr *a[NFTA_SET_ELEM_MAX + 1] = {NULL};
	struct attrs attrs = {.attr = a, .max = NFTA_SET_ELEM_MAX};
	struct dumped d = {0};
	uint16_t to_len = 0;

	if (mnl_attr_parse_nested(nest, note_attr, &attrs) < 0)
		return -EBADMSG;
	if (a[NFTA_SET_ELEM_FLAGS])
		return 0; /* the end of an interval, or a catch-all */
	d.key = get_value(a[NFTA_SET_ELEM_KEY], &d.key_len);
	if (!d.key)
		return 0;
	d.key_to = get_value(a[NFTA_SET_ELEM_KEY_END], &to_len);
	if (d.key_to && to_len != d.key_len)
		return -EBADMSG;
	d.data = get_value(a[NFTA_SET_ELEM_DATA], &d.data_len);
	if (a[NFTA_SET_ELEM_USERDATA]) {
		d.userdata = mnl_attr_get_payload(a[NFTA_SET_ELEM_USERDATA]);
		d.userdata_len = mnl_attr_get_payload_len(a[NFTA_SET_ELEM_USERDATA]);
	}
	if (a[NFTA_SET_ELEM_EXPIRATION]) {
		d.left_ms = get_u64(a[NFTA_SET_ELEM_EXPIRATION]);
		d.timed = true;
	}
	if (a[NFTA_SET_ELEM_TIMEOUT])
		d.timeout_ms = get_u64(a[NFTA_SET_ELEM_TIMEOUT]);
	d.packets = get_packets(a[NFTA_SET_ELEM_EXPR]);
	return dump->each(dump->arg, &d);
}

static int dump_message(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *a[NFTA_SET_ELEM_LIST_MAX + 1] = {NULL};
	struct attrs attrs = {.attr = a, .max = NFTA_SET_ELEM_LIST_MAX};
	const struct nlattr *nest;

	if (mnl_attr_parse(nlh, NLMSG_ALIGN(sizeof(uint32_t)), note_attr, &attrs) < 0)
		return -EBADMSG;
	if (!a[NFTA_SET_ELEM_LIST_ELEMENTS])
		return 0;
	for_each_nested(nest, a[NFTA_SET_ELEM_LIST_ELEMENTS])
	{
		int err = dump_element(arg, nest);

		if (err)
			return err;
	}
	return 0;
}

int elements_of(const struct nlmsghdr *nlh, dumped_cb each, void *arg)
{
	struct dump dump = {.each = each, .arg = arg};

	return dump_message(&dump, nlh);
}

int elements_dump(struct firewall *fw, const char *set, dumped_cb each, void *arg)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh = nl_request(&fw->nl, buf, NFT_MSG_GETSETELEM, NLM_F_DUMP);
	struct dump dump = {.each = each, .arg = arg};

	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, fw->table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	return nl_query(&fw->nl, nlh, dump_message, &dump);
}

int element_get(struct firewall *fw, const char *set, const void *key, uint8_t key_len,
		dumped_cb each, void *arg)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh = nl_request(&fw->nl, buf, NFT_MSG_GETSETELEM, 0);
	struct kernel_element e = {.key = key, .key_len = key_len};
	struct dump dump = {.each = each, .arg = arg};
	struct nlattr *list = elements_begin(nlh, fw->table, set);

	elements_put(nlh, &e);
	elements_end(nlh, list);
	return nl_query(&fw->nl, nlh, dump_message, &dump);
}

static int count_one(void *arg, const struct dumped *d)
{
	long *n = arg;

	(void)d;
	(*n)++;
	return 0;
}

/* While the kernel resizes a hash, a dump may show an element twice: only two dumps that
 * agree count. */
long firewall_count(struct firewall *fw, const char *set)
{
	static const struct timespec pause = {.tv_nsec = 10 * 1000000};
	long last = -1;

	for (int i = 0; i < DUMP_TRIES; i++) {
		long n = 0;
		int err = elements_dump(fw, set, count_one, &n);

		if (err && err != -EINTR)
			return err;
		if (!err && n == last)
			return n;
		last = err ? -1 : n;
		nanosleep(&pause, NULL);
	}
	return -EINTR;
}

struct there {
	bool there;
	uint64_t left_ms;
	uint64_t timeout_ms;
	uint64_t packets;
	struct in_addr value; /* of a map of addresses */
};

static int note_there(void *arg, const struct dumped *d)
{
	struct there *there = arg;

	there->there = true;
	there->left_ms = d->left_ms;
	there->timeout_ms = d->timeout_ms;
	if (d->data_len == sizeof(there->value))
		memcpy(&there->value, d->data, sizeof(there->value));
	there->packets = d->packets;
	return 0;
}

static int element_there(struct firewall *fw, const char *set, const void *key,
			 uint8_t key_len, struct there *there)
{
	int err;

	*there = (struct there){.there = false};
	err = element_get(fw, set, key, key_len, note_there, there);
	return err == -ENOENT ? 0 : err;
}

static int add_packets(void *arg, const struct dumped *d)
{
	uint64_t *packets = arg;

	*packets += d->packets;
	return 0;
}

int firewall_packets(struct firewall *fw, const struct lease *l, uint64_t *packets)
{
	*packets = 0;
	for (size_t i = 0; i < element_count(l); i++) {
		struct element_key key;
		int err = lease_is_pinhole(l) ? element_key_of(l, i, &key)
					      : -EAFNOSUPPORT;

		if (!err)
			err = element_get(fw, element_map_name(key.map), key.from,
					  key.len, add_packets, packets);
		if (err)
			return err;
	}
	return 0;
}

int firewall_there(struct firewall *fw, const struct lease *l, uint64_t *left_ms,
		   uint64_t *packets)
{
	*left_ms = UINT64_MAX;
	*packets = 0;
	for (size_t i = 0; i < element_count(l); i++) {
		struct element_key key;
		struct there there = {0};
		int err = element_key_of(l, i, &key);

		if (!err)
			err = element_there(fw, element_map_name(key.map), key.from,
					    key.len, &there);
		if (err || !there.there)
			return err;
		*packets += there.packets;
		if (there.left_ms < *left_ms)
			*left_ms = there.left_ms;
	}
	return 1;
}

/* The key of `mine`; its beginning is that of `taken`. */
static void claim_key(uint8_t key[ELEMENT_HOST_KEY], uint8_t protocol, uint16_t port,
		      struct in_addr internal)
{
	memset(key, 0, ELEMENT_HOST_KEY);
	key[0] = protocol;
	key[4] = (uint8_t)(port >> 8);
	key[5] = (uint8_t)port;
	memcpy(key + ELEMENT_PORT_KEY, &internal, sizeof(internal));
}

int firewall_claims(struct firewall *fw, uint8_t protocol, uint16_t port,
		    struct in_addr internal, uint64_t *left_ms)
{
	uint8_t key[ELEMENT_HOST_KEY];
	struct there mine;
	int err;

	claim_key(key, protocol, port, internal);
	err = element_there(fw, "mine", key, ELEMENT_HOST_KEY, &mine);
	if (!err && left_ms)
		*left_ms = mine.left_ms;
	return err ? err : mine.there;
}

/* The kernel counts its times in ticks. */
#define TICKS_MS 20

int firewall_first_remote(struct firewall *fw, uint8_t protocol, uint16_t port,
			  struct in_addr internal, struct in_addr *remote)
{
	uint64_t whole_ms = fw->config.learn ? learn_seen_ms(fw->config.learn) : 0;
	uint8_t key[ELEMENT_HOST_KEY], seen[LEARN_SEEN_KEY] = {0};
	struct there there;
	int err;

	claim_key(key, protocol, port, internal);
	err = element_there(fw, "mine", key, ELEMENT_HOST_KEY, &there);
	*remote = there.value;
	if (err || !remote->s_addr)
		return err;
	memcpy(seen, &internal, sizeof(internal));
	seen[4] = protocol;
	memcpy(seen + 8, key + 4, sizeof(port));
	memcpy(seen + 12, remote, sizeof(*remote));
	err = element_there(fw, "seen", seen, sizeof(seen), &there);
	/* What opens nothing is remembered there too, for another time. */
	return err ? err
		   : there.there && there.timeout_ms <= whole_ms &&
			       there.timeout_ms + TICKS_MS >= whole_ms;
}

int firewall_active(struct firewall *fw, const struct lease *l, uint64_t *left_ms)
{
	uint64_t whole_ms = learn_active_ms(fw), idle_ms = l->idle_s * 1000ULL;
	uint8_t key[ELEMENT_HOST_KEY];
	const char *set = LEARN_ACTIVE;
	struct there there;
	int err;

	if (lease_idles(l))
		set = learn_owners(fw, l->idle_s, &whole_ms);
	element_owner_key(l, key);
	err = element_there(fw, set, key, ELEMENT_HOST_KEY, &there);
	*left_ms = err ? 0 : there.left_ms + idle_ms;
	*left_ms = there.there && *left_ms > whole_ms ? *left_ms - whole_ms : 0;
	return err;
}

int firewall_watched(struct firewall *fw, struct in_addr host, uint8_t protocol,
		     uint16_t port, uint64_t *left_ms)
{
	uint8_t key[ELEMENT_HOST_KEY] = {0};
	struct there there;
	int err;

	memcpy(key, &host, sizeof(host));
	key[4] = protocol;
	key[8] = (uint8_t)(port >> 8);
	key[9] = (uint8_t)port;
	err = element_there(fw, LEARN_WATCHING, key, sizeof(key), &there);
	*left_ms = !err && there.there ? there.left_ms : 0;
	return err;
}

int firewall_free(struct firewall *fw, uint8_t protocol, uint16_t port)
{
	uint8_t key[ELEMENT_HOST_KEY];
	struct there there;
	int err;

	claim_key(key, protocol, port, (struct in_addr){0});
	err = element_there(fw, "held", key, ELEMENT_PORT_KEY, &there);
	if (err || there.there)
		return err;
	err = element_there(fw, "taken", key, ELEMENT_PORT_KEY, &there);
	return err ? err : !there.there;
}

int firewall_claimed(struct firewall *fw, uint8_t protocol, uint16_t port,
		     struct in_addr internal)
{
	uint8_t key[ELEMENT_HOST_KEY];
	struct there taken;
	int err;

	claim_key(key, protocol, port, internal);
	err = element_there(fw, "taken", key, ELEMENT_PORT_KEY, &taken);
	if (err || !taken.there)
		return err;
	err = firewall_claims(fw, protocol, port, internal, NULL);
	return err < 0 ? err : !err;
}

/* The epoch: a version, 8 bytes of time, 4 of address, 1 of flags, 3 to come. */

#define EPOCH_BODY (1 + 8 + 4 + 1 + 3)
#define EPOCH_KEPT 1

size_t about_epoch_userdata(const struct firewall_epoch *epoch,
			    uint8_t buf[ELEMENT_USERDATA_MAX])
{
	static const char comment[] = "epoch";
	struct in_addr wan4 = addr_to_v4(&epoch->wan4);
	struct wire_out w = wire_to(buf, ELEMENT_USERDATA_MAX);
	uint8_t body[EPOCH_BODY] = {ELEMENT_VERSION};

	for (unsigned int i = 0; i < 8; i++)
		body[1 + i] = (uint8_t)(epoch->since_ms >> (56 - 8 * i));
	memcpy(body + 9, &wan4, sizeof(wan4));
	body[13] = epoch->kept ? EPOCH_KEPT : 0;
	element_put_tlv(&w, 0, comment, sizeof(comment));
	element_put_tlv(&w, ELEMENT_TLV, body, sizeof(body));
	return wire_len(&w);
}

int about_epoch_read(const void *userdata, size_t len, struct firewall_epoch *epoch)
{
	struct wire w = wire_of(userdata, len);

	while (wire_left(&w)) {
		uint8_t type = wire_u8(&w);
		size_t n = wire_u8(&w);
		const uint8_t *value = wire_take(&w, n);
		struct wire body = wire_of(value, value ? n : 0);
		struct in_addr wan4;
		uint64_t since;
		uint8_t flags;

		if (type != ELEMENT_TLV || wire_u8(&body) != ELEMENT_VERSION)
			continue;
		since = (uint64_t)wire_u32(&body) << 32;
		since |= wire_u32(&body);
		wire_copy(&body, &wan4, sizeof(wan4));
		flags = wire_u8(&body);
		if (body.bad)
			break;
		epoch->since_ms = since;
		epoch->kept = flags & EPOCH_KEPT;
		epoch->wan4 = wan4.s_addr ? addr_from_v4(wan4)
					  : (struct in6_addr)IN6ADDR_ANY_INIT;
		return 0;
	}
	return -EBADMSG;
}

static int read_epoch(void *arg, const struct dumped *d)
{
	return about_epoch_read(d->userdata, d->userdata_len, arg);
}

int firewall_epoch_get(struct firewall *fw, struct firewall_epoch *epoch)
{
	uint32_t key = ABOUT_KEY_EPOCH;
	int err = element_get(fw, "about", &key, sizeof(key), read_epoch, epoch);

	if (!err) {
		fw->router.epoch = *epoch;
		fw->router.epoch_known = true;
	}
	return err;
}

int firewall_epoch_set(struct firewall *fw, const struct firewall_epoch *epoch)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	uint32_t key = ABOUT_KEY_EPOCH;
	struct kernel_element e = {
		.key = &key, .key_len = sizeof(key), .userdata = userdata};

	fw->router.epoch = *epoch;
	fw->router.epoch_known = true;
	e.userdata_len = (uint8_t)about_epoch_userdata(epoch, userdata);
	nl_batch_begin(&fw->batch);
	flush_message(&fw->batch, fw->table, "about"); /* no error if it is not there */
	element_message(&fw->batch, fw->table, "about", NFT_MSG_NEWSETELEM,
			NLM_F_CREATE | NLM_F_EXCL, &e);
	return nl_commit_whole(&fw->nl, &fw->batch);
}
