/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in the sets that describe the router itself: interfaces, addresses, reserved ports.
 * A set is emptied and filled anew in one transaction.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "firewall/kernel.h"

/* The kernel counts the length of a list in 16 bits and takes a longer one as a short one. */
#define FILL_MAX (48 * 1024)
#define OWN_FIRST 1024 /* the source ports below are not chosen by us */

static void fill_begin(struct filler *f)
{
	f->nlh = nl_batch_put(&f->fw->batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	if (f->nlh)
		f->list = elements_begin(f->nlh, f->fw->table, f->set);
}

void fill_end(struct filler *f)
{
	if (f->nlh)
		elements_end(f->nlh, f->list);
	f->nlh = NULL;
}

void fill(struct filler *f, const struct kernel_element *e)
{
	if (f->nlh && f->nlh->nlmsg_len > FILL_MAX)
		fill_end(f);
	if (!f->nlh)
		fill_begin(f);
	if (f->nlh)
		elements_put(f->nlh, e);
}

void fill_port_ranges(struct filler *f, const uint8_t *prefix, uint8_t key_len,
		      const struct portset *ports)
{
	uint8_t from[ELEMENT_KEY_MAX] = {0}, to[ELEMENT_KEY_MAX] = {0};
	unsigned int at = key_len - 4U;

	memcpy(from, prefix, at);
	memcpy(to, prefix, at);
	for (uint32_t p = 0; ports && p < 65536; p++) {
		uint32_t last = p;

		if (!portset_has(ports, (uint16_t)p))
			continue;
		while (last < 65535 && portset_has(ports, (uint16_t)(last + 1)))
			last++;
		from[at] = (uint8_t)(p >> 8);
		from[at + 1] = (uint8_t)p;
		to[at] = (uint8_t)(last >> 8);
		to[at + 1] = (uint8_t)last;
		fill(f, &(struct kernel_element){
				.key = from, .key_to = to, .key_len = key_len});
		p = last;
	}
}

void fill_ports(struct filler *f, uint8_t protocol, const struct portset *ports)
{
	const uint8_t prefix[ELEMENT_PORT_KEY] = {protocol};

	fill_port_ranges(f, prefix, ELEMENT_PORT_KEY, ports);
}

static void fill_names(struct firewall *fw, const char *set, char (*names)[IFNAMSIZ],
		       size_t n)
{
	struct filler f = {.fw = fw, .set = set};

	flush_message(&fw->batch, fw->table, set);
	for (size_t i = 0; i < n; i++)
		fill(&f, &(struct kernel_element){.key = names[i], .key_len = IFNAMSIZ});
	fill_end(&f);
}

static int check_names(const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!names[i][0] || strlen(names[i]) >= IFNAMSIZ)
			return -EINVAL;
	return 0;
}

/* A copy of n things, of one more, so that NULL is no memory. */
static void *copy_of(const void *from, size_t n, size_t size)
{
	void *copy = calloc(n + 1, size);

	if (copy && n)
		memcpy(copy, from, n * size);
	return copy;
}

/* Padded with zeros, as the kernel's keys are. */
static void *copy_names(const char *const *names, size_t n)
{
	char(*copy)[IFNAMSIZ] = calloc(n + 1, sizeof(*copy));

	for (size_t i = 0; copy && i < n; i++)
		memcpy(copy[i], names[i], strlen(names[i]));
	return copy;
}

static void wan_put(struct firewall *fw)
{
	struct filler f = {.fw = fw, .set = "wan4"};
	const struct router *r = &fw->router;

	fill_names(fw, "wan", r->wan, r->n_wan);
	flush_message(&fw->batch, fw->table, "wan4");
	for (size_t i = 0; i < r->n_wan4; i++)
		fill(&f, &(struct kernel_element){.key = &r->wan4[i],
						  .key_len = sizeof(r->wan4[i])});
	fill_end(&f);
}

static void wan_free(struct router *r)
{
	free(r->wan);
	free(r->wan4);
}

/* Which names the rules have to have, if nobody has said so yet: those of before. */
static int note_wan(void *arg, const struct dumped *d)
{
	struct router *r = arg;
	void *more;

	if (d->key_len != IFNAMSIZ)
		return -EBADMSG;
	more = realloc(r->wan, (r->n_wan + 1) * sizeof(*r->wan));
	if (!more)
		return -ENOMEM;
	r->wan = more;
	memcpy(r->wan[r->n_wan], d->key, IFNAMSIZ);
	r->wan[r->n_wan++][IFNAMSIZ - 1] = '\0';
	return 0;
}

