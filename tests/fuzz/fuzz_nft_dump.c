/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firewall_adopt() and firewall_epoch_get() against a kernel that is made of the input: the
 * reader of netlink answers, of dumps and of what their elements mean, down to the repairs.
 * The linker puts the functions below in the place of the socket's.
 *
 * An input: one byte (how batches are answered; does a second look see the same), then
 * pieces of answers: a kind, and bytes as they are or fields from which elements are built.
 * One byte of a piece may be spoilt.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <sanitizer/asan_interface.h>
#include <sys/socket.h>
#include <time.h>

#include "base/addr.h"
#include "firewall/kernel.h"
#include "tests/fuzz/fuzz.h"

#define RX_SIZE (128 * 1024)
#define ANSWER_MAX (16 * 1024)
#define ADOPTED_MAX 4096
#define USERDATA_SENT 300 /* more than there may be */

enum piece_kind {
	PIECE_RAW,     /* a datagram as it is */
	PIECE_FIXED,   /* the same with type and length of its first message right */
	PIECE_LEASES,  /* built: elements of the lease map that is dumped */
	PIECE_OBJECTS, /* built: elements of `rev` or `held` */
	PIECE_DONE,
	PIECE_ERROR,
	PIECE_END,
};

static struct {
	struct feed f;
	uint8_t batch_way;
	uint32_t seq; /* of the request that is being answered */
	bool dump;
	bool about;           /* it asks for the epoch */
	enum element_map map; /* which it is about; ELEMENT_MAPS: none of them */
	bool batch;           /* a transaction waits for its answer */
	uint32_t batch_n;     /* its messages without begin and end */
	unsigned int busy;    /* answers to this request so far */
	struct feed again;    /* from where on all is dumped once more */
	uint8_t buf[ANSWER_MAX + 256];
	struct lease *adopted;
	size_t n_adopted;
} kernel;

ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf,
				 size_t len);
int __wrap_mnl_socket_get_fd(const struct mnl_socket *nl);

int __wrap_mnl_socket_get_fd(const struct mnl_socket *nl)
{
	(void)nl;
	return -1;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
	(void)t;
	(void)left;
	return 0;
}

/* Nothing more comes: the reader gives up. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	(void)fds;
	must(n == 1 && timeout > 0);
	return 0;
}

static bool asks_for(const void *buf, size_t len, const char *set)
{
	return memmem(buf, len, set, strlen(set) + 1); /* with the NUL behind it */
}

/* Which set a request is about. */
static void note_set(const void *buf, size_t len)
{
	kernel.about = asks_for(buf, len, "about");
	/* "leases" is also how "leases_from" begins, but not with a NUL behind it. */
	for (kernel.map = 0; kernel.map < ELEMENT_MAPS; kernel.map++)
		if (asks_for(buf, len, element_map_name(kernel.map)))
			break;
}

/* What we send is whole: messages one behind the other to the end, numbered in a row. */
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len)
{
	const struct nlmsghdr *nlh = buf;
	struct nl_datagram d = nl_datagram_of(buf, len);
	uint32_t n = 0;

	(void)nl;
	kernel.seq = nlh->nlmsg_seq;
	kernel.busy = 0;
	kernel.dump = (nlh->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	kernel.batch = nlh->nlmsg_type == NFNL_MSG_BATCH_BEGIN;
	note_set(buf, len);
	if (kernel.dump && kernel.batch_way & 32 && kernel.map == ELEMENT_LEASES) {
		if (!kernel.again.pos)
			kernel.again = kernel.f;
		kernel.f = kernel.again;
	}
	while ((nlh = nl_next(&d)))
		must(nlh->nlmsg_seq == kernel.seq + n++ &&
		     nlh->nlmsg_len <= NL_MESSAGE_MAX);
	must(!d.bad && n);
	must(kernel.batch ? n >= 3 : n == 1);
	kernel.batch_n = kernel.batch ? n - 2 : 0;
	return (ssize_t)len;
}

static struct nlmsghdr *put_head(uint8_t *at, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(at);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	nlh->nlmsg_seq = kernel.seq;
	return nlh;
}

static size_t put_error(uint8_t *at, uint32_t seq, int err)
{
	struct nlmsghdr *nlh = put_head(at, NLMSG_ERROR, NLM_F_CAPPED);
	struct nlmsgerr *e = mnl_nlmsg_put_extra_header(nlh, sizeof(*e));

	e->error = err;
	nlh->nlmsg_seq = seq;
	return nlh->nlmsg_len;
}

static void put_value(struct nlmsghdr *nlh, uint16_t type, const void *data, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, len, data);
	mnl_attr_nest_end(nlh, nest);
}

