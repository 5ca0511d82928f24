/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's packet log (NFLOG): a socket that hears of what rules log. To bind it takes
 * CAP_NET_ADMIN, to read it none. Knows nothing of what the packets say.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Hears of these groups, of each packet at once and with its first bytes. The socket is
 * non-blocking and the caller's. -EPERM: somebody else has one of the groups (or we lack
 * CAP_NET_ADMIN); -EPROTONOSUPPORT, -EOPNOTSUPP, -EINVAL, -ENOENT: no nfnetlink_log in this
 * kernel; else -errno.
 */
int nflog_open(const uint16_t *groups, size_t n, int *fd);
