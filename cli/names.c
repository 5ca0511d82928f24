/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/names.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "cli/vendor.h"

#define FIELDS 16
#define LINE 1024
#define FILES_MAX 64 /* of a directory */

struct names {
	struct name name[NAMES_MAX];
	size_t n;
};

struct names *names_new(void)
{
	return calloc(1, sizeof(struct names));
}

void names_free(struct names *n)
{
	free(n);
}

size_t names_count(const struct names *n)
{
	return n->n;
}

const struct name *names_find(const struct names *n, const struct in6_addr *addr)
{
	for (size_t i = 0; i < n->n; i++)
		if (addr_equal(&n->name[i].addr, addr))
			return &n->name[i];
	return NULL;
}

const char *names_vendor(struct names *n, const struct name *name, const char *files)
{
	struct name *e = &n->name[name - n->name];

	if (!e->vendor_known)
		vendor_find(files, e->mac, e->vendor, sizeof(e->vendor));
	e->vendor_known = true;
	return e->vendor;
}

/* In the one form of all files. */
static bool mac_read(const char *text, char out[MAC_TEXT])
{
	uint8_t mac[MAC_LEN];

	if (mac_parse(text, mac))
		return false;
	mac_text(mac, out);
	return true;
}

/* Whatever is NULL, "*" or "-" is not known. */
static void add(struct names *n, const char *addr, const char *name, const char *mac)
{
	struct in6_addr a;
	struct name *e;
	size_t len = name && strcmp(name, "*") && strcmp(name, "-") ? strlen(name) : 0;
	char at[MAC_TEXT];
	bool has_mac = mac && mac_read(mac, at);

	if (addr_parse(addr, &a) || (!len && !has_mac))
		return;
	e = (struct name *)names_find(n, &a);
	if (!e && n->n == NAMES_MAX)
		return;
	if (!e) {
		e = &n->name[n->n++];
		*e = (struct name){.addr = a};
	}
	if (len && name[len - 1] == '.')
		len--; /* Kea's are whole */
	if (len >= NAMES_NAME)
		len = NAMES_NAME - 1;
	if (len) {
		memcpy(e->name, name, len);
		e->name[len] = '\0';
	}
	if (has_mac)
		memcpy(e->mac, at, sizeof(at));
}

/* Cuts a line in place; empty fields count with ',' only. */
static size_t split(char *line, const char *separators, char *field[FIELDS])
{
	bool csv = *separators == ',';
	size_t n = 0;
	char *p = line;

	while (p && n < FIELDS) {
		if (!csv)
			p += strspn(p, separators);
		if (!csv && !*p)
			break;
		field[n++] = strsep(&p, separators);
	}
	return n;
}

/* dnsmasq.leases: "expiry mac address name client-id". */
static bool line_dnsmasq(struct names *n, char *field[FIELDS], size_t n_fields)
{
	char mac[MAC_TEXT];

	if (n_fields < 4 || !isdigit((unsigned char)field[0][0]) ||
	    strspn(field[0], "0123456789") != strlen(field[0]))
		return false;
	add(n, field[2], field[3], mac_read(field[1], mac) ? field[1] : NULL);
	return true;
}

/* odhcpd: "# device duid iaid name lifetime id length address/len ..."; of an IPv4 lease the
 * duid is the MAC address without colons. */
static void line_odhcpd(struct names *n, char *field[FIELDS], size_t n_fields)
{
	char mac[MAC_TEXT] = "";

	if (n_fields < 9)
		return;
	if (strlen(field[2]) == 12)
		snprintf(mac, sizeof(mac), "%.2s:%.2s:%.2s:%.2s:%.2s:%.2s", field[2],
			 field[2] + 2, field[2] + 4, field[2] + 6, field[2] + 8,
			 field[2] + 10);
	for (size_t i = 8; i < n_fields; i++) {
		char *addr = strsep(&field[i], "/");

		add(n, addr, field[4], mac);
	}
}

static void parse_lines(struct names *n, char *line)
{
	char *field[FIELDS];
	bool odhcpd = line[0] == '#';
	size_t n_fields = split(line, " \t\r", field);

	if (odhcpd)
		line_odhcpd(n, field, n_fields);
	else if (!line_dnsmasq(n, field, n_fields) && n_fields >= 2)
		add(n, field[0], field[1], NULL); /* as in /etc/hosts */
}

/* Kea's leases: CSV with a heading; what comes later is newer. */
struct csv {
	int address;
	int mac;
	int name;
};

