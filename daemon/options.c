/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPT_CONFIG = 256,
	OPT_STATE_DIR,
	OPT_RUNTIME_DIR,
	OPT_LIBEXEC_DIR,
	OPT_ASSUME_KERNEL,
	OPT_CHECK_CONFIG,
	OPT_REMOVE,
	OPT_FOREGROUND,
	OPT_ROLE,
	OPT_LAN,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, OPT_CONFIG},
	{"state-dir", required_argument, NULL, OPT_STATE_DIR},
	{"runtime-dir", required_argument, NULL, OPT_RUNTIME_DIR},
	{"libexec-dir", required_argument, NULL, OPT_LIBEXEC_DIR},
	{"assume-kernel", required_argument, NULL, OPT_ASSUME_KERNEL},
	{"check-config", no_argument, NULL, OPT_CHECK_CONFIG},
	{"remove", no_argument, NULL, OPT_REMOVE},
	{"foreground", no_argument, NULL, OPT_FOREGROUND},
	{"debug", no_argument, NULL, 'd'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"role", required_argument, NULL, OPT_ROLE}, /* between our own processes */
	{"lan", required_argument, NULL, OPT_LAN},
	{0},
};

void options_usage(void)
{
	fputs("Usage: portreeved [OPTION]...\n"
	      "Opens ports for the hosts of a LAN that ask by UPnP, NAT-PMP or PCP.\n\n"
	      "  --config FILE        default " SYSCONFDIR
	      "/portreeve/portreeve.conf, if it exists\n"
	      "  --check-config       check the configuration and exit\n"
	      "  --remove             end all leases: take our table out of the kernel and exit\n"
	      "  --state-dir DIR      default " LOCALSTATEDIR "/lib/portreeve\n"
	      "  --runtime-dir DIR    default " RUNSTATEDIR "/portreeve\n"
	      "  --libexec-dir DIR    where portreeve-igd is, default " PKGLIBEXECDIR "\n"
	      "  --assume-kernel=6.1  use nothing that came to nftables after Linux 6.1\n"
	      "  --foreground         accepted; portreeved always stays in the foreground\n"
	      "  -d, --debug          log debug lines\n"
	      "  -h, --help           print this and exit\n"
	      "  -V, --version        print the version and exit\n",
	      stdout);
}

/* A word of our own processes: --role and --lan. */
static int options_role(struct options *o, int opt, const char *arg)
{
	char *end;
	unsigned long n;

	if (opt == OPT_ROLE) {
		o->role = role_from_name(arg);
		return o->role < ROLE_END ? 0 : -EINVAL;
	}
	n = strtoul(arg, &end, 10);
	if (*end || end == arg || n >= LEASE_LANS_MAX)
		return -EINVAL;
	o->lan = (uint16_t)n;
	return 0;
}

static int options_take(struct options *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_CONFIG:
		o->config = arg;
		return 0;
	case OPT_STATE_DIR:
		o->state_dir = arg;
		return 0;
	case OPT_RUNTIME_DIR:
		o->runtime_dir = arg;
		return 0;
	case OPT_LIBEXEC_DIR:
		o->libexec_dir = arg;
		return 0;
	case OPT_ASSUME_KERNEL:
		o->assume_kernel_61 = true;
		if (strcmp(arg, "6.1") == 0)
			return 0;
		fprintf(stderr, "portreeved: --assume-kernel=%s: only 6.1 is known\n",
			arg);
		return -EINVAL;
	case OPT_CHECK_CONFIG:
		o->check_config = true;
		return 0;
	case OPT_REMOVE:
		o->remove = true;
		return 0;
	case OPT_FOREGROUND:
		return 0;
	case 'd':
		o->debug = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	case 'V':
		o->version = true;
		return 0;
	case OPT_ROLE:
	case OPT_LAN:
		return options_role(o, opt, arg);
	default:
		return -EINVAL;
	}
}

int options_parse(struct options *o, int argc, char **argv)
{
	int opt, err = 0;

	*o = (struct options){
		.state_dir = LOCALSTATEDIR "/lib/portreeve",
		.runtime_dir = RUNSTATEDIR "/portreeve",
		.libexec_dir = PKGLIBEXECDIR,
	};
	opterr = 0;
	while (!err && (opt = getopt_long(argc, argv, "dhV", long_options, NULL)) != -1) {
		if (opt == '?') {
			fprintf(stderr,
				"portreeved: %s: unknown option or no value; "
				"portreeved --help lists the options\n",
				argv[optind - 1]);
			return -EINVAL;
		}
		err = options_take(o, opt, optarg);
	}
	if (!err && optind < argc) {
		fprintf(stderr,
			"portreeved: %s: no arguments are taken; portreeved --help lists the "
			"options\n",
			argv[optind]);
		err = -EINVAL;
	}
	return err;
}
