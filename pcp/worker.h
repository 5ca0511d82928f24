/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pcp worker of one LAN: its sockets, its channel to the core and its loop around the
 * server of server.h. Runs without any power.
 */
#pragma once

/* Serves until the core closes the channel or SIGTERM comes: 0. Takes the descriptor over;
 * log_open() was called. -errno: could not start, or the channel broke. */
int pcp_worker_run(int channel_fd);
