/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table: its sets and chains (form.c), put there or brought to the present form.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <stdio.h> /* libnftnl's headers want FILE */
#include <stdlib.h>
#include <string.h>

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>

#include "base/log.h"
#include "firewall/form.h"
#include "firewall/kernel.h"

bool ruleset_is_constant(const char *set)
{
	for (size_t i = 0; i < form_sets; i++)
		if (!strcmp(form_set[i].name, set))
			return form_set[i].use == SET_TOLD ||
			       !(form_set[i].flags & NFT_SET_TIMEOUT);
	return false;
}

static bool has_chain(const struct firewall *fw, const struct chain_spec *spec)
{
	if (spec->use == CHAIN_PINHOLES)
		return fw->pinholes;
	return router_has_chain(fw->config.router, spec->use);
}

/* What of it is there already. */
enum found { FOUND_NOTHING, FOUND_SAME, FOUND_OTHER };

struct inventory {
	const char *table;
	enum found set[FORM_SETS_MAX];
	enum found chain[FORM_CHAINS_MAX];
	size_t n_rules; /* in our chains */
};

static bool same_set(const struct set_spec *spec, const struct nftnl_set *s)
{
	return nftnl_set_get_u32(s, NFTNL_SET_FLAGS) == spec->flags &&
	       nftnl_set_get_u32(s, NFTNL_SET_KEY_TYPE) == spec->key_type &&
	       nftnl_set_get_u32(s, NFTNL_SET_KEY_LEN) == spec->key_len &&
	       nftnl_set_get_u32(s, NFTNL_SET_DATA_TYPE) == spec->data_type &&
	       nftnl_set_get_u32(s, NFTNL_SET_DATA_LEN) == spec->data_len &&
	       nftnl_set_get_u64(s, NFTNL_SET_TIMEOUT) == spec->timeout_ms &&
	       nftnl_set_is_set(s, NFTNL_SET_EXPR) == spec->counted;
}

static int note_set(void *arg, const struct nlmsghdr *nlh)
{
	struct inventory *inv = arg;
	struct nftnl_set *s = nftnl_set_alloc();
	const char *table, *name;

	if (!s)
		return -ENOMEM;
	if (nftnl_set_nlmsg_parse(nlh, s) < 0) {
		nftnl_set_free(s);
		return -EBADMSG;
	}
	table = nftnl_set_get_str(s, NFTNL_SET_TABLE);
	name = nftnl_set_get_str(s, NFTNL_SET_NAME);
	for (size_t i = 0; table && name && i < form_sets; i++)
		if (!strcmp(table, inv->table) && !strcmp(name, form_set[i].name))
			inv->set[i] = same_set(&form_set[i], s) ? FOUND_SAME
								: FOUND_OTHER;
	nftnl_set_free(s);
	return 0;
}

static bool same_chain(const struct chain_spec *spec, const struct nftnl_chain *c)
{
	const char *type = nftnl_chain_get_str(c, NFTNL_CHAIN_TYPE);

	if (!spec->type || !type)
		return !spec->type && !type;
	return !strcmp(type, spec->type) &&
	       nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM) == spec->hook &&
	       nftnl_chain_get_s32(c, NFTNL_CHAIN_PRIO) == spec->priority &&
	       nftnl_chain_get_u32(c, NFTNL_CHAIN_POLICY) == spec->policy;
}

static int note_chain(void *arg, const struct nlmsghdr *nlh)
{
	struct inventory *inv = arg;
	struct nftnl_chain *c = nftnl_chain_alloc();
	const char *table, *name;

	if (!c)
		return -ENOMEM;
	if (nftnl_chain_nlmsg_parse(nlh, c) < 0) {
		nftnl_chain_free(c);
		return -EBADMSG;
	}
	table = nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE);
	name = nftnl_chain_get_str(c, NFTNL_CHAIN_NAME);
	for (size_t i = 0; table && name && i < form_chains; i++)
		if (!strcmp(table, inv->table) && !strcmp(name, form_chain[i].name))
			inv->chain[i] = same_chain(&form_chain[i], c) ? FOUND_SAME
								      : FOUND_OTHER;
	nftnl_chain_free(c);
	return 0;
}