/* One of few leases, so that they meet, as that map has them. */
static void read_lease(struct feed *f, enum element_map map, uint8_t bits,
		       struct lease *l)
{
	uint8_t which = feed_u8(f), port = feed_u8(f), from = feed_u8(f);
	bool pinhole = !element_map_has_dest(map);

	*l = (struct lease){.protocol = bits & 2 ? IPPROTO_TCP : IPPROTO_UDP,
			    .ext_port = (uint16_t)(7000 + (port & 15)),
			    .int_port = (uint16_t)(7000 + (which >> 2 & 3)),
			    .internal = {.s6_addr = {0x20, 0x01, 0x0d, 0xb8, 0, 1}},
			    .kernel_ms = 1000000};
	l->internal.s6_addr[15] = 20 + (which & 3);
	if (!pinhole)
		l->internal = addr_from_v4(
			(struct in_addr){htonl(0xc0a80114U + (which & 3))});
	else
		l->int_port = l->ext_port;
	l->enabled = map != ELEMENT_DISABLED && map != ELEMENT_DISABLED_FROM;
	if (!element_map_is_range(map))
		return;
	l->filters[0].len = (uint8_t)(128 - (from >> 2 & 3));
	l->filters[0].port = from >> 4 & 3;
	l->filters[0].addr = addr_from_v4(
		(struct in_addr){htonl(0x0b000000U + (from & 3))});
	if (pinhole)
		l->filters[0].addr = (struct in6_addr){
			.s6_addr = {0x20, 0x01, 0x0d, 0xb8, 0, 2, [15] = from & 3}};
	if (which & 16) {
		l->n_filters = 1;
	} else {
		l->remote = l->filters[0].addr;
		l->remote_len = l->filters[0].len;
	}
}

/* Userdata as we write it, for a lease of few bytes. */
static size_t put_userdata(struct feed *f, struct lease *l,
			   uint8_t userdata[ELEMENT_USERDATA_MAX])
{
	uint8_t bits = feed_u8(f);

	l->claims = 1;
	l->enabled ^= (bits & 1) && (bits & 2);
	l->twin = bits & 2 && !lease_is_pinhole(l);
	l->origin = bits >> 2 & 1;
	l->until_ms[0] = bits & 8 ? 1000000 : 2000000;
	feed_copy(f, l->description, bits >> 4);
	return element_userdata(l, userdata);
}

/* What it carries is now and then spoilt: bytes of the key, its length, the end of a range. */
static void put_lease(struct feed *f, struct nlmsghdr *nlh)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	uint8_t dest[ELEMENT_DEST], userdata[USERDATA_SENT], bits = feed_u8(f);
	struct element_key key = {0};
	struct lease l;
	size_t len;

	read_lease(f, kernel.map, bits, &l);
	must(!element_key(&l, &key) && key.map == kernel.map);
	element_dest(&l, dest);
	len = bits & 1 ? feed_u8(f) % (sizeof(key.from) + 1) : key.len;
	if (bits & 128)
		key.to[feed_u8(f) % sizeof(key.to)] ^= feed_u8(f);
	put_value(nlh, NFTA_SET_ELEM_KEY, key.from, len);
	if (element_map_is_range(kernel.map) != !!(bits & 4))
		put_value(nlh, NFTA_SET_ELEM_KEY_END, key.to, len);
	if (element_map_has_dest(kernel.map) != !!(bits & 8))
		put_value(nlh, NFTA_SET_ELEM_DATA, dest, sizeof(dest));
	if (bits & 16)
		mnl_attr_put_u64(nlh, NFTA_SET_ELEM_EXPIRATION,
				 htobe64(feed_u16(f) * 100ULL));
	if (bits & 32) {
		len = put_userdata(f, &l, userdata);
	} else {
		len = feed_u16(f) % sizeof(userdata);
		feed_copy(f, userdata, len);
	}
	mnl_attr_put(nlh, NFTA_SET_ELEM_USERDATA, len, userdata);
	if (bits & 64)
		mnl_attr_put_u32(nlh, NFTA_SET_ELEM_FLAGS, htonl(1));
	mnl_attr_nest_end(nlh, nest);
}

