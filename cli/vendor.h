/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who made the network card of a MAC address, if the machine has a list of that: Debian's
 * ieee-data, or nmap's. Asks nobody.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* "" if it is not known. `files` as NAMES_FILES; the first that has it counts. */
#define VENDOR_FILES "/usr/share/ieee-data/oui.txt:/usr/share/nmap/nmap-mac-prefixes"
const char *vendor_find(const char *files, const char *mac, char *buf, size_t size);
