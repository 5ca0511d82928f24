/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is logged of leases, as the journal's socket and stderr get it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/lease_log.h"

struct fixture {
	struct sockaddr_un addr;
	int journal; /* ours */
	int file;    /* what stderr is now */
	int stderr_fd;
	char got[32768];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[] = "/tmp/portreeve-XXXXXX", stream[64];
	struct stat st;

	f->addr.sun_family = AF_UNIX;
	snprintf(f->addr.sun_path, sizeof(f->addr.sun_path), "/tmp/portreeve-%d.journal",
		 (int)getpid());
	f->journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->journal, (struct sockaddr *)&f->addr, sizeof(f->addr)),
			 0);
	f->file = mkstemp(path);
	unlink(path);
	assert_int_equal(fstat(f->file, &st), 0);
	f->stderr_fd = dup(STDERR_FILENO);
	dup2(f->file, STDERR_FILENO);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open("portreeved");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	dup2(f->stderr_fd, STDERR_FILENO);
	close(f->stderr_fd);
	close(f->file);
	if (f->journal >= 0)
		close(f->journal);
	unlink(f->addr.sun_path);
	free(f);
	return 0;
}

static struct lease lease(void)
{
	struct lease l = {.protocol = IPPROTO_UDP,
			  .ext_port = 3074,
			  .int_port = 4000,
			  .origin = LEASE_BY_PCP,
			  .description = "a \"game\"\nPORTREEVE_HOST=evil",
			  .deadline_ms = clock_ms() + 3600000};

	assert_int_equal(addr_parse("192.168.1.20", &l.internal), 0);
	return l;
}

static const char *entry(struct fixture *f)
{
	ssize_t n = recv(f->journal, f->got, sizeof(f->got) - 1, 0);

	f->got[n < 0 ? 0 : n] = '\0';
	return f->got;
}

static const char *line(struct fixture *f)
{
	ssize_t n = pread(f->file, f->got, sizeof(f->got) - 1, 0);

	f->got[n < 0 ? 0 : n] = '\0';
	return f->got;
}

static void a_grant_has_its_fields(void **state)
{
	struct lease_change s = {.has = true, .after = lease()};
	struct fixture *f = *state;

	log_open_journal(f->addr.sun_path);
	lease_log_step(&s);
	assert_string_equal(
		entry(f),
		"MESSAGE=lease granted port=udp/3074 to=192.168.1.20:4000 by=pcp lifetime=3600 "
		"description=\"a \\x22game\\x22\\x0aPORTREEVE_HOST=evil\"\n"
		"PRIORITY=6\nSYSLOG_IDENTIFIER=portreeved\nPORTREEVE_EVENT=granted\n"
		"PORTREEVE_PROTOCOL=udp\nPORTREEVE_EXTERNAL_PORT=3074\n"
		"PORTREEVE_HOST=192.168.1.20\nPORTREEVE_INTERNAL_PORT=4000\n"
		"PORTREEVE_ORIGIN=pcp\nPORTREEVE_LIFETIME=3600\n"
		"PORTREEVE_DESCRIPTION=a \\x22game\\x22\\x0aPORTREEVE_HOST=evil\n");
	assert_string_equal(line(f), "");
}

static void an_end_has_its_reason(void **state)
{
	struct lease_change s = {
		.had = true, .end = LEASE_END_EXPIRED, .before = lease()};
	struct fixture *f = *state;

	s.before.remote_len = 120;
	addr_parse("11.0.0.0", &s.before.remote);
	log_open_journal(f->addr.sun_path);
	lease_log_step(&s);
	entry(f);
	assert_non_null(strstr(f->got, "\nPORTREEVE_EVENT=ended\n"));
	assert_non_null(strstr(f->got, "\nPORTREEVE_REASON=expired\n"));
	assert_non_null(strstr(f->got, "\nPORTREEVE_REMOTE=11.0.0.0/24\n"));
	assert_null(strstr(f->got, "\nPORTREEVE_LIFETIME="));
}

static void a_renewal_is_for_debugging(void **state)
{
	struct lease_change s = {
		.had = true, .has = true, .before = lease(), .after = lease()};
	struct fixture *f = *state;

	log_open_journal(f->addr.sun_path);
	lease_log_step(&s);
	assert_string_equal(entry(f), "");
	log_set_debug(true);
	lease_log_step(&s);
	log_set_debug(false);
	entry(f);
	assert_non_null(strstr(f->got, "\nPRIORITY=7\n"));
	assert_non_null(strstr(f->got, "\nPORTREEVE_EVENT=renewed\n"));
}

static void a_refusal_says_why_and_how_many_were_left_out(void **state)
{
	struct lease_request req = {.op = LEASE_OP_MAP,
				    .by = LEASE_BY_UPNP,
				    .protocol = IPPROTO_TCP,
				    .int_port = 22,
				    .ext_port = 22};
	struct fixture *f = *state;

	addr_parse("192.168.1.20", &req.internal);
	log_open_journal(f->addr.sun_path);
	lease_log_refused(LOG_LEVEL_INFO, &req, LEASE_RESERVED, 12);
	entry(f);
	assert_non_null(strstr(f->got, "MESSAGE=lease refused port=tcp/22 "
				       "to=192.168.1.20:22 by=upnp reason=reserved "
				       "description=\"\"; 12 others before it\n"));
	assert_non_null(strstr(f->got, "\nPORTREEVE_EVENT=refused\n"));
	assert_non_null(strstr(f->got, "\nPORTREEVE_REASON=reserved\n"));
}

/* A journal that is not there, or does not read, or is not what stderr leads to. */
static void without_a_journal_it_is_a_line(void **state)
{
	struct lease_change s = {.has = true, .after = lease()};
	struct fixture *f = *state;

	setenv("JOURNAL_STREAM", "0:0", 1);
	log_open_journal(f->addr.sun_path);
	lease_log_step(&s);
	assert_string_equal(entry(f), "");
	assert_memory_equal(line(f), "<6>portreeved: lease granted port=udp/3074 ", 43);
}

static void a_journal_that_has_gone_costs_nothing(void **state)
{
	struct lease_change s = {.has = true, .after = lease()};
	struct fixture *f = *state;

	log_open_journal(f->addr.sun_path);
	close(f->journal);
	f->journal = -1;
	lease_log_step(&s);
	assert_memory_equal(line(f), "<6>portreeved: lease granted port=udp/3074 ", 43);
}

/* However many leases came in this second. */
static void what_is_said_once_is_not_lost_among_leases(void **state)
{
	struct lease_change step = {.has = true, .after = lease()};
	struct fixture *f = *state;
	const char *text;
	int granted = 0;

	for (int i = 0; i < 1000; i++)
		lease_log_step(&step);
	log_info("firewall repaired");
	text = line(f);
	assert_non_null(strstr(text, "firewall repaired\n"));
	for (; (text = strstr(text, "lease granted")); text++)
		granted++;
	assert_in_range(granted, 1,
			80); /* 40, and those of a second that began meanwhile */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_grant_has_its_fields),
		TEST(an_end_has_its_reason),
		TEST(a_renewal_is_for_debugging),
		TEST(a_refusal_says_why_and_how_many_were_left_out),
		TEST(without_a_journal_it_is_a_line),
		TEST(a_journal_that_has_gone_costs_nothing),
		TEST(what_is_said_once_is_not_lost_among_leases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
