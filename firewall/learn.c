/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What LAN hosts' packets do as they leave, when they have their external port:
 *
 * learn: of IPv4; to the WAN, or from one LAN host to another by the WAN's address
 * out: keeps claims alive, and tells of each new pair of port and remote (the packet log)
 * leased: from a leased port
 * drawn: had to move, and perhaps to a port that somebody else has
 * pass: what opens nothing, by its port or by its host
 * touch: keeps alive the leases that last while their host sends, on its own packets only
 *
 * In the order of how many packets each line spares the next: leased ports and pairs that are
 * known come first.
 */
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <string.h>

#include "firewall/rules.h"

/* So many packets of one host are told of at once and per second: one that scans is bounded,
 * and what was passed over is told at its next packet. */
#define LOG_BURST 400
#define LOG_RATE 200
/* One that opens nothing is passed over for no longer: by another port of the same remote it may.
 * Of one host no more of them are remembered at once and per second. */
#define PASS_MS 4900 /* no whole second: it is told apart from the window by that */
#define PASS_BURST 400
#define PASS_RATE 200

/* So often a host's port may draw another port outside at once and per minute. */
#define DRAWN_BURST 4
#define DRAWN_PER_MINUTE 6

static const char *const owners[FIREWALL_IDLES] = {
	"owner", "owner1", "owner2", "owner3", "owner4", "owner5", "owner6", "owner7"};

const char *learn_owners(const struct firewall *fw, uint32_t idle_s, uint64_t *timeout_ms)
{
	const struct firewall_learn *l = fw->config.learn;
	size_t i = 0;

	if (!l || !l->n_idles) {
		*timeout_ms = idle_s * 1000ULL;
		return owners[0];
	}
	while (i + 1 < l->n_idles && l->idle_s[i] < idle_s)
		i++;
	*timeout_ms = l->idle_s[i] * 1000ULL;
	return owners[i];
}

uint64_t learn_seen_ms(const struct firewall_learn *l)
{
	return (l->window_s < FIREWALL_SEEN_S ? l->window_s : FIREWALL_SEEN_S) * 1000ULL;
}

uint64_t learn_active_ms(const struct firewall *fw)
{
	const struct firewall_learn *l = fw->config.learn;

	return l && l->n_idles ? l->idle_s[l->n_idles - 1] * 1000ULL : 1000;
}

void learn_flush(struct firewall *fw)
{
	for (size_t i = 0; i < FIREWALL_IDLES; i++)
		flush_message(&fw->batch, fw->table, owners[i]);
	flush_message(&fw->batch, fw->table, LEARN_ACTIVE);
	flush_message(&fw->batch, fw->table, "seen");
	watched_flush(fw);
}

int firewall_forget_seen(struct firewall *fw)
{
	nl_batch_begin(&fw->batch);
	flush_message(&fw->batch, fw->table, "seen");
	watched_flush(fw);
	return nl_commit_whole(&fw->nl, &fw->batch);
}

static void add_ranges(struct portset *tcp, struct portset *udp,
		       const struct port_range *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (r[i].tcp)
			portset_add(tcp, r[i].first, r[i].last);
		if (r[i].udp)
			portset_add(udp, r[i].first, r[i].last);
	}
}

static void put_ports(struct firewall *fw, const char *set, const struct portset *tcp,
		      const struct portset *udp)
{
	struct filler f = {.fw = fw, .set = set};

	flush_message(&fw->batch, fw->table, set);
	fill_single_ports(&f, IPPROTO_TCP, tcp, 0);
	fill_single_ports(&f, IPPROTO_UDP, udp, 0);
	fill_end(&f);
}

void learn_put(struct firewall *fw, const struct firewall_config *config)
{
	const struct firewall_learn *l = config->learn;
	struct portset tcp = {0}, udp = {0};

	if (l)
		add_ranges(&tcp, &udp, l->quiet, l->n_quiet);
	put_ports(fw, "quiet", &tcp, &udp);
	if (l)
		add_ranges(&tcp, &udp, l->instant, l->n_instant);
	put_ports(fw, "loud", &tcp, &udp);
}

/* proto . port . the LAN host that sends, also what it answers to somebody */
static void put_owner(struct expr *e, bool answers)
{
	if (answers)
		expr_ct_reply(e);
	else
		expr_ct_original(e);
	rules_proto_port(e, EXPR_SPORT);
	if (answers)
		expr_ct_reply_saddr(e, 2);
	else
		expr_ct_saddr(e, 2);
}

/* All three or none: a lease that is over is not made again by a packet, so it is looked for
 * first. The value of an element that is there stays, whatever the rule says. */
static void touch(struct rules *r, const char *set, uint32_t idle_s, bool answers)
{
	uint64_t owner_ms = idle_s * 1000ULL, lease_ms = owner_ms + FIREWALL_OWNER_MS;
	struct expr *e = rules_begin(r, "touch");

	put_owner(e, answers);
	expr_in_set(e, set, 0);
	expr_map_to(e, "leases", 0, 8);
	if (answers)
		expr_ct_reply_saddr(e, 4);
	else
		expr_ct_saddr(e, 4);
	expr_port(e, EXPR_SPORT, 5);
	expr_map_update(e, "leases", 0, 4, lease_ms);
	expr_set_put_for(e, EXPR_UPDATE, "held", 0, lease_ms);
	expr_set_put_for(e, EXPR_UPDATE, set, 0, owner_ms);
	expr_accept(e);
	rules_end(r);
}

