/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/ssdp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A piece of the datagram. */
struct ssdp_slice {
	const char *at;
	size_t len;
};

static bool slice_is(struct ssdp_slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.at, word, s.len) == 0;
}

static struct ssdp_slice slice_trim(struct ssdp_slice s)
{
	while (s.len && (s.at[0] == ' ' || s.at[0] == '\t')) {
		s.at++;
		s.len--;
	}
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* The next line without its end; the last one may lack it (row U8). */
static bool slice_line(struct ssdp_slice *rest, struct ssdp_slice *line)
{
	const char *nl = memchr(rest->at, '\n', rest->len);
	size_t n = nl ? (size_t)(nl - rest->at) : rest->len;

	if (!rest->len)
		return false;
	*line = (struct ssdp_slice){rest->at, n};
	rest->at += n + (nl != NULL);
	rest->len -= n + (nl != NULL);
	if (line->len && line->at[line->len - 1] == '\r')
		line->len--;
	return true;
}

/* UDA 1.1 section 1.3.2. The version of HTTP does not matter. */
static bool ssdp_is_search(struct ssdp_slice line)
{
	static const char start[] = "M-SEARCH * HTTP/1.";

	return line.len >= sizeof(start) - 1 &&
	       memcmp(line.at, start, sizeof(start) - 1) == 0;
}

/* Row U5: with quotes as the standard wants them, or without. */
static bool ssdp_is_discover(struct ssdp_slice value)
{
	return slice_is(value, "\"ssdp:discover\"") || slice_is(value, "ssdp:discover");
}

int ssdp_parse(const char *data, size_t len, char target[SSDP_TARGET_MAX + 1])
{
	struct ssdp_slice rest = {data, len}, line, st = {0};
	bool discover = false;

	if (len > SSDP_DATAGRAM_MAX || memchr(data, '\0', len) ||
	    !slice_line(&rest, &line) || !ssdp_is_search(line))
		return -EBADMSG;
	while (slice_line(&rest, &line) && line.len) {
		const char *colon = memchr(line.at, ':', line.len);
		struct ssdp_slice name, value;

		if (!colon)
			continue;
		name = slice_trim(
			(struct ssdp_slice){line.at, (size_t)(colon - line.at)});
		value = slice_trim((struct ssdp_slice){
			colon + 1, line.len - (size_t)(colon + 1 - line.at)});
		if (slice_is(name, "MAN"))
			discover = ssdp_is_discover(value);
		else if (slice_is(name, "ST"))
			st = value;
		/* HOST, MX, USER-AGENT and others say nothing that we act on: searches to our
		 * own address and without MX are answered too, and at once. */
	}
	if (!discover || !st.len || st.len > SSDP_TARGET_MAX)
		return -EBADMSG;
	memcpy(target, st.at, st.len);
	target[st.len] = '\0';
	return 0;
}

/* "urn:...:" and a version from 1 to that which we are; the type counts without case as
 * libupnp has it. */
static unsigned int ssdp_version(const char *target, const char *type,
				 unsigned int version)
{
	size_t n = strlen(type);

	if (strncasecmp(target, type, n) != 0 || target[n] != ':' ||
	    target[n + 1] < '1' || target[n + 1] > '9' || target[n + 2])
		return 0;
	return (unsigned int)(target[n + 1] - '0') <= version
		       ? (unsigned int)(target[n + 1] - '0')
		       : 0;
}

/* The later face has the higher version of what both have. */
static bool ssdp_match_service(const char *target, char *out, size_t size)
{
	for (unsigned int i = 0; i < IGD_SERVICES * IGD_FACES; i++) {
		const struct igd_service_def *s = description_service(
			IGD_FACES - 1 - i / IGD_SERVICES, i % IGD_SERVICES);
		unsigned int v = s ? ssdp_version(target, s->type, s->version) : 0;

		if (v) {
			snprintf(out, size, "%s:%u", s->type, v);
			return true;
		}
	}
	return false;
}

/* Our own spelling of the target in out; false: nobody is meant. */
static bool ssdp_match(const struct description *d, const char *target, char *out,
		       size_t size)
{
	if (strcasecmp(target, "ssdp:all") == 0 ||
	    strcasecmp(target, "upnp:rootdevice") == 0) {
		snprintf(out, size, "%s",
			 strcasecmp(target, "ssdp:all") ? "upnp:rootdevice" : "ssdp:all");
		return true;
	}
	for (unsigned int i = 0; i < IGD_DEVICES; i++) {
		unsigned int v = ssdp_version(target, description_device_type(i),
					      IGD_FACES);

		for (unsigned int face = 0; face < IGD_FACES; face++) {
			if (strcasecmp(target, description_udn(d, face, i)) == 0) {
				snprintf(out, size, "%s", description_udn(d, face, i));
				return true;
			}
		}
		if (v) {
			snprintf(out, size, "%s:%u", description_device_type(i), v);
			return true;
		}
	}
	return ssdp_match_service(target, out, size);
}

size_t ssdp_canonical(const struct description *d, const char *target,
		      char out[SSDP_SEARCH_MAX])
{
	char ours[SSDP_TARGET_MAX + 1];
	int n;

	if (!ssdp_match(d, target, ours, sizeof(ours)))
		return 0;
	/* libupnp answers at once up to MX 2, then after whole seconds. */
	n = snprintf(out, SSDP_SEARCH_MAX,
		     "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
		     "MAN: \"ssdp:discover\"\r\nMX: 1\r\nST: %s\r\n\r\n",
		     ours);
	return n > 0 && n < SSDP_SEARCH_MAX ? (size_t)n : 0;
}

static bool ssdp_holds(const char *text, size_t len, const char *word)
{
	return memmem(text, len, word, strlen(word)) != NULL;
}

bool ssdp_is_double(const struct description *d, const char *answer, size_t len)
{
	char location[64];

	/* Face 1 is registered with the document of face 0 for such searches. */
	snprintf(location, sizeof(location), "%s\r\n", description_path(0));
	if (!ssdp_holds(answer, len, location))
		return false;
	for (unsigned int i = 0; i < IGD_DEVICES; i++)
		if (ssdp_holds(answer, len, description_udn(d, 1, i)))
			return true;
	return false;
}

/* Appends a line with its end if there is room for it. */
static bool ssdp_put_line(char *out, size_t *n, const char *line, size_t len)
{
	if (*n + len + 2 > SSDP_SENT_MAX)
		return false;
	memcpy(out + *n, line, len);
	memcpy(out + *n + len, "\r\n", 2);
	*n += len + 2;
	return true;
}

static const char *ssdp_host_line(bool v6)
{
	return v6 ? "HOST: [" SSDP_GROUP6 "]:1900" : "HOST: " SSDP_GROUP ":1900";
}

static bool ssdp_line_is(struct ssdp_slice line, const char *name)
{
	size_t n = strlen(name);

	return line.len > n && line.at[n] == ':' && strncasecmp(line.at, name, n) == 0;
}

size_t ssdp_reword(const char *data, size_t len, bool v6, char out[SSDP_SENT_MAX])
{
	const char *host = ssdp_host_line(v6);
	static const char server[] = "SERVER: " IGD_SERVER;
	struct ssdp_slice rest = {data, len}, line;
	size_t n = 0;

	while (slice_line(&rest, &line)) {
		if (ssdp_line_is(line, "X-User-Agent"))
			continue;
		if (ssdp_line_is(line, "SERVER"))
			line = (struct ssdp_slice){server, sizeof(server) - 1};
		if (ssdp_line_is(line, "HOST"))
			line = (struct ssdp_slice){host, strlen(host)};
		if (!ssdp_put_line(out, &n, line.at, line.len))
			return 0;
	}
	return n;
}

/* What a root device is announced as, row U2: the root, each device by name and by type,
 * each service by type. */
#define SSDP_ANNOUNCED (1 + 2 * IGD_DEVICES + IGD_SERVICES)

/* The n-th of them all, without those of services that a face does not have; IGD_FACES *
 * SSDP_ANNOUNCED: there are no more. */
static unsigned int ssdp_announcement(unsigned int n)
{
	unsigned int i = 0;

	for (; i < IGD_FACES * SSDP_ANNOUNCED; i++) {
		unsigned int own = i % SSDP_ANNOUNCED;

		if (own >= 1 + 2 * IGD_DEVICES &&
		    !description_service(i / SSDP_ANNOUNCED, own - 1 - 2 * IGD_DEVICES))
			continue;
		if (!n--)
			break;
	}
	return i;
}

static void ssdp_announced(const struct description *d, unsigned int face, unsigned int n,
			   char nt[SSDP_TARGET_MAX + 1], const char **udn)
{
	size_t size = SSDP_TARGET_MAX + 1;

	if (n == 0) {
		*udn = description_udn(d, face, 0);
		snprintf(nt, size, "upnp:rootdevice");
	} else if (n < 1 + IGD_DEVICES) {
		*udn = description_udn(d, face, n - 1);
		snprintf(nt, size, "%s", *udn);
	} else if (n < 1 + 2 * IGD_DEVICES) {
		*udn = description_udn(d, face, n - 1 - IGD_DEVICES);
		snprintf(nt, size, "%s:%u", description_device_type(n - 1 - IGD_DEVICES),
			 face + 1);
	} else {
		const struct igd_service_def *s = description_service(
			face, n - 1 - 2 * IGD_DEVICES);

		*udn = description_udn(d, face, s->device);
		snprintf(nt, size, "%s:%u", s->type, s->version);
	}
}

size_t ssdp_goodbye(const struct description *d, unsigned int n, bool v6,
		    char out[SSDP_NOTIFY_MAX])
{
	char nt[SSDP_TARGET_MAX + 1];
	const char *udn;
	bool bare;
	int len;

	n = ssdp_announcement(n);
	if (n == IGD_FACES * SSDP_ANNOUNCED)
		return 0;
	ssdp_announced(d, n / SSDP_ANNOUNCED, n % SSDP_ANNOUNCED, nt, &udn);
	bare = strcmp(nt, udn) == 0;
	len = snprintf(out, SSDP_NOTIFY_MAX,
		       "NOTIFY * HTTP/1.1\r\n%s\r\n"
		       "NT: %s\r\nNTS: ssdp:byebye\r\nUSN: %s%s%s\r\n\r\n",
		       ssdp_host_line(v6), nt, udn, bare ? "" : "::", bare ? "" : nt);
	return len > 0 && len < SSDP_NOTIFY_MAX ? (size_t)len : 0;
}
