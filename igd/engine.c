/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/engine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "igd/hooks.h"

/* Last, since they take the word bool away. */
#include <upnp/upnp.h>
#include <upnp/upnptools.h>

#define ENGINE_MAX_AGE 1800   /* seconds; row U3 */
#define ENGINE_PORT_MIN 49152 /* libupnp 1.8 takes none below; any will do, see hooks.c */

/* IPv4, IPv6 */
#define ENGINE_FAMILIES 2

struct engine {
	char ifname[16];
	char urls[ENGINE_FAMILIES][IGD_FACES][96]; /* IPv6: empty, if not wanted */
	uint16_t port;
	int wake_fd;
	UpnpDevice_Handle handles[ENGINE_FAMILIES * IGD_FACES];
	unsigned int n_handles;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t leave;
	int leaving;
	enum engine_state state;
	char error[160];
};

static void engine_enter(struct engine *e, enum engine_state state)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&e->lock);
	e->state = state;
	pthread_mutex_unlock(&e->lock);
	if (write(e->wake_fd, &one, sizeof(one)) < 0)
		log_error("cannot wake the main loop: %m");
}

/* Actions and subscriptions are the front's; none comes this way. */
#if UPNP_VERSION >= 11426 && UPNP_VERSION <= 11429
#error "libupnp 1.14.26 to 1.14.29 have another type of callback: use a newer or older one"
#endif
static int engine_event(Upnp_EventType type, const void *event, void *cookie)
{
	(void)type;
	(void)event;
	(void)cookie;
	return 0;
}

static int engine_fail(struct engine *e, const char *what, int err)
{
	pthread_mutex_lock(&e->lock);
	snprintf(e->error, sizeof(e->error), "%s: %s (%d)", what,
		 UpnpGetErrorMessage(err), err);
	pthread_mutex_unlock(&e->lock);
	engine_enter(e, ENGINE_FAILED);
	return -1;
}

int engine_has_v6(void)
{
	return UPNP_VERSION >= 11400;
}

/* Face 1 names the document of face 0 to those who search for older versions. */
static int engine_register_family(struct engine *e, int family)
{
	char(*urls)[96] = e->urls[family == AF_INET6];
	UpnpDevice_Handle *h = e->handles + e->n_handles;
	int err = UpnpRegisterRootDevice3(urls[0], engine_event, NULL, &h[0], family);

	if (err == UPNP_E_SUCCESS)
		err = UpnpRegisterRootDevice4(urls[1], engine_event, NULL, &h[1], family,
					      urls[0]);
	if (err == UPNP_E_SUCCESS)
		e->n_handles += IGD_FACES;
	return err;
}

static int engine_register(struct engine *e)
{
	uint16_t port = e->port < ENGINE_PORT_MIN ? ENGINE_PORT_MIN : e->port;
	int err = UpnpInit2(e->ifname, port);

	if (err == UPNP_E_SOCKET_BIND)
		return engine_fail(e, "another program may have UDP port 1900", err);
	if (err != UPNP_E_SUCCESS)
		return engine_fail(e, "libupnp did not start", err);
	hooks_goodbye(); /* before anybody can find us */
	err = engine_register_family(e, AF_INET);
	if (err != UPNP_E_SUCCESS)
		return engine_fail(e, "libupnp took no device", err);
	if (!e->urls[1][0][0])
		return 0;
	err = engine_register_family(e, AF_INET6);
	if (err != UPNP_E_SUCCESS)
		log_warn("no discovery over IPv6: %s", UpnpGetErrorMessage(err));
	return 0;
}

static void engine_advertise(struct engine *e)
{
	for (unsigned int i = 0; i < e->n_handles; i++) {
		int err = UpnpSendAdvertisement(e->handles[i], ENGINE_MAX_AGE);

		if (err != UPNP_E_SUCCESS)
			log_warn("no advertisement: %s", UpnpGetErrorMessage(err));
	}
}

/* Unregistering one device mutes the other too, so this is done at the end only; and never
 * UpnpFinish(), which waits for its stop socket, which hears nobody. */
static void engine_leave(struct engine *e)
{
	for (unsigned int i = 0; i < e->n_handles; i++)
		UpnpUnRegisterRootDevice(e->handles[i]);
	engine_enter(e, ENGINE_STOPPED);
}

static void *engine_run(void *arg)
{
	struct engine *e = arg;

	if (engine_register(e))
		return NULL;
	engine_enter(e, ENGINE_RUNNING);
	engine_advertise(e);
	pthread_mutex_lock(&e->lock);
	while (!e->leaving)
		pthread_cond_wait(&e->leave, &e->lock);
	pthread_mutex_unlock(&e->lock);
	engine_leave(e);
	return NULL;
}

/* libupnp's threads inherit the mask: signals are the main loop's. */
static int engine_spawn(struct engine *e)
{
	sigset_t all, before;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, engine_run, e);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		pthread_detach(thread);
	return err;
}

struct engine *engine_start(const char *ifname, const char *url_base,
			    const char *url_base6, uint16_t port, int wake_fd)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	snprintf(e->ifname, sizeof(e->ifname), "%s", ifname);
	for (unsigned int i = 0; i < IGD_FACES; i++) {
		snprintf(e->urls[0][i], sizeof(e->urls[0][i]), "%s%s", url_base,
			 description_path(i));
		if (url_base6)
			snprintf(e->urls[1][i], sizeof(e->urls[1][i]), "%s%s", url_base6,
				 description_path(i));
	}
	e->port = port;
	e->wake_fd = wake_fd;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->leave, NULL);
	if (engine_spawn(e)) {
		free(e);
		return NULL;
	}
	return e;
}

enum engine_state engine_state(struct engine *e)
{
	enum engine_state state;

	pthread_mutex_lock(&e->lock);
	state = e->state;
	pthread_mutex_unlock(&e->lock);
	return state;
}

const char *engine_error(struct engine *e)
{
	return e->error; /* written once, before ENGINE_FAILED */
}

void engine_stop(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->leaving = 1;
	pthread_cond_signal(&e->leave);
	pthread_mutex_unlock(&e->lock);
}