int router_recall_wan(struct firewall *fw)
{
	struct router *r = &fw->router;
	int err;

	if (r->wan_known)
		return 0;
	do {
		r->n_wan = 0;
		err = elements_dump(fw, "wan", note_wan, r);
	} while (err == -EINTR);
	return err == -ENOENT ? 0 : err;
}

static bool same_names(const struct router *a, const struct router *b)
{
	return a->n_wan == b->n_wan &&
	       (!a->n_wan || !memcmp(a->wan, b->wan, a->n_wan * sizeof(*a->wan)));
}

int firewall_set_wan(struct firewall *fw, const char *const *names, size_t n_names,
		     const struct in_addr *addrs, size_t n_addrs)
{
	struct router *r = &fw->router;
	struct router now = *r;
	bool same;
	int err = 0;

	if (check_names(names, n_names))
		return -EINVAL;
	now.wan = copy_names(names, n_names);
	now.n_wan = n_names;
	now.wan4 = copy_of(addrs, n_addrs, sizeof(*addrs));
	now.n_wan4 = n_addrs;
	now.wan_known = true;
	if (!now.wan || !now.wan4) {
		wan_free(&now);
		return -ENOMEM;
	}
	same = same_names(r, &now);
	wan_free(r);
	*r = now;
	nl_batch_begin(&fw->batch);
	wan_put(fw);
	if (!same)
		err = ruleset_adapt_put(fw);
	return err ? err : nl_commit_whole(&fw->nl, &fw->batch);
}

/* Does another one hold all of this prefix? Of equal ones the first holds the others. */
static bool is_covered(const struct prefix *nets, size_t n, size_t i)
{
	for (size_t k = 0; k < n; k++) {
		bool wider = nets[k].len < nets[i].len;
		bool same = nets[k].len == nets[i].len;

		if ((wider || (same && k < i)) && prefix_has(&nets[k], &nets[i].addr))
			return true;
	}
	return false;
}

/* An interval is where it begins and, marked, where it is over, if that is anywhere. */
static void fill_prefix(struct filler *f, const struct prefix *p)
{
	uint8_t at = addr_is_v4(&p->addr) ? 12 : 0; /* where the address begins */
	struct in6_addr first = p->addr, over;
	bool carry = true;

	for (unsigned int bit = p->len; bit < 128; bit++)
		first.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	over = p->addr;
	for (unsigned int bit = p->len; bit < 128; bit++)
		over.s6_addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	for (int i = 15; i >= at && carry; i--)
		carry = ++over.s6_addr[i] == 0;
	fill(f, &(struct kernel_element){.key = &first.s6_addr[at],
					 .key_len = (uint8_t)(16 - at)});
	if (!carry)
		fill(f, &(struct kernel_element){.key = &over.s6_addr[at],
						 .key_len = (uint8_t)(16 - at),
						 .flags = NFT_SET_ELEM_INTERVAL_END});
}

/* Those of one family; the kernel refuses overlaps. */
static void fill_prefixes(struct firewall *fw, const char *set, bool v4,
			  const struct prefix *nets, size_t n)
{
	struct filler f = {.fw = fw, .set = set};

	flush_message(&fw->batch, fw->table, set);
	for (size_t i = 0; i < n; i++)
		if (addr_is_v4(&nets[i].addr) == v4 && nets[i].len <= 128 &&
		    (!v4 || nets[i].len >= 96) && !is_covered(nets, n, i))
			fill_prefix(&f, &nets[i]);
	fill_end(&f);
}

/* The LANs, and the groups that are on each of them: SSDP's, and all hosts. */
static int fill_reach(struct firewall *fw, const struct prefix *nets, size_t n)
{
	static const char *const groups[] = {"239.255.255.250", "224.0.0.1", "ff02::1",
					     "ff02::c"};
	size_t n_groups = sizeof(groups) / sizeof(groups[0]);
	struct prefix *all = calloc(n + n_groups, sizeof(*all));

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < n_groups; i++)
		prefix_parse(groups[i], &all[i]);
	if (n)
		memcpy(all + n_groups, nets, n * sizeof(*all));
	fill_prefixes(fw, "reach4", true, all, n + n_groups);
	fill_prefixes(fw, "reach6", false, all, n + n_groups);
	free(all);
	return 0;
}

static void fill_http(struct firewall *fw, const uint16_t *ports, size_t n)
{
	struct filler f = {.fw = fw, .set = "http"};

	flush_message(&fw->batch, fw->table, "http");
	for (size_t i = 0; i < n; i++) {
		uint16_t port = htons(ports[i]);

		fill(&f, &(struct kernel_element){.key = &port, .key_len = sizeof(port)});
	}
	fill_end(&f);
}

