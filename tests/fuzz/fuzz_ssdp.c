/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Searches, and the one canonical form that goes on from there: no byte of a stranger is in
 * it. And what is sent, which is never longer than its buffer. An input is a datagram.
 */
#include <errno.h>
#include <strings.h>

#include "igd/ssdp.h"
#include "tests/fuzz/fuzz.h"

static struct description *description;

/* Ours, and read again it says the same. */
static void check_canonical(const char *target)
{
	static const char start[] =
		"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n";
	char out[SSDP_SEARCH_MAX], again[SSDP_SEARCH_MAX], own[SSDP_TARGET_MAX + 1];
	size_t n = ssdp_canonical(description, target, out), lines = 0;

	if (!n)
		return;
	must(n < sizeof(out) && !strncmp(out, start, sizeof(start) - 1));
	must(!memcmp(out + n - 4, "\r\n\r\n", 4));
	for (size_t i = 0; i < n; i++) {
		must(out[i] == '\r' || out[i] == '\n' ||
		     (out[i] >= ' ' && out[i] <= '~'));
		lines += out[i] == '\n';
	}
	must(lines == 6);
	must(!ssdp_parse(out, n, own) && !strcasecmp(own, target));
	must(ssdp_canonical(description, own, again) == n && !memcmp(out, again, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t uuid[16] = {1, 2, 3};
	struct feed f = {data, size};
	char target[SSDP_TARGET_MAX + 1];
	char *text, *out;
	int err;

	if (!description)
		description = description_new(uuid);
	must(description);
	text = (char *)feed_block(&f, &size);
	memset(target, 'x', sizeof(target));
	err = ssdp_parse(text, size, target);
	must(err == 0 || err == -EBADMSG);
	if (!err) {
		must(memchr(target, '\0', sizeof(target)) && *target);
		must(!strpbrk(target, "\n") && *target != ' ');
		must(size >= 17 && !memcmp(text, "M-SEARCH *", 10));
		check_canonical(target);
	}
	ssdp_is_double(description, text, size);
	out = malloc(SSDP_SENT_MAX);
	must(out && ssdp_reword(text, size, size % 2, out) <= SSDP_SENT_MAX);
	free(out);
	free(text);
	return 0;
}
