/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the configuration's parser: what is being read, and the kinds of value. Each
 * function says in one line what is wrong with a text that it does not take, and returns -1.
 */
#pragma once

#include <confuse.h>

#include "conf/config.h"

/* libconfuse takes the end of the file for the end of all blocks. This key, put after the
 * last line, is known outside of blocks only. */
#define READ_END_KEY "__end"

/* What is being read. libconfuse hands its callbacks no argument, hence `reading`. */
struct reader {
	struct config *c;
	const char *name;        /* of the file; cfg_t does not always know it */
	struct portset more_tcp; /* of `reserved` */
	struct portset more_udp;
	struct portset less_tcp; /* of `allow-reserved` */
	struct portset less_udp;
	int lifetime_line;         /* of the last of min- and max-lifetime */
	bool nat_pmp[CONFIG_LANS]; /* nat-pmp was set for that LAN */
	bool open_nat[CONFIG_LANS];
	bool ended; /* READ_END_KEY was seen: no comment or string runs to the end */
	char *err;
	/* The forward block that is being read. */
	struct lease_forward forward;
	size_t n_ports;
	struct port_range ports[CONFIG_PORTS];
	bool to;
	/* The access block that is being read. */
	struct lease_access access;
	/* The trigger block that is being read. */
	struct lease_trigger trigger;
	/* Lines of the router block, for what needs the whole file; 0: there is none. */
	int router_line;
	/* Of the open-nat block, the same. */
	int open_nat_line;
};
extern _Thread_local struct reader *reading;

/* Reads a file of those keys, with READ_END_KEY (by read_end_key) among them. `ends` sets what
 * is done at the ends of blocks, `check` looks at the whole (NULL: nothing). 0, or a negative
 * errno with r->err. */
int read_keys(struct reader *r, FILE *f, cfg_opt_t *keys, void (*ends)(cfg_t *cfg),
	      int (*check)(cfg_t *cfg, const struct config *c));
int read_end_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result);

/* Notes the first error; what follows from it says nothing more. Returns -1. */
int read_wrong(cfg_t *cfg, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

int read_number(cfg_t *cfg, cfg_opt_t *opt, const char *text, uint32_t min, uint32_t max,
		uint32_t *out);
int read_bool(cfg_t *cfg, cfg_opt_t *opt, const char *text, bool *out);
int read_seconds(cfg_t *cfg, cfg_opt_t *opt, const char *text, uint32_t max_s,
		 uint32_t *out);
/* From port 1 up, of one protocol or both. */
int read_range(cfg_t *cfg, cfg_opt_t *opt, const char *text, struct port_range *out);
int read_ports(cfg_t *cfg, cfg_opt_t *opt, const char *text, struct portset *tcp,
	       struct portset *udp);
/* A name that the kernel would take (dev_valid_name). */
bool read_interface_ok(const char *name);
/* One IPv4 network more of a list, /8 or smaller. */
int read_network(cfg_t *cfg, cfg_opt_t *opt, const char *text, struct prefix *list,
		 size_t *n);
/* One network of any family and size more of a list of `max`, host bits zero. */
int read_prefix(cfg_t *cfg, cfg_opt_t *opt, const char *text, bool v6,
		struct prefix *list, size_t *n, size_t max);

/* A name for logs and listings, of less than `size` letters. */
int read_name(cfg_t *block, const char *key, size_t size);

/* The keys of the blocks forward, access and router, and what is done at their ends. */
extern cfg_opt_t blocks_forward_keys[];
extern cfg_opt_t blocks_access_keys[];
extern cfg_opt_t blocks_router_keys[];
int blocks_forward_end(cfg_t *cfg, cfg_opt_t *opt);
int blocks_access_end(cfg_t *cfg, cfg_opt_t *opt);
int blocks_router_end(cfg_t *cfg, cfg_opt_t *opt);

/* The same of open-nat and trigger, and the names of profiles. */
extern cfg_opt_t triggers_open_nat_keys[];
extern cfg_opt_t triggers_trigger_keys[];
int triggers_open_nat_end(cfg_t *cfg, cfg_opt_t *opt);
int triggers_trigger_end(cfg_t *cfg, cfg_opt_t *opt);
/* One instant port more, if it is not there yet. */
int triggers_instant(cfg_t *cfg, cfg_opt_t *opt, const char *text);
int triggers_profile(cfg_t *cfg, cfg_opt_t *opt, const char *text);
void triggers_defaults(struct config *c);

#define KEY(name, read) CFG_STR_CB(name, NULL, CFGF_NODEFAULT, read)
#define KEYS(name, read) CFG_STR_LIST_CB(name, NULL, CFGF_NODEFAULT, read)