static int note_rule(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr = mnl_nlmsg_get_payload_offset(nlh,
								 sizeof(struct nfgenmsg));
	struct inventory *inv = arg;
	const char *names[2] = {"", ""}; /* the first two attributes: table and chain */

	for (size_t i = 0; i < 2; i++) {
		int left = (int)((const char *)mnl_nlmsg_get_payload_tail(nlh) -
				 (const char *)attr);

		if (!mnl_attr_ok(attr, left) ||
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) < 0)
			return 0;
		names[i] = mnl_attr_get_str(attr);
		attr = mnl_attr_next(attr);
	}
	for (size_t i = 0; i < form_chains; i++)
		inv->n_rules += !strcmp(names[0], inv->table) &&
				!strcmp(names[1], form_chain[i].name);
	return 0;
}

static int count_rules(struct firewall *fw, struct inventory *inv)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh = nl_request(&fw->nl, buf, NFT_MSG_GETRULE, NLM_F_DUMP);

	inv->n_rules = 0;
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, fw->table);
	return nl_query(&fw->nl, nlh, note_rule, inv);
}

static int take_inventory(struct firewall *fw, struct inventory *inv)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh;
	int err;

	do {
		memset(inv, 0, sizeof(*inv));
		inv->table = fw->table;
		nlh = nl_request(&fw->nl, buf, NFT_MSG_GETSET, NLM_F_DUMP);
		mnl_attr_put_strz(nlh, NFTA_SET_TABLE, fw->table);
		err = nl_query(&fw->nl, nlh, note_set, inv);
		if (err && err != -ENOENT)
			continue;
		nlh = nl_request(&fw->nl, buf, NFT_MSG_GETCHAIN, NLM_F_DUMP);
		err = nl_query(&fw->nl, nlh, note_chain, inv);
	} while (err == -EINTR);
	return err == -ENOENT ? 0 : err;
}

/* Messages */

static void put_table(struct firewall *fw)
{
	struct nlmsghdr *nlh = nl_batch_put(&fw->batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, fw->table);
	mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, 0);
}

/* Sets, chains and rules are named by two strings, the table's first, in this order. */
static void put_named(struct firewall *fw, uint16_t type, uint16_t table_attr,
		      uint16_t name_attr, const char *name)
{
	struct nlmsghdr *nlh = nl_batch_put(&fw->batch, type, 0);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, table_attr, fw->table);
	mnl_attr_put_strz(nlh, name_attr, name);
}

static int put_set(struct firewall *fw, const struct set_spec *spec, uint32_t id,
		   uint32_t size)
{
	/* nft's TLV for the byte order of keys: 1, an int, is the host's. */
	uint8_t host_order[2 + sizeof(uint32_t)] = {NFTNL_UDATA_SET_KEYBYTEORDER,
						    sizeof(uint32_t)};
	struct nftnl_set *s = nftnl_set_alloc();
	struct nftnl_expr *counter = s && spec->counted ? nftnl_expr_alloc("counter")
							: NULL;
	struct nlmsghdr *nlh;
	int err = s && !counter == !spec->counted ? 0 : -ENOMEM;

	if (counter)
		nftnl_set_add_expr(s, counter); /* its owner from here on */
	memcpy(host_order + 2, &(uint32_t){1}, sizeof(uint32_t));
	if (!err && (nftnl_set_set_str(s, NFTNL_SET_TABLE, fw->table) ||
		     nftnl_set_set_str(s, NFTNL_SET_NAME, spec->name)))
		err = -ENOMEM;
	nlh = err ? NULL : nl_batch_put(&fw->batch, NFT_MSG_NEWSET, NLM_F_CREATE);
	if (!nlh) {
		if (s)
			nftnl_set_free(s);
		return -ENOMEM;
	}
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, spec->flags);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, spec->key_type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, spec->key_len);
	if (spec->flags & NFT_SET_MAP) {
		nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, spec->data_type);
		nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, spec->data_len);
	}
	if (spec->timeout_ms)
		nftnl_set_set_u64(s, NFTNL_SET_TIMEOUT, spec->timeout_ms);
	if (size)
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, size);
	if (spec->n_fields)
		nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, spec->fields,
				   spec->n_fields);
	if (spec->host_order)
		nftnl_set_set_data(s, NFTNL_SET_USERDATA, host_order, sizeof(host_order));
	nftnl_set_nlmsg_build_payload(nlh, s);
	nftnl_set_free(s);
	return 0;
}

