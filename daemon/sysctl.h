/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network sysctls that router mode needs, and their way back: what was there before
 * stands in the file `sysctl` of the runtime directory, which outlives us as they do. Used by
 * the parent only; needs root and CAP_NET_ADMIN.
 */
#pragma once

/* Switches forwarding on; `wan` goes on taking router advertisements where it did. What
 * cannot be set is logged with the remedy, and the rest is done. */
void sysctl_set(const char *runtime_dir, const char *wan);

/* Back to what was there, where it still is as we have set it. 0 also if nothing was set;
 * -errno, logged: something could not be. */
int sysctl_restore(const char *runtime_dir);
