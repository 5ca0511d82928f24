/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of port mappings, which take the core several answers. */
#pragma once

#include "igd/actions.h"

/* Takes one entry in. True: the core is to be asked for the next one, by *req. */
bool mapping_list_more(struct action *a, const struct lease_reply *reply,
		       struct lease_request *req);