static void put_chain(struct firewall *fw, const struct chain_spec *spec)
{
	struct nlmsghdr *nlh = nl_batch_put(&fw->batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	struct nlattr *hook;

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, fw->table);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, spec->name);
	if (!spec->type)
		return;
	hook = mnl_attr_nest_start(nlh, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(nlh, NFTA_HOOK_HOOKNUM, htonl(spec->hook));
	mnl_attr_put_u32(nlh, NFTA_HOOK_PRIORITY, htonl((uint32_t)spec->priority));
	mnl_attr_nest_end(nlh, hook);
	mnl_attr_put_u32(nlh, NFTA_CHAIN_POLICY, htonl(spec->policy));
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TYPE, spec->type);
}

/* Everything together */

/* Of a map that was there with another form: nothing is lost if it goes. */
static bool is_empty(struct firewall *fw, const char *set)
{
	return firewall_count(fw, set) == 0;
}

static bool is_claims(const char *set)
{
	return !strcmp(set, "mine") || !strcmp(set, "taken");
}

/* Who claims which port is in two sets: one without the other says nothing. */
static bool claims_kept(const struct inventory *inv)
{
	bool kept = true;

	for (size_t i = 0; i < form_sets; i++)
		kept = kept &&
		       (!is_claims(form_set[i].name) || inv->set[i] == FOUND_SAME);
	return kept;
}

/* Out of the way goes what cannot be changed where it stands. */
static int clear(struct firewall *fw, const struct inventory *inv, bool keep)
{
	for (size_t i = 0; keep && i < form_sets; i++)
		if (inv->set[i] == FOUND_OTHER && form_set[i].use == SET_LEASES &&
		    !is_empty(fw, form_set[i].name)) {
			log_error("firewall: map %s of table inet %s has another form; "
				  "remove the table with portreeved --remove",
				  form_set[i].name, fw->table);
			return -EEXIST;
		}
	for (size_t i = 0; i < form_chains; i++)
		if (inv->chain[i] != FOUND_NOTHING)
			put_named(fw, NFT_MSG_DELRULE, NFTA_RULE_TABLE, NFTA_RULE_CHAIN,
				  form_chain[i].name);
	for (size_t i = 0; i < form_chains; i++)
		if (inv->chain[i] == FOUND_OTHER ||
		    (inv->chain[i] == FOUND_SAME && !has_chain(fw, &form_chain[i])))
			put_named(fw, NFT_MSG_DELCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME,
				  form_chain[i].name);
	for (size_t i = 0; i < form_sets; i++)
		if (inv->set[i] == FOUND_OTHER ||
		    (inv->set[i] == FOUND_SAME && is_claims(form_set[i].name) &&
		     !claims_kept(inv)))
			put_named(fw, NFT_MSG_DELSET, NFTA_SET_TABLE, NFTA_SET_NAME,
				  form_set[i].name);
	return 0;
}

static void put_epoch(struct firewall *fw)
{
	const struct firewall_epoch begins = {.since_ms = fw->config.now_ms};
	const struct firewall_epoch *epoch = fw->router.epoch_known ? &fw->router.epoch
								    : &begins;
	uint8_t userdata[ELEMENT_USERDATA_MAX];
	uint32_t key = ABOUT_KEY_EPOCH;
	struct kernel_element e = {
		.key = &key, .key_len = sizeof(key), .userdata = userdata};

	e.userdata_len = (uint8_t)about_epoch_userdata(epoch, userdata);
	/* One that is there stays as it is. */
	element_message(&fw->batch, fw->table, "about", NFT_MSG_NEWSETELEM, NLM_F_CREATE,
			&e);
}

/* keep: a lease map of another form is not touched while it holds anything. */
static int install(struct firewall *fw, const struct inventory *inv, bool keep)
{
	const struct firewall_config *config = &fw->config;
	int err;

	nl_batch_begin(&fw->batch);
	put_table(fw);
	err = clear(fw, inv, keep);
	if (err)
		return err;
	for (size_t i = 0; i < form_sets && !err; i++) {
		bool limited = form_set[i].use == SET_LEASES && form_set[i].size;

		err = put_set(fw, &form_set[i], (uint32_t)i + 1,
			      limited ? config->max_leases + FIREWALL_SLACK
				      : form_set[i].size);
	}
	put_epoch(fw);
	reserved_put(fw, config);
	learn_put(fw, config);
	watched_put(fw, config);
	if (keep)
		learn_flush(fw);
	forwards_put(fw, config);
	if (!err)
		err = router_put(fw);
	for (size_t i = 0; i < form_chains; i++)
		if (has_chain(fw, &form_chain[i]))
			put_chain(fw, &form_chain[i]);
	if (!err)
		err = rules_put(fw, (uint32_t)form_sets + 1);
	if (!err)
		err = guard_put(fw, config);
	if (err)
		return err;
	return nl_commit_whole(&fw->nl, &fw->batch);
}