static void csv_heading(struct csv *c, char *field[FIELDS], size_t n)
{
	*c = (struct csv){-1, -1, -1};
	for (size_t i = 0; i < n; i++) {
		if (strcmp(field[i], "address") == 0)
			c->address = (int)i;
		else if (strcmp(field[i], "hwaddr") == 0)
			c->mac = (int)i;
		else if (strcmp(field[i], "hostname") == 0)
			c->name = (int)i;
	}
}

static const char *csv_field(char *field[FIELDS], size_t n, int i)
{
	return i >= 0 && (size_t)i < n ? field[i] : NULL;
}

static void parse_csv(struct names *n, char *line, struct csv *c, bool first)
{
	char *field[FIELDS];
	size_t n_fields = split(line, ",\r", field);

	if (first)
		csv_heading(c, field, n_fields);
	else if (csv_field(field, n_fields, c->address))
		add(n, field[c->address], csv_field(field, n_fields, c->name),
		    csv_field(field, n_fields, c->mac));
}

/* ---- systemd-networkd: JSON, with addresses as lists of bytes ---- */

static bool bytes_of(const json_t *list, unsigned int *out, size_t n)
{
	if (json_array_size(list) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(list, i);

		if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		    json_integer_value(v) > 255)
			return false;
		out[i] = (unsigned int)json_integer_value(v);
	}
	return true;
}

static void parse_json(struct names *n, const char *text, size_t len)
{
	json_t *all = json_loadb(text, len, 0, NULL), *lease;
	size_t i;

	json_array_foreach(json_object_get(all, "Leases"), i, lease)
	{
		char addr[32], mac[32] = "";
		unsigned int b[6];

		if (!bytes_of(json_object_get(lease, "Address"), b, 4))
			continue;
		snprintf(addr, sizeof(addr), "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
		if (bytes_of(json_object_get(lease, "HardwareAddress"), b, 6))
			snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", b[0],
				 b[1], b[2], b[3], b[4], b[5]);
		add(n, addr, json_string_value(json_object_get(lease, "Hostname")), mac);
	}
	json_decref(all);
}

void names_parse(struct names *n, const char *text, size_t len)
{
	bool csv = len > 8 && memcmp(text, "address,", 8) == 0, first = true;
	const char *end = text + len;
	struct csv c = {-1, -1, -1};

	if (len && *text == '{') {
		parse_json(n, text, len);
		return;
	}
	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n_line = (size_t)((stop ? stop : end) - text);
		char line[LINE];

		if (n_line < sizeof(line)) {
			memcpy(line, text, n_line);
			line[n_line] = '\0';
			if (csv)
				parse_csv(n, line, &c, first);
			else
				parse_lines(n, line);
		}
		first = false;
		text += n_line + 1;
	}
}

void names_parse_arp(struct names *n, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n_line = (size_t)((stop ? stop : end) - text);
		const struct name *known;
		struct in6_addr a;
		char line[LINE], *field[FIELDS];

		if (n_line < sizeof(line)) {
			memcpy(line, text, n_line);
			line[n_line] = '\0';
			if (split(line, " \t", field) >= 4 && !addr_parse(field[0], &a)) {
				known = names_find(n, &a);
				if (!known || !known->mac[0])
					add(n, field[0], NULL, field[3]);
			}
		}
		text += n_line + 1;
	}
}

/* ---- Files ---- */

static void read_file(struct names *n, int dir, const char *path,
		      void (*parse)(struct names *n, const char *text, size_t len))
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	size_t len = 0;
	ssize_t got = 1;
	char *text;

	if (fd < 0)
		return;
	text = !fstat(fd, &st) && S_ISREG(st.st_mode) ? malloc(NAMES_FILE_MAX) : NULL;
	while (text && got > 0 && len < NAMES_FILE_MAX) {
		got = read(fd, text + len, NAMES_FILE_MAX - len);
		len += got > 0 ? (size_t)got : 0;
	}
	if (text)
		parse(n, text, len);
	free(text);
	close(fd);
}

static void read_dir(struct names *n, const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	size_t files = 0;

	while (dir && files < FILES_MAX && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		read_file(n, dirfd(dir), e->d_name, names_parse);
		files++;
	}
	if (dir)
		closedir(dir);
}

void names_read(struct names *n, const char *files)
{
	struct stat st;

	while (*files) {
		size_t len = strcspn(files, ":");
		char path[PATH_MAX];

		if (len && len < sizeof(path)) {
			memcpy(path, files, len);
			path[len] = '\0';
			if (!stat(path, &st) && S_ISDIR(st.st_mode))
				read_dir(n, path);
			else
				read_file(n, AT_FDCWD, path, names_parse);
		}
		files += len + (files[len] == ':');
	}
	read_file(n, AT_FDCWD, "/proc/net/arp", names_parse_arp);
}