/* Of `rev` (a host's) or `held`, with a key of few values. */
static void put_object(struct feed *f, struct nlmsghdr *nlh)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	uint8_t bits = feed_u8(f);
	bool host = bits & 1;
	uint8_t key[ELEMENT_HOST_KEY] = {0}, port[ELEMENT_PORT];
	struct lease l;

	read_lease(f, ELEMENT_LEASES, bits, &l);
	l.internal = addr_from_v4((struct in_addr){htonl(0xc0a80114U + (bits >> 6 & 1))});
	if (host)
		element_rev_key(&l, key);
	else
		element_held_key(&l, key);
	port[0] = (uint8_t)(l.ext_port >> 8);
	port[1] = (uint8_t)l.ext_port;
	put_value(nlh, NFTA_SET_ELEM_KEY, key,
		  host ? ELEMENT_HOST_KEY : ELEMENT_PORT_KEY);
	if (bits & 8)
		put_value(nlh, NFTA_SET_ELEM_DATA, port, sizeof(port));
	if (bits & 16)
		mnl_attr_put_u64(nlh, NFTA_SET_ELEM_EXPIRATION,
				 htobe64(feed_u16(f) * 100ULL));
	mnl_attr_nest_end(nlh, nest);
}

static void put_epoch(struct feed *f, struct nlmsghdr *nlh)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	const struct firewall_epoch epoch = {.since_ms = feed_u16(f)};
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	uint32_t key = ABOUT_KEY_EPOCH;
	size_t len = about_epoch_userdata(&epoch, userdata);

	userdata[feed_u8(f) % len] ^= feed_u8(f);
	put_value(nlh, NFTA_SET_ELEM_KEY, &key, sizeof(key));
	mnl_attr_put(nlh, NFTA_SET_ELEM_USERDATA, len, userdata);
	mnl_attr_nest_end(nlh, nest);
}

static size_t put_elements(struct feed *f, uint8_t *at, bool leases)
{
	struct nlmsghdr *nlh = put_head(
		at, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM, NLM_F_MULTI);
	unsigned int n = feed_u8(f) % 8;
	struct nlattr *list;

	mnl_nlmsg_put_extra_header(nlh, sizeof(struct nfgenmsg));
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, FIREWALL_TABLE);
	list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	while (n-- && f->left) {
		if (kernel.about)
			put_epoch(f, nlh);
		else if (leases && kernel.map < ELEMENT_MAPS)
			put_lease(f, nlh);
		else
			put_object(f, nlh);
	}
	mnl_attr_nest_end(nlh, list);
	return nlh->nlmsg_len;
}

static size_t put_raw(struct feed *f, uint8_t *at, bool fix)
{
	size_t len = feed_u16(f) % 2048;
	struct nlmsghdr head;

	feed_copy(f, at, len);
	if (len < sizeof(head))
		return len;
	memcpy(&head, at, sizeof(head));
	head.nlmsg_seq = kernel.seq;
	if (fix) {
		head.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM;
		head.nlmsg_len = (uint32_t)len;
	}
	memcpy(at, &head, sizeof(head));
	return len;
}

/* Ends at a multiple of four, as all that the kernel sends. */
static size_t put_piece(struct feed *f, uint8_t *at, uint8_t head)
{
	size_t len = 0;

	switch ((enum piece_kind)(head % PIECE_END)) {
	case PIECE_RAW:
	case PIECE_FIXED:
		len = put_raw(f, at, head % PIECE_END == PIECE_FIXED);
		break;
	case PIECE_LEASES:
	case PIECE_OBJECTS:
		len = put_elements(f, at, head % PIECE_END == PIECE_LEASES);
		break;
	case PIECE_DONE: {
		struct nlmsghdr *nlh = put_head(at, NLMSG_DONE, NLM_F_MULTI);

		mnl_nlmsg_put_extra_header(nlh, sizeof(int));
		len = nlh->nlmsg_len;
		break;
	}
	case PIECE_ERROR:
		len = put_error(at, kernel.seq, feed_u8(f) & 3 ? -(int)feed_u8(f) : 0);
		break;
	case PIECE_END:
		break;
	}
	if (head >= 192 && len) /* one byte of it is spoilt */
		at[feed_u16(f) % len] = feed_u8(f);
	else if (head >= 160 && len >= sizeof(struct nlmsghdr))
		at[6] |= NLM_F_DUMP_INTR;
	return NLMSG_ALIGN(len);
}