int ruleset_adapt_put(struct firewall *fw)
{
	for (size_t i = 0; i < form_chains; i++) {
		if (!form_chain[i].adapts || !has_chain(fw, &form_chain[i]))
			continue;
		put_chain(fw, &form_chain[i]);
		put_named(fw, NFT_MSG_DELRULE, NFTA_RULE_TABLE, NFTA_RULE_CHAIN,
			  form_chain[i].name);
	}
	return rules_adapt(fw, (uint32_t)form_sets + 1);
}

int ruleset_adapt(struct firewall *fw, bool filters, bool pinholes)
{
	bool had_filters = fw->filters, had_pinholes = fw->pinholes;
	int err;

	if (had_filters >= filters && had_pinholes >= pinholes)
		return 0;
	fw->filters = had_filters || filters;
	fw->pinholes = had_pinholes || pinholes;
	nl_batch_begin(&fw->batch);
	err = ruleset_adapt_put(fw);
	if (!err)
		err = nl_commit_whole(&fw->nl, &fw->batch);
	if (err) {
		fw->filters = had_filters;
		fw->pinholes = had_pinholes;
	}
	return err;
}

static int note_any(void *arg, const struct dumped *d)
{
	bool *any = arg;

	(void)d;
	*any = true;
	return 0;
}

/* *any becomes true if there is anything in that set. -errno. */
static int look_into(struct firewall *fw, const char *set, bool *any)
{
	int err;

	do
		err = elements_dump(fw, set, note_any, any);
	while (err == -EINTR);
	return err == -ENOENT ? 0 : err;
}

/* What the table holds from before. */
static int recall(struct firewall *fw)
{
	int err = router_recall_wan(fw);

	fw->filters = fw->pinholes = false;
	if (!err)
		err = look_into(fw, "leases_from", &fw->filters);
	if (!err)
		err = look_into(fw, "pin6", &fw->pinholes);
	if (!err)
		err = look_into(fw, "pin6_from", &fw->pinholes);
	return err;
}

int firewall_install(struct firewall *fw, const struct firewall_config *config)
{
	struct inventory inv;
	int err = take_inventory(fw, &inv);

	fw->config = *config;
	fw->claims_new = !claims_kept(&inv);
	if (!err)
		err = recall(fw);
	return err ? err : install(fw, &inv, true);
}

bool firewall_claims_new(const struct firewall *fw)
{
	return fw->claims_new;
}

int firewall_mend(struct firewall *fw, struct firewall_mended *mended)
{
	struct inventory inv;
	int err = take_inventory(fw, &inv);

	memset(mended, 0, sizeof(*mended));
	if (!err) {
		err = count_rules(fw, &inv);
		err = err == -ENOENT || err == -EINTR ? 0 : err;
	}
	if (err)
		return err;
	for (size_t i = 0; i < form_sets; i++) {
		mended->sets += inv.set[i] != FOUND_SAME;
		mended->leases = mended->leases || (form_set[i].use == SET_LEASES &&
						    inv.set[i] != FOUND_SAME);
	}
	for (size_t i = 0; i < form_chains; i++)
		mended->chains += inv.chain[i] != FOUND_SAME &&
				  has_chain(fw, &form_chain[i]);
	mended->rules = fw->n_rules > inv.n_rules ? fw->n_rules - inv.n_rules : 0;
	return install(fw, &inv, false);
}

int firewall_remove(struct firewall *fw)
{
	struct nlmsghdr *nlh;
	int err;

	nl_batch_begin(&fw->batch);
	nlh = nl_batch_put(&fw->batch, NFT_MSG_DELTABLE, 0);
	if (!nlh)
		return -ENOMEM;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, fw->table);
	fw->router.epoch_known = false;
	err = nl_commit_whole(&fw->nl, &fw->batch);
	return err == -ENOENT ? 0 : err;
}
