/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that asks the next gateway what it is: it runs where our WAN leads to another
 * router. Has no power and one socket; tells the core what it was answered.
 */
#pragma once

#define UPSTREAM_PERIOD_S 600 /* asked anew, as its address may change */
#define UPSTREAM_RETRY_S 15   /* after no answer: it may be starting */

/* Serves the channel until the core is gone. The exit status. */
int upstream_worker_run(int channel);
