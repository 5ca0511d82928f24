/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What people write, read by base/, conf/reserved and lease/denial: addresses, prefixes, ports,
 * durations, denials, the list of reserved ports; and text from the network on its way into the log. What is
 * read and written again reads the same.
 *
 * An input: one byte says what it is, the rest is the text.
 */
#include <errno.h>

#include "base/addr.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/portset.h"
#include "conf/reserved.h"
#include "lease/denial.h"
#include "tests/fuzz/fuzz.h"

static void fuzz_addr(const char *text)
{
	struct in6_addr a, b;
	char buf[ADDR_TEXT];

	if (addr_parse(text, &a))
		return;
	must(strlen(addr_text(&a, buf)) < sizeof(buf) && fuzz_printable(buf));
	must(!addr_parse(buf, &b) && addr_equal(&a, &b));
	if (addr_is_v4(&a)) {
		b = addr_from_v4(addr_to_v4(&a));
		must(addr_equal(&a, &b));
	}
	must(!(addr_is_private(&a) && addr_is_cgnat(&a)));
}

static void fuzz_prefix(const char *text)
{
	struct prefix p, q;
	char buf[PREFIX_TEXT];

	if (prefix_parse(text, &p))
		return;
	must(p.len <= 128 && (!addr_is_v4(&p.addr) || p.len >= 96));
	must(prefix_has(&p, &p.addr));
	must(strlen(prefix_text(&p, buf)) < sizeof(buf) && fuzz_printable(buf));
	must(!prefix_parse(buf, &q) && p.len == q.len && addr_equal(&p.addr, &q.addr));
}

static void fuzz_ports(const char *text)
{
	struct portset set = {0};
	struct port_range r, s;
	char buf[32];
	size_t n = 0;

	if (port_range_parse(text, &r))
		return;
	must(r.first <= r.last && (r.tcp || r.udp));
	snprintf(buf, sizeof(buf), "%s%u-%u",
		 r.tcp && r.udp ? ""
		 : r.tcp        ? "tcp/"
				: "udp/",
		 r.first, r.last);
	must(!port_range_parse(buf, &s));
	must(r.first == s.first && r.last == s.last && r.tcp == s.tcp && r.udp == s.udp);
	portset_add(&set, r.first, r.last);
	for (uint32_t p = 0; p < 65536; p++)
		n += portset_has(&set, (uint16_t)p);
	must(n == r.last - r.first + 1U);
}

static void fuzz_denial(const char *text)
{
	struct lease_denial d = {0}, again = {0};
	char buf[DENIAL_TEXT];

	if (denial_parse(text, &d))
		return;
	must(strlen(denial_text(&d, buf)) < sizeof(buf) && fuzz_printable(buf));
	must(!denial_parse(buf, &again) && denial_same(&d, &again));
}

static void fuzz_duration(const char *text)
{
	uint64_t ms = 0, again = 0;
	char buf[32];

	if (duration_parse(text, &ms))
		return;
	snprintf(buf, sizeof(buf), "%llus", (unsigned long long)(ms / 1000));
	if (ms % 1000 == 0 && !duration_parse(buf, &again))
		must(again == ms);
}

static void fuzz_reserved(const char *text, size_t len)
{
	static struct portset tcp, udp;
	FILE *f = fmemopen((void *)(uintptr_t)text, len + 1, "r");
	char err[256] = "";
	int r;

	must(f);
	memset(&tcp, 0, sizeof(tcp));
	memset(&udp, 0, sizeof(udp));
	r = reserved_read(f, "list", &tcp, &udp, err, sizeof(err));
	fclose(f);
	must(r == 0 || r == -EINVAL);
	must((r != 0) == (err[0] != '\0') && strlen(err) < sizeof(err));
}

/* One line of ASCII and whole UTF-8, whatever came, in any room. */
static void fuzz_escape(const char *text, size_t room)
{
	char *buf = fuzz_alloc(room);

	must(log_escape(text, buf, room) == buf);
	must(memchr(buf, '\0', room));
	for (const char *p = buf; *p; p++)
		must((unsigned char)*p >= ' ' && *p != 0x7f && *p != '"');
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	uint8_t what = feed_u8(&f);
	size_t len = f.left;
	char *text = feed_text(&f, len);

	switch (what % 6) {
	case 0:
		fuzz_addr(text);
		break;
	case 1:
		fuzz_prefix(text);
		fuzz_denial(text);
		break;
	case 2:
		fuzz_ports(text);
		fuzz_denial(text);
		break;
	case 3:
		fuzz_duration(text);
		break;
	case 4:
		fuzz_reserved(text, len);
		break;
	case 5:
		fuzz_escape(text, 1 + what / 6U);
		break;
	}
	free(text);
	return 0;
}