static int lan_put(struct firewall *fw)
{
	const struct router *r = &fw->router;

	fill_names(fw, "lan", r->lan, r->n_lan);
	fill_prefixes(fw, "lan4", true, r->nets, r->n_nets);
	fill_http(fw, r->http, r->n_http);
	return fill_reach(fw, r->nets, r->n_nets);
}

void fill_single_ports(struct filler *f, uint8_t protocol, const struct portset *ports,
		       uint16_t first)
{
	for (uint32_t p = first; p < 65536; p++) {
		const uint8_t key[ELEMENT_PORT_KEY] = {protocol,          0,         0, 0,
						       (uint8_t)(p >> 8), (uint8_t)p};

		if (ports && portset_has(ports, (uint16_t)p))
			fill(f, &(struct kernel_element){.key = key,
							 .key_len = sizeof(key)});
	}
}

static void own_put(struct firewall *fw)
{
	struct filler f = {.fw = fw, .set = "own"};

	flush_message(&fw->batch, fw->table, f.set);
	fill_single_ports(&f, IPPROTO_TCP, &fw->router.own_tcp, OWN_FIRST);
	fill_single_ports(&f, IPPROTO_UDP, &fw->router.own_udp, OWN_FIRST);
	fill_end(&f);
}

int firewall_set_own(struct firewall *fw, const struct portset *tcp,
		     const struct portset *udp)
{
	struct router *r = &fw->router;

	if (!memcmp(&r->own_tcp, tcp, sizeof(*tcp)) &&
	    !memcmp(&r->own_udp, udp, sizeof(*udp)))
		return 0;
	r->own_tcp = *tcp;
	r->own_udp = *udp;
	nl_batch_begin(&fw->batch);
	own_put(fw);
	return nl_commit_whole(&fw->nl, &fw->batch);
}

int firewall_set_learners(struct firewall *fw, const struct prefix *nets, size_t n_nets)
{
	struct prefix *now = copy_of(nets, n_nets, sizeof(*nets));

	if (!now)
		return -ENOMEM;
	free(fw->router.learners);
	fw->router.learners = now;
	fw->router.n_learners = n_nets;
	nl_batch_begin(&fw->batch);
	fill_prefixes(fw, "learn4", true, now, n_nets);
	return nl_commit_whole(&fw->nl, &fw->batch);
}

static void lan_free(struct router *r)
{
	free(r->lan);
	free(r->nets);
	free(r->http);
}

int firewall_set_lan(struct firewall *fw, const char *const *names, size_t n_names,
		     const struct prefix *nets, size_t n_nets, const uint16_t *ports,
		     size_t n_ports)
{
	struct router *r = &fw->router;
	struct router now = *r;
	int err = check_names(names, n_names);

	if (err)
		return err;
	now.lan = copy_names(names, n_names);
	now.n_lan = n_names;
	now.nets = copy_of(nets, n_nets, sizeof(*nets));
	now.n_nets = n_nets;
	now.http = copy_of(ports, n_ports, sizeof(*ports));
	now.n_http = n_ports;
	now.lan_known = true;
	if (!now.lan || !now.nets || !now.http) {
		lan_free(&now);
		return -ENOMEM;
	}
	lan_free(r);
	*r = now;
	nl_batch_begin(&fw->batch);
	err = lan_put(fw);
	return err ? err : nl_commit_whole(&fw->nl, &fw->batch);
}

void reserved_put(struct firewall *fw, const struct firewall_config *config)
{
	struct filler f = {.fw = fw, .set = "reserved"};
	struct filler allow = {.fw = fw, .set = "wan_allow"};

	flush_message(&fw->batch, fw->table, f.set);
	/* Each by itself: a hash is faster than a tree of ranges, and of the ports below no
	 * packet is looked at. */
	fill_single_ports(&f, IPPROTO_TCP, config->reserved_tcp, OWN_FIRST);
	fill_single_ports(&f, IPPROTO_UDP, config->reserved_udp, OWN_FIRST);
	fill_end(&f);
	flush_message(&fw->batch, fw->table, allow.set);
	if (!config->router)
		return;
	fill_ports(&allow, IPPROTO_TCP, config->router->tcp);
	fill_ports(&allow, IPPROTO_UDP, config->router->udp);
	fill_end(&allow);
}

#define SERVICE_KEY (IFNAMSIZ + ELEMENT_PORT_KEY) /* ifname . proto . port */

static void fill_service(struct filler *f, const char *name, uint8_t protocol,
			 uint16_t port)
{
	uint8_t key[SERVICE_KEY] = {0};

	memcpy(key, name, strlen(name));
	key[IFNAMSIZ] = protocol;
	key[IFNAMSIZ + 4] = (uint8_t)(port >> 8);
	key[IFNAMSIZ + 5] = (uint8_t)port;
	fill(f, &(struct kernel_element){.key = key, .key_len = sizeof(key)});
}