/* What the kernel says to a batch: done, some of it refused, or something else. */
static size_t batch_answer(uint8_t *at)
{
	size_t len = 0;

	if (!kernel.batch || kernel.busy++)
		return 0;
	switch (kernel.batch_way & 3) {
	case 0:
		return put_error(at, kernel.seq + kernel.batch_n, 0);
	case 1: /* every second message is refused */
		for (uint32_t i = 1; i <= kernel.batch_n && len < ANSWER_MAX; i += 2)
			len += put_error(at + len, kernel.seq + i, -EEXIST);
		return len;
	case 2:
		return put_error(at, kernel.seq + feed_u8(&kernel.f),
				 -(int)kernel.batch_way);
	default:
		return put_piece(&kernel.f, at, feed_u8(&kernel.f));
	}
}

static size_t query_answer(uint8_t *at)
{
	size_t len = 0;
	uint8_t head;

	if (kernel.busy++ > 16)
		return 0;
	if (!kernel.f.left) /* all dumps after the end of the input are empty */
		return kernel.dump ? put_piece(&kernel.f, at, PIECE_DONE)
				   : put_error(at, kernel.seq, -ENOENT);
	do { /* several messages may come at once, as in the kernel's dumps */
		head = feed_u8(&kernel.f);
		len += put_piece(&kernel.f, at + len, head);
	} while (kernel.f.left && head & 8 && len < ANSWER_MAX / 2);
	if (kernel.dump && head % PIECE_END != PIECE_DONE && head & 16)
		len += put_piece(&kernel.f, at + len, PIECE_DONE);
	return len;
}

ssize_t __wrap_recv(int fd, void *buf, size_t size, int flags)
{
	size_t len;

	(void)fd;
	must(size <= RX_SIZE && flags & MSG_DONTWAIT);
	memset(kernel.buf, 0, sizeof(kernel.buf));
	len = kernel.batch ? batch_answer(kernel.buf) : query_answer(kernel.buf);
	must(len <= ANSWER_MAX + 256);
	__asan_unpoison_memory_region(buf, RX_SIZE);
	if (!len) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(buf, kernel.buf, len);
	__asan_poison_memory_region((uint8_t *)buf + len, RX_SIZE - len);
	return (ssize_t)len;
}

static void adopted(void *arg, const struct lease *l)
{
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	struct element_key key;

	must(arg == &kernel && kernel.n_adopted < ADOPTED_MAX);
	must(l->protocol == IPPROTO_TCP || l->protocol == IPPROTO_UDP);
	must(l->ext_port && l->claims);
	must(!lease_is_pinhole(l) || (l->ext_port == l->int_port && !l->twin));
	must(!l->n_filters || !l->remote_len);
	must(memchr(l->description, '\0', LEASE_DESCRIPTION_MAX + 1));
	must(element_userdata(l, userdata));
	for (size_t i = 0; i < element_count(l); i++)
		must(!element_key_of(l, i, &key));
	kernel.adopted[kernel.n_adopted++] = *l;
}

/* What firewall_open() makes, but for the socket. Kept from input to input for speed: the
 * large array is cleared by whoever uses it. */
static struct firewall *fake_open(void)
{
	struct firewall *fw = fuzz_alloc(sizeof(*fw));

	fw->nl.rx = fuzz_alloc(RX_SIZE);
	fw->use = fuzz_alloc(PORT_USES * sizeof(*fw->use));
	strcpy(fw->table, FIREWALL_TABLE);
	return fw;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lease leases[ADOPTED_MAX];
	static struct firewall *fw;
	struct firewall_adopted report;
	struct firewall_epoch epoch;
	int err;

	memset(&kernel, 0, sizeof(kernel));
	kernel.f = (struct feed){data, size};
	kernel.batch_way = feed_u8(&kernel.f);
	kernel.adopted = leases;
	if (!fw)
		fw = fake_open();
	fw->nl.seq = 0;
	fw->in_place = kernel.batch_way & 4;
	fw->destroy = kernel.batch_way & 8;

	if (kernel.batch_way & 16)
		must(firewall_epoch_get(fw, &epoch) <= 0);
	err = firewall_adopt(fw, 1000000000, adopted, &kernel, &report);
	must(err <= 0);
	must(err ? !kernel.n_adopted : kernel.n_adopted == report.leases);
	must(firewall_staged(fw) == 0);
	return 0;
}
