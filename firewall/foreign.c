/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/foreign.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h> /* libnftnl's headers want FILE */
#include <stdlib.h>
#include <string.h>

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>

#define FOREIGN_TRIES 5

struct reading {
	struct foreign *f;
	const char *own;
	struct foreign_chain *last; /* rules come chain by chain */
};

/* Doubles an array that is full. */
static int grow(void **array, size_t n, size_t size)
{
	size_t room = n ? 2 * n : 16;
	void *more;

	if (n & (n - 1) || (n && n < 16))
		return 0; /* not at a power of two: there is room */
	more = realloc(*array, room * size);
	if (!more)
		return -ENOMEM;
	*array = more;
	return 0;
}

static bool is_own(const struct reading *r, uint32_t family, const char *table,
		   const char *chain)
{
	return family == NFPROTO_INET && strcmp(table, r->own) == 0 &&
	       strncmp(chain, FOREIGN_GUEST, strlen(FOREIGN_GUEST)) != 0;
}

static int take_chain(const struct reading *r, struct nftnl_chain *c)
{
	const char *table = nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE);
	const char *name = nftnl_chain_get_str(c, NFTNL_CHAIN_NAME);
	uint32_t family = nftnl_chain_get_u32(c, NFTNL_CHAIN_FAMILY);
	struct foreign *f = r->f;
	struct foreign_chain *out;
	int err;

	if (!table || !name || is_own(r, family, table, name))
		return 0;
	if (f->n_chains == FOREIGN_CHAINS_MAX)
		return -E2BIG;
	err = grow((void **)&f->chain, f->n_chains, sizeof(*f->chain));
	if (err)
		return err;
	out = &f->chain[f->n_chains];
	*out = (struct foreign_chain){
		.family = (uint8_t)family, .table = strdup(table), .name = strdup(name)};
	f->n_chains++;
	if (nftnl_chain_is_set(c, NFTNL_CHAIN_HOOKNUM)) {
		const char *type = nftnl_chain_get_str(c, NFTNL_CHAIN_TYPE);

		out->base = true;
		out->nat = type && strcmp(type, "nat") == 0;
		out->hook = nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM);
		out->priority = nftnl_chain_get_s32(c, NFTNL_CHAIN_PRIO);
		out->drop = nftnl_chain_get_u32(c, NFTNL_CHAIN_POLICY) == NF_DROP;
	}
	return out->table && out->name ? 0 : -ENOMEM;
}

static int each_chain(void *arg, const struct nlmsghdr *nlh)
{
	struct nftnl_chain *c = nftnl_chain_alloc();
	int err = c ? 0 : -ENOMEM;

	if (!err && nftnl_chain_nlmsg_parse(nlh, c) == 0)
		err = take_chain(arg, c);
	if (c)
		nftnl_chain_free(c);
	return err;
}

static struct foreign_chain *find_chain(const struct foreign *f, uint32_t family,
					const char *table, const char *name)
{
	for (size_t i = 0; i < f->n_chains; i++) {
		struct foreign_chain *c = &f->chain[i];

		if (c->family == family && strcmp(c->name, name) == 0 &&
		    strcmp(c->table, table) == 0)
			return c;
	}
	return NULL;
}

/* Keeps the rule, or releases it. */
static int take_rule(struct reading *r, struct nftnl_rule *rule)
{
	const char *table = nftnl_rule_get_str(rule, NFTNL_RULE_TABLE);
	const char *name = nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN);
	uint32_t family = nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY);
	struct foreign_chain *c = r->last;
	int err = 0;

	if (!table || !name || is_own(r, family, table, name))
		goto out;
	if (!c || c->family != family || strcmp(c->name, name) != 0 ||
	    strcmp(c->table, table) != 0)
		c = r->last = find_chain(r->f, family, table, name);
	if (!c)
		goto out; /* a chain that came after the chains were read */
	err = r->f->n_rules == FOREIGN_RULES_MAX ? -E2BIG : 0;
	if (!err)
		err = grow((void **)&c->rule, c->n_rules, sizeof(*c->rule));
	if (err)
		goto out;
	c->rule[c->n_rules++] = rule;
	r->f->n_rules++;
	return 0;
out:
	nftnl_rule_free(rule);
	return err;
}

static int each_rule(void *arg, const struct nlmsghdr *nlh)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	if (!rule)
		return -ENOMEM;
	if (nftnl_rule_nlmsg_parse(nlh, rule) == 0)
		return take_rule(arg, rule);
	nftnl_rule_free(rule);
	return 0;
}

