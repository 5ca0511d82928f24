/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trigger rules with several hosts: who has sent to what a rule watches, and whose turn it is
 * for which port. First come, first served; nobody loses a port to another. Pure: what is open
 * and who still sends it asks its caller; times are milliseconds, and never go back.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lease/trigger.h"

#define TURNS_MAX 256 /* hosts with a rule, all together */
#define TURNS_WHEN 8  /* destinations that are remembered of each; the oldest one goes */
#define TURNS_AGAIN_MS 30000 /* after a refusal */

enum turns_port { TURNS_FREE, TURNS_OWN, TURNS_OTHERS };

struct turns_want {
	size_t rule; /* its number */
	struct in_addr host;
	int lan;
	uint8_t protocol;
	uint16_t ext_port;
	uint16_t int_port;
	uint32_t idle_s;
};

struct turns_ops { /* none of them may call us, but turns_refused() and turns_forget() */
	/* Whose external port is that; own: it leads to that inside port of the host. */
	enum turns_port (*whose)(void *arg, const struct turns_want *w);
	/* Opens a port, or renews it. */
	void (*ask)(void *arg, const struct turns_want *w);
	/* For how long it is remembered yet that the host has sent to there, in the longest idle
	 * time of all rules; 0: it is not. */
	uint64_t (*left)(void *arg, struct in_addr host, uint8_t protocol, uint16_t port);
};

struct turns;
struct turns *turns_new(const struct turns_ops *ops, void *arg); /* NULL: no memory */
void turns_free(struct turns *t);                                /* NULL is fine */

/* Other rules, which are borrowed: all hosts are forgotten. */
void turns_configure(struct turns *t, const struct lease_trigger *rules, size_t n);
/* The longest idle time; 0: there are no rules. */
uint32_t turns_longest(const struct turns *t);

/* That host has sent to there, after at least the longest idle time or for the first time.
 * allowed: does a rule that watches that port hold for it? Then turns_serve(). */
void turns_event(struct turns *t, struct in_addr host, int lan, uint8_t protocol,
		 uint16_t port,
		 bool (*allowed)(void *arg, const struct lease_trigger *rule,
				 struct in_addr host, int lan),
		 void *arg);
/* Asks for what hosts want, in the order in which they came. true: some have to wait: call it
 * again when a port was closed, or in a second. */
bool turns_serve(struct turns *t, uint64_t now_ms);
/* Does anybody there want that external port, or has it? */
bool turns_concern(const struct turns *t, uint8_t protocol, uint16_t ext_port);
/* What was asked for was refused. */
void turns_refused(struct turns *t, struct in_addr host, uint8_t protocol,
		   uint16_t ext_port, uint64_t now_ms);
/* Somebody has closed that port of the host: it is not opened again until the host has been
 * silent. */
void turns_forget(struct turns *t, struct in_addr host, uint8_t protocol,
		  uint16_t ext_port);

/* For how many milliseconds that port of the host lasts yet, if it sends no more to what its
 * rules watch; 0: it does not. */
uint64_t turns_left(const struct turns *t, struct in_addr host, uint8_t protocol,
		    uint16_t ext_port);
/* Does the rule open that external port? */
bool turns_opens(const struct lease_trigger *rule, uint8_t protocol, uint16_t ext_port);
