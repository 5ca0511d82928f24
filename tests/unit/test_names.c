/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What DHCP servers write, as they write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "cli/names.h"
#include "cli/vendor.h"

static int setup(void **state)
{
	*state = names_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	names_free(*state);
	return 0;
}

static void parse(struct names *n, const char *text)
{
	names_parse(n, text, strlen(text));
}

static void is(const struct names *n, const char *addr, const char *name, const char *mac)
{
	const struct name *found;
	struct in6_addr a;

	assert_int_equal(addr_parse(addr, &a), 0);
	found = names_find(n, &a);
	assert_non_null(found);
	assert_string_equal(found->name, name);
	assert_string_equal(found->mac, mac);
}

static const char dnsmasq[] =
	"1795262580 a4:c0:e1:00:00:01 192.168.1.20 xbox 01:a4:c0:e1:00:00:01\n"
	"1795262581 a4:c0:e1:00:00:02 192.168.1.21 * *\n"
	"duid 00:01:00:01:2b:3c\n"
	"1795262582 1234567 2a01:77::20 xbox 00:01:00:01\n";
static const char odhcpd[] =
	"# br-lan 0001000121 2 xbox 1795262580 20 128 2a01:77::20/128 fd00::20/128\n"
	"2a01:77::20\txbox\n"
	"# br-lan a4c0e1000001 ipv4 switch 1795262580 14 32 192.168.1.20/32\n";
static const char kea[] =
	"address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,"
	"state,user_context,pool_id\n"
	"192.168.1.20,a4:c0:e1:00:00:01,01:a4,3600,1795262580,1,0,0,old.lan.,0,,0\n"
	"192.168.1.21,a4:c0:e1:00:00:02,,3600,1795262580,1,0,0,,0,,0\n"
	"192.168.1.20,a4:c0:e1:00:00:01,01:a4,3600,1795262590,1,0,0,xbox.lan.,0,,0\n";
static const char networkd[] =
	"{\"Address\":[192,168,1,1],\"Leases\":[{\"ClientId\":[1,164],\"Address\":[192,168,1,20],"
	"\"Hostname\":\"xbox\",\"HardwareAddressType\":1,\"HardwareAddressLength\":6,"
	"\"HardwareAddress\":[164,192,225,0,0,1]},{\"Address\":[192,168,1,256]},{}]}";

static void dnsmasq_is_read(void **state)
{
	parse(*state, dnsmasq);
	is(*state, "192.168.1.20", "xbox", "a4:c0:e1:00:00:01");
	is(*state, "192.168.1.21", "", "a4:c0:e1:00:00:02");
	is(*state, "2a01:77::20", "xbox", "");
	assert_int_equal(names_count(*state), 3);
}

static void odhcpd_is_read(void **state)
{
	parse(*state, odhcpd);
	is(*state, "2a01:77::20", "xbox", "");
	is(*state, "fd00::20", "xbox", "");
	is(*state, "192.168.1.20", "switch", "a4:c0:e1:00:00:01");
	assert_int_equal(names_count(*state), 3);
}

static void kea_is_read_and_its_last_line_counts(void **state)
{
	parse(*state, kea);
	is(*state, "192.168.1.20", "xbox.lan", "a4:c0:e1:00:00:01");
	is(*state, "192.168.1.21", "", "a4:c0:e1:00:00:02");
	assert_int_equal(names_count(*state), 2);
}

static void networkd_is_read(void **state)
{
	parse(*state, networkd);
	is(*state, "192.168.1.20", "xbox", "a4:c0:e1:00:00:01");
	assert_int_equal(names_count(*state), 1);
}

static void the_kernel_knows_macs_that_are_not_known_yet(void **state)
{
	static const char arp[] =
		"IP address       HW type     Flags       HW address            Mask     Device\n"
		"192.168.1.20     0x1         0x2         00:11:22:33:44:55     *        br-lan\n"
		"192.168.1.9      0x1         0x2         A4:C0:E1:00:00:09     *        br-lan\n"
		"192.168.1.8      0x1         0x0         00:00:00:00:00:00     *        br-lan\n";

	parse(*state, dnsmasq);
	names_parse_arp(*state, arp, strlen(arp));
	is(*state, "192.168.1.20", "xbox", "a4:c0:e1:00:00:01");
	is(*state, "192.168.1.9", "", "a4:c0:e1:00:00:09");
	assert_int_equal(names_count(*state), 4);
}

/* Any beginning of a good file, in a block of exactly that size. */
static void files_that_are_cut_off_are_no_harm(void **state)
{
	const char *const files[] = {dnsmasq, odhcpd, kea, networkd};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		for (size_t len = 0; len < strlen(files[i]); len++) {
			char *block = malloc(len ? len : 1);

			memcpy(block, files[i], len);
			names_parse(*state, block, len);
			names_parse_arp(*state, block, len);
			free(block);
		}
	}
	assert_in_range(names_count(*state), 3, 60);
}

static void there_are_limits(void **state)
{
	char line[4096];

	for (unsigned int i = 0; i < NAMES_MAX + 10; i++) {
		snprintf(line, sizeof(line), "10.0.%u.%u host%u\n", i >> 8, i & 255, i);
		parse(*state, line);
	}
	assert_int_equal(names_count(*state), NAMES_MAX);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	memcpy(line, "10.0.0.1 ", 9);
	line[500] = '\n';
	parse(*state, line); /* longer than a name may be */
	line[500] = 'x';
	parse(*state, line); /* than a line may be */
	memset(line + 9 + NAMES_NAME - 1, '\0', 1);
	is(*state, "10.0.0.1", line + 9, "");
}

static void vendors_are_found_in_either_list(void **state)
{
	char oui[] = "/tmp/portreeve-XXXXXX", nmap[] = "/tmp/portreeve-XXXXXX", buf[64];
	char files[128];
	int fd = mkstemp(oui);

	(void)state;
	dprintf(fd, "OUI/MA-L\n\nA4-C0-E1   (hex)\t\tNintendo Co., Ltd.\r\n"
		    "A4C0E1     (base 16)\t\tNintendo\r\n");
	close(fd);
	fd = mkstemp(nmap);
	dprintf(fd, "# comment\n281878 Microsoft\n");
	close(fd);
	snprintf(files, sizeof(files), "/nonexistent:%s:%s", oui, nmap);
	assert_string_equal(vendor_find(files, "a4:c0:e1:00:00:01", buf, sizeof(buf)),
			    "Nintendo Co., Ltd.");
	assert_string_equal(vendor_find(files, "28:18:78:00:00:01", buf, sizeof(buf)),
			    "Microsoft");
	assert_string_equal(vendor_find(files, "00:00:01:00:00:01", buf, sizeof(buf)),
			    "");
	assert_string_equal(vendor_find(files, "", buf, sizeof(buf)), "");
	unlink(oui);
	unlink(nmap);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(dnsmasq_is_read),
		TEST(odhcpd_is_read),
		TEST(kea_is_read_and_its_last_line_counts),
		TEST(networkd_is_read),
		TEST(the_kernel_knows_macs_that_are_not_known_yet),
		TEST(files_that_are_cut_off_are_no_harm),
		TEST(there_are_limits),
		TEST(vendors_are_found_in_either_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
