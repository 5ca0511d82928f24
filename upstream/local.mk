# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libupstream.a
libupstream_a_SOURCES = \
	upstream/natpmp.c upstream/natpmp.h \
	upstream/worker.c upstream/worker.h
