/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the devices of the LAN are called: by the lease files of DHCP servers (dnsmasq, odhcpd,
 * Kea, systemd-networkd), and their MAC addresses also by the kernel's ARP table. Parses text
 * that others have written, within limits; asks nobody.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

#define NAMES_MAX 4096
#define NAMES_NAME 64          /* RFC 1035: a label */
#define NAMES_FILE_MAX 1048576 /* of a longer one only the beginning is read */
/* Files, or directories whose files are read; separated by colons. */
#define NAMES_FILES                                                                      \
	"/var/lib/misc/dnsmasq.leases:/tmp/dhcp.leases:/tmp/hosts:/var/lib/kea/"         \
	"kea-leases4.csv:/var/lib/kea/kea-leases6.csv:/run/systemd/netif/dhcp-server-lease"

struct name {
	struct in6_addr addr;
	char name[NAMES_NAME];   /* as it was written: to be escaped; "": not known */
	char mac[MAC_TEXT];      /* small letters; "": not known */
	char vendor[NAMES_NAME]; /* of that MAC address, once it was asked for */
	bool vendor_known;
};

struct names;

struct names *names_new(void); /* NULL: no memory */
void names_free(struct names *n);

/* Takes in what one file says, whatever its format; what it does not understand it leaves
 * out. Later files go before earlier ones. */
void names_parse(struct names *n, const char *text, size_t len);
/* /proc/net/arp: the MAC addresses that are not known yet. */
void names_parse_arp(struct names *n, const char *text, size_t len);
/* All files of such a list, and the ARP table. */
void names_read(struct names *n, const char *files);

/* NULL: nothing is known of it. */
const struct name *names_find(const struct names *n, const struct in6_addr *addr);
/* Who made it, by the lists of vendor.h; "": not known. */
const char *names_vendor(struct names *n, const struct name *name, const char *files);
size_t names_count(const struct names *n);