/* Of a lease that has a clock as well only the host is noted. */
static void touch_active(struct rules *r, uint32_t idle_s, bool answers)
{
	struct expr *e = rules_begin(r, "touch");

	put_owner(e, answers);
	expr_in_set(e, LEARN_ACTIVE, 0);
	expr_set_put_for(e, EXPR_UPDATE, LEARN_ACTIVE, 0, idle_s * 1000ULL);
	rules_end(r);
}

static void fill_touch(struct rules *r, const struct firewall_learn *l)
{
	for (size_t i = 0; i < l->n_idles; i++) {
		touch(r, owners[i], l->idle_s[i], false);
		touch(r, owners[i], l->idle_s[i], true);
	}
	if (!l->n_idles)
		return;
	touch_active(r, l->idle_s[l->n_idles - 1], false);
	touch_active(r, l->idle_s[l->n_idles - 1], true);
}

static void return_replies(struct rules *r, const char *chain)
{
	struct expr *e = rules_begin(r, chain);

	expr_ct_reply(e);
	expr_return(e);
	rules_end(r);
}

static void draw_again(struct rules *r, const char *others)
{
	struct expr *e = rules_begin(r, "drawn");

	expr_l4proto_is(e, IPPROTO_UDP); /* else nft cannot read `proto-src` */
	rules_proto_port(e, EXPR_SPORT);
	expr_in_set(e, others, 0);
	expr_ct_saddr(e, 0);
	expr_l4proto(e, 1);
	expr_ct_sport(e, 2);
	expr_within_rate(e, "drawn", 0, DRAWN_PER_MINUTE, DRAWN_BURST);
	expr_drop(e);
	rules_end(r);
}

/* Masquerade does not look whose port it draws for a flow that has to move, and nobody can open
 * that of another: the flow's first packet is lost, so that the next one draws again. Only of
 * what may open a port: no browser waits for it. */
static void fill_drawn(struct rules *r)
{
	struct expr *e = rules_begin(r, "drawn");

	expr_ct_saddr(e, 0);
	expr_l4proto(e, 1);
	expr_ct_sport(e, 2);
	expr_map(e, "rev", 0);
	expr_return(e);
	expr_comment(e, "if that host's port is in @rev");
	rules_end(r);
	draw_again(r, "held");

	e = rules_begin(r, "drawn");
	expr_nfproto_ipv4(e, true);
	rules_claimed_by(r, expr_ct_saddr);
	rules_claim(r, expr_ct_saddr);
	expr_return(e);
	rules_end(r);
	draw_again(r, "taken");
}

/* Somebody else's choice may be the same each time. */
static void jump_drawn(struct rules *r, const char *chain)
{
	struct expr *e;

	if (r->fw->config.foreign_masquerade)
		return;
	e = rules_begin(r, chain);
	expr_sport_from(e, RULES_MOVED_FIRST);
	expr_l4proto_is(e, IPPROTO_UDP);
	expr_ct_status(e, IPS_CONFIRMED, false);
	rules_proto_port(e, EXPR_DPORT);
	expr_not_in_set(e, "quiet", 0);
	expr_ct_saddr(e, 0);
	expr_in_set(e, "learn4", 0);
	expr_jump(e, "drawn");
	rules_end(r);
}

/* What leaves from a leased port claims it, so that it is still this host's when the lease has
 * ended (RFC 6887 section 15); one that lasts while its host sends claims it thereby. */
static void fill_leased(struct rules *r, const struct firewall_learn *l)
{
	struct expr *e;

	if (l) {
		jump_drawn(r, "leased");
		e = rules_begin(r, "leased");
		expr_jump(e, "touch");
		rules_end(r);
	}
	return_replies(r, "leased");
	e = rules_begin(r, "leased");
	expr_nfproto_ipv4(e, true); /* nft has a name for the remote then */
	rules_claim(r, expr_ct_saddr);
	rules_end(r);
}

/* Each packet comes by: what comes in by a lease and what the router itself sends ends first.
 * From the second rule on nothing but IPv4 is met, and no rule asks again. */
void learn_fill_hook(struct rules *r, const struct firewall_learn *l)
{
	struct expr *e = rules_begin(r, "learn");

	expr_ct_original(e);
	expr_ct_status(e, IPS_SRC_NAT, false);
	expr_return(e);
	rules_end(r);
	rules_only_ipv4(r, "learn");
	rules_wan_goto(r, "learn", EXPR_OIFNAME, "out");

	if (!l)
		return;
	e = rules_begin(r, "learn");
	expr_ct_status_all(e, IPS_SRC_NAT | IPS_DST_NAT);
	expr_ifname(e, EXPR_OIFNAME, "lan");
	expr_ct_saddr(e, 0);
	expr_in_set(e, "lan4", 0);
	expr_ct_daddr_in(e, "wan4");
	expr_goto(e, "touch");
	rules_end(r);
}