/* What hosts that are not trusted may ask of the router. */
static void fill_services(struct filler *f, const struct firewall_zone *z)
{
	fill_service(f, z->name, IPPROTO_UDP, 53);
	fill_service(f, z->name, IPPROTO_TCP, 53);
	fill_service(f, z->name, IPPROTO_UDP, 67);
	fill_service(f, z->name, IPPROTO_UDP, 547);
	if (z->pcp)
		fill_service(f, z->name, IPPROTO_UDP, 5351);
	if (!z->http_port)
		return;
	fill_service(f, z->name, IPPROTO_UDP, 1900);
	fill_service(f, z->name, IPPROTO_TCP, z->http_port);
}

static void zones_put(struct firewall *fw)
{
	struct filler trusted = {.fw = fw, .set = "lan_trusted"};
	struct filler guest = {.fw = fw, .set = "lan_guest"};
	struct filler services = {.fw = fw, .set = "lan_services"};
	struct filler within = {.fw = fw, .set = "lan_within"};
	struct filler *const all[] = {&trusted, &guest, &services, &within};
	const struct router *r = &fw->router;

	/* One set after the other: a message is under way until it is ended. */
	for (size_t s = 0; s < sizeof(all) / sizeof(all[0]); s++) {
		flush_message(&fw->batch, fw->table, all[s]->set);
		for (size_t i = 0; i < r->n_zones; i++) {
			const struct firewall_zone *z = &r->zones[i];
			char key[2 * IFNAMSIZ];

			if (z->trusted != (all[s] == &trusted))
				continue;
			memcpy(key, z->name, IFNAMSIZ);
			memcpy(key + IFNAMSIZ, z->name, IFNAMSIZ);
			if (all[s] == &services)
				fill_services(all[s], z);
			else
				fill(all[s],
				     &(struct kernel_element){
					     .key = key,
					     .key_len = all[s] == &within ? sizeof(key)
									  : IFNAMSIZ});
		}
		fill_end(all[s]);
	}
}

int firewall_set_zones(struct firewall *fw, const struct firewall_zone *zones, size_t n)
{
	struct firewall_zone *now = copy_of(zones, n, sizeof(*zones));

	if (!now)
		return -ENOMEM;
	free(fw->router.zones);
	fw->router.zones = now;
	fw->router.n_zones = n;
	nl_batch_begin(&fw->batch);
	zones_put(fw);
	return nl_commit_whole(&fw->nl, &fw->batch);
}

int router_put(struct firewall *fw)
{
	if (fw->router.wan_known)
		wan_put(fw);
	zones_put(fw);
	own_put(fw);
	fill_prefixes(fw, "learn4", true, fw->router.learners, fw->router.n_learners);
	holders_put(fw);
	return fw->router.lan_known ? lan_put(fw) : 0;
}

void router_fini(struct router *r)
{
	wan_free(r);
	lan_free(r);
	free(r->zones);
	free(r->learners);
	free(r->hosts);
}

#define CLAIMS_CHUNK 4096 /* of one transaction */

/* To where its first flow went is not known: it was told of. */
static void fill_claims(struct firewall *fw, const char *set, uint8_t key_len,
			const struct firewall_claim *claim, size_t n)
{
	static const struct in_addr none = {INADDR_ANY};
	struct filler f = {.fw = fw, .set = set};
	bool is_map = key_len == ELEMENT_HOST_KEY;

	for (size_t i = 0; i < n; i++) {
		uint8_t key[ELEMENT_HOST_KEY] = {claim[i].protocol};

		key[4] = (uint8_t)(claim[i].port >> 8);
		key[5] = (uint8_t)claim[i].port;
		memcpy(key + ELEMENT_PORT_KEY, &claim[i].internal,
		       sizeof(claim[i].internal));
		fill(&f, &(struct kernel_element){.key = key,
						  .key_len = key_len,
						  .data = is_map ? &none : NULL,
						  .data_len = is_map ? sizeof(none) : 0});
	}
	fill_end(&f);
}

int firewall_claims_again(struct firewall *fw, const struct firewall_claim *claim,
			  size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i += CLAIMS_CHUNK) {
		size_t some = n - i < CLAIMS_CHUNK ? n - i : CLAIMS_CHUNK;

		nl_batch_begin(&fw->batch);
		fill_claims(fw, "mine", ELEMENT_HOST_KEY, claim + i, some);
		fill_claims(fw, "taken", ELEMENT_PORT_KEY, claim + i, some);
		err = nl_commit_whole(&fw->nl, &fw->batch);
	}
	return err;
}
