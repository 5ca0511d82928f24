/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/profiles.h"

#include <errno.h>
#include <string.h>

#include "base/scoped.h"
#include "conf/read.h"

SCOPED_DEFINE(fclose, FILE)

static int profile_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	*(const char **)result = text;
	return triggers_instant(cfg, opt, text);
}

static cfg_opt_t profile_keys[] = {
	CFG_SEC("trigger", triggers_trigger_keys,
		CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
	KEYS("instant", profile_key),
	KEY(READ_END_KEY, read_end_key),
	CFG_END(),
};

static void profile_ends(cfg_t *cfg)
{
	cfg_set_validate_func(cfg, "trigger", triggers_trigger_end);
}

int profile_read(struct config *c, const char *name, char err[CONFIG_ERROR])
{
	char path[CONFIG_PATH + CONFIG_PROFILE_NAME + sizeof(PROFILE_SUFFIX) + 1];
	struct reader *before = reading;
	struct reader r = {.c = c, .name = path, .err = err};
	FILE *f SCOPED(fclose) = NULL;
	int e;

	snprintf(path, sizeof(path), "%s/%s" PROFILE_SUFFIX, c->profiles_dir, name);
	if (*c->profiles_dir)
		f = fopen(path, "re");
	else
		errno = ENOENT;
	if (!f) {
		e = errno;
		snprintf(
			err, CONFIG_ERROR,
			"profiles: %s: %s; allowed are the names that portreeve profiles "
			"lists",
			path, strerror(e));
		return -e;
	}
	reading = &r;
	e = read_keys(&r, f, profile_keys, profile_ends, NULL);
	reading = before;
	return e;
}
