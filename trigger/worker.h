/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that reads the first packets of outbound flows and counts: a port that sends to
 * several remotes wants to be reached by others. Has no power; tells the core, which decides.
 */
#pragma once

/* Serves the channel until the core is gone. The exit status. */
int trigger_worker_run(int channel);