static int each_set(void *arg, const struct nlmsghdr *nlh)
{
	const struct reading *r = arg;
	struct foreign *f = r->f;
	struct nftnl_set *s;
	int err;

	if (f->n_sets == FOREIGN_SETS_MAX)
		return -E2BIG;
	err = grow((void **)&f->set, f->n_sets, sizeof(*f->set));
	if (err)
		return err;
	s = nftnl_set_alloc();
	if (!s)
		return -ENOMEM;
	if (nftnl_set_nlmsg_parse(nlh, s) || !nftnl_set_get_str(s, NFTNL_SET_TABLE) ||
	    !nftnl_set_get_str(s, NFTNL_SET_NAME))
		nftnl_set_free(s);
	else
		f->set[f->n_sets++] = (struct foreign_set){.set = s};
	return 0;
}

/* All objects of a kind, of all families. */
static int dump(struct reading *r, uint16_t type, nl_message_cb each)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh = nl_request(&r->f->nl, buf, type, NLM_F_DUMP);
	struct nfgenmsg *head = mnl_nlmsg_get_payload(nlh);

	head->nfgen_family = NFPROTO_UNSPEC;
	return nl_query(&r->f->nl, nlh, each, r);
}

static void forget(struct foreign *f)
{
	for (size_t i = 0; i < f->n_chains; i++) {
		struct foreign_chain *c = &f->chain[i];

		for (size_t k = 0; k < c->n_rules; k++)
			nftnl_rule_free(c->rule[k]);
		free(c->rule);
		free(c->table);
		free(c->name);
	}
	for (size_t i = 0; i < f->n_sets; i++)
		nftnl_set_free(f->set[i].set);
	free(f->chain);
	free(f->set);
	f->chain = NULL;
	f->set = NULL;
	f->n_chains = f->n_sets = f->n_rules = 0;
}

static int read_all(struct foreign *f, const char *own)
{
	struct reading r = {.f = f, .own = own};
	int err = dump(&r, NFT_MSG_GETCHAIN, each_chain);

	if (!err)
		err = dump(&r, NFT_MSG_GETSET, each_set);
	return err ? err : dump(&r, NFT_MSG_GETRULE, each_rule);
}

int foreign_read(const char *own, struct foreign **out)
{
	struct foreign *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	err = nl_open(&f->nl);
	if (err) {
		free(f);
		return err;
	}
	for (int i = 0; i < FOREIGN_TRIES; i++) {
		forget(f);
		err = read_all(f, own);
		if (err != -EINTR)
			break;
	}
	if (err) {
		foreign_free(f);
		return err;
	}
	*out = f;
	return 0;
}

void foreign_free(struct foreign *f)
{
	if (!f)
		return;
	forget(f);
	nl_close(&f->nl);
	free(f);
}

const struct foreign_chain *foreign_find_chain(const struct foreign *f, uint8_t family,
					       const char *table, const char *name)
{
	return find_chain(f, family, table, name);
}

static int each_element(void *arg, const struct nlmsghdr *nlh)
{
	struct foreign_set *s = arg;

	if (++s->n_messages > FOREIGN_MESSAGES_MAX)
		return -E2BIG;
	return nftnl_set_elems_nlmsg_parse(nlh, s->set) ? -EBADMSG : 0;
}

static void read_elements(struct foreign *f, struct foreign_set *s)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh = nl_request(&f->nl, buf, NFT_MSG_GETSETELEM, NLM_F_DUMP);
	struct nfgenmsg *head = mnl_nlmsg_get_payload(nlh);
	const char *table = nftnl_set_get_str(s->set, NFTNL_SET_TABLE);
	const char *name = nftnl_set_get_str(s->set, NFTNL_SET_NAME);
	bool fits = strlen(table) + strlen(name) < NL_REQUEST_MAX / 2;

	head->nfgen_family = (uint8_t)nftnl_set_get_u32(s->set, NFTNL_SET_FAMILY);
	if (fits) {
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, table);
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, name);
	}
	s->elements = fits && !nl_query(&f->nl, nlh, each_element, s) ? FOREIGN_READ
								      : FOREIGN_UNKNOWN;
}

struct nftnl_set *foreign_find_set(struct foreign *f, uint8_t family, const char *table,
				   const char *name)
{
	for (size_t i = 0; i < f->n_sets; i++) {
		struct foreign_set *s = &f->set[i];

		if (nftnl_set_get_u32(s->set, NFTNL_SET_FAMILY) != family ||
		    strcmp(nftnl_set_get_str(s->set, NFTNL_SET_NAME), name) != 0 ||
		    strcmp(nftnl_set_get_str(s->set, NFTNL_SET_TABLE), table) != 0)
			continue;
		if (s->elements == FOREIGN_UNREAD)
			read_elements(f, s);
		return s->elements == FOREIGN_READ ? s->set : NULL;
	}
	return NULL;
}

bool foreign_has_table(const struct foreign *f, const char *table)
{
	for (size_t i = 0; i < f->n_chains; i++)
		if (strcmp(f->chain[i].table, table) == 0)
			return true;
	return false;
}

const char *foreign_family_name(uint8_t family)
{
	switch (family) {
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_BRIDGE:
		return "bridge";
	case NFPROTO_NETDEV:
		return "netdev";
	default:
		return "arp";
	}
}