/* The pair of port and remote. */
static void put_pair(struct expr *e)
{
	expr_ct_saddr(e, 0);
	expr_l4proto(e, 1);
	expr_port(e, EXPR_SPORT, 2);
	expr_daddr(e, 3);
}

/* Most ports have one remote all their life: that one is not told of while it is the only one.
 * The core looks for it when another is told of (firewall_first_remote()). */
void learn_fill_first(struct rules *r, const struct firewall_learn *l, uint8_t protocol)
{
	struct expr *e;

	if (!(protocol == IPPROTO_TCP ? l->tcp_silent : l->udp_silent))
		return;
	e = rules_begin(r, "outsrc");
	expr_nfproto_ipv4(e, true);
	expr_l4proto_is(e, protocol);
	rules_proto_port(e, EXPR_DPORT);
	expr_not_in_set(e, "loud", 0);
	expr_saddr(e, 0);
	expr_l4proto(e, 1);
	expr_port(e, EXPR_SPORT, 2);
	expr_daddr(e, 3);
	expr_set_put_for(e, EXPR_ADD, "seen", 0, learn_seen_ms(l));
	expr_masquerade(e);
	rules_end(r);
}

/* What is not told of is remembered all the same, which spares its next packets the way; it
 * counts for nothing that is told of. */
static void fill_pass(struct rules *r)
{
	struct expr *e = rules_begin(r, "pass");

	expr_nfproto_ipv4(e, true);
	expr_ct_saddr(e, 0);
	expr_over_rate(e, "passrate", 0, PASS_RATE, PASS_BURST);
	expr_return(e);
	rules_end(r);

	e = rules_begin(r, "pass");
	expr_nfproto_ipv4(e, true);
	put_pair(e);
	expr_set_put_for(e, EXPR_ADD, "seen", 0, PASS_MS);
	rules_end(r);
}

static void pass_over(struct rules *r)
{
	expr_goto(&r->e, "pass");
	rules_end(r);
}

static void fill_log(struct rules *r, const struct firewall_learn *l)
{
	struct expr *e = rules_begin(r, "out");

	expr_sport_below(e, 1024);
	expr_return(e);
	rules_end(r);

	e = rules_begin(r, "out");
	rules_proto_port(e, EXPR_DPORT);
	expr_in_set(e, "quiet", 0);
	pass_over(r);

	e = rules_begin(r, "out");
	rules_proto_port(e, EXPR_SPORT);
	expr_in_set(e, "reserved", 0);
	pass_over(r);

	e = rules_begin(r, "out");
	expr_ct_saddr(e, 0);
	expr_not_in_set(e, "learn4", 0);
	pass_over(r);

	e = rules_begin(r, "out");
	expr_ct_saddr(e, 0);
	expr_over_rate(e, "lograte", 0, LOG_RATE, LOG_BURST);
	expr_return(e);
	rules_end(r);

	/* One rule: where the set is full, it ends before the packet is told of. */
	e = rules_begin(r, "out");
	expr_nfproto_ipv4(e, true);
	put_pair(e);
	expr_set_put_for(e, EXPR_ADD, "seen", 0, learn_seen_ms(l));
	expr_log_group(e, FIREWALL_COUNT_GROUP, FIREWALL_LOG_BYTES);
	rules_end(r);
}

/* In neither of the first two sets is anything but TCP and UDP. */
static void fill_out(struct rules *r, const struct firewall_learn *l)
{
	struct expr *e;

	watched_fill_out(r, l);
	e = rules_begin(r, "out");
	rules_proto_port(e, EXPR_SPORT);
	expr_in_set(e, "held", 0);
	expr_goto(e, "leased");
	rules_end(r);

	if (l) {
		e = rules_begin(r, "out");
		expr_nfproto_ipv4(e, true); /* nft has a name for the remote then */
		put_pair(e);
		expr_in_set(e, "seen", 0);
		expr_return(e);
		rules_end(r);
	}
	rules_begin(r, "out");
	rules_tcp_udp(r, false);
	expr_return(&r->e);
	rules_end(r);
	return_replies(r, "out");
	if (l)
		jump_drawn(r, "out");

	/* The host that made the claim keeps it; nobody else can. A flow's first packet has done
	 * so on its way here. */
	e = rules_begin(r, "out");
	expr_nfproto_ipv4(e, true);
	expr_ct_status(e, IPS_CONFIRMED, true);
	rules_proto_port(e, EXPR_SPORT);
	expr_in_set(e, "taken", 0);
	rules_claimed_by(r, expr_ct_saddr);
	rules_claim(r, expr_ct_saddr);
	rules_end(r);

	if (l) {
		fill_log(r, l);
		fill_pass(r);
	}
}

void learn_fill(struct rules *r, const struct firewall_learn *l)
{
	fill_out(r, l);
	fill_leased(r, l);
	watched_fill(r, l);
	if (l) {
		fill_touch(r, l);
		fill_drawn(r);
	}
}
