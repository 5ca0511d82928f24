/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/engine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "igd/gena.h"

/* Last, since they take the word bool away. */
#include <upnp/upnp.h>
#include <upnp/upnptools.h>

#define ENGINE_QUEUE 64
#define ENGINE_MAX_AGE 1800   /* seconds; row U3 */
#define ENGINE_PORT_MIN 49152 /* libupnp 1.8 takes none below; any will do, see hooks.c */

enum engine_verb {
	ENGINE_WELCOME,
	ENGINE_NOTIFY,
	ENGINE_STOP,
};

struct engine_command {
	enum engine_verb verb;
	unsigned int face;
	enum igd_service service;
	char sid[GENA_SID_MAX + 1];
	struct events_set set;
};

struct engine {
	char ifname[16];
	char urls[IGD_FACES][64];
	uint16_t port;
	const struct description *description;
	int wake_fd;
	UpnpDevice_Handle handles[IGD_FACES];

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t more;
	enum engine_state state;
	char error[160];
	size_t first, count;
	struct engine_command queue[ENGINE_QUEUE];
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

/* The front answers actions and checks subscriptions before libupnp sees them, so nothing
 * is left to do here. What reached libupnp in another way is refused by saying nothing. */
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

/* Face 1 names the document of face 0 to those who search for older versions. */
static int engine_register(struct engine *e)
{
	uint16_t port = e->port < ENGINE_PORT_MIN ? ENGINE_PORT_MIN : e->port;
	int err = UpnpInit2(e->ifname, port);

	if (err == UPNP_E_SOCKET_BIND)
		return engine_fail(e, "another program may have UDP port 1900", err);
	if (err != UPNP_E_SUCCESS)
		return engine_fail(e, "libupnp did not start", err);
	err = UpnpRegisterRootDevice(e->urls[0], engine_event, NULL, &e->handles[0]);
	if (err == UPNP_E_SUCCESS)
		err = UpnpRegisterRootDevice4(e->urls[1], engine_event, NULL,
					      &e->handles[1], AF_INET, e->urls[0]);
	for (unsigned int i = 0; i < IGD_FACES && err == UPNP_E_SUCCESS; i++) {
		err = UpnpSetMaxSubscriptions(e->handles[i], GENA_SUBSCRIPTIONS);
		if (err == UPNP_E_SUCCESS)
			err = UpnpSetMaxSubscriptionTimeOut(e->handles[i], GENA_SECONDS);
	}
	return err == UPNP_E_SUCCESS ? 0 : engine_fail(e, "libupnp took no device", err);
}

static void engine_advertise(struct engine *e)
{
	for (unsigned int i = 0; i < IGD_FACES; i++) {
		int err = UpnpSendAdvertisement(e->handles[i], ENGINE_MAX_AGE);

		if (err != UPNP_E_SUCCESS)
			log_warn("no advertisement: %s", UpnpGetErrorMessage(err));
	}
}

/* Hands the set to one of libupnp's two calls, which copy it. */
static void engine_tell(struct engine *e, struct engine_command *c)
{
	const struct igd_service_def *s = description_service(c->face, c->service);
	const char *udn = description_udn(e->description, c->face, s->device);
	UpnpDevice_Handle handle = e->handles[c->face];
	const char *names[EVENTS_VARIABLES], *values[EVENTS_VARIABLES];
	int err = UPNP_E_SUCCESS, n = (int)c->set.n;

	for (size_t i = 0; i < c->set.n; i++) {
		names[i] = c->set.names[i];
		values[i] = c->set.values[i];
	}
	if (c->verb == ENGINE_NOTIFY) {
		err = UpnpNotify(handle, udn, s->id, names, values, n);
	} else {
		/* libupnp may still be about to enter the subscription that it answered. */
		for (int i = 0; i < 5; i++) {
			const struct timespec pause = {.tv_nsec = 10000000};

			err = UpnpAcceptSubscription(handle, udn, s->id, names, values, n,
						     c->sid);
			if (err == UPNP_E_SUCCESS)
				break;
			nanosleep(&pause, NULL);
		}
	}
	if (err != UPNP_E_SUCCESS)
		log_debug("event not sent: %s", UpnpGetErrorMessage(err));
}

static void engine_next(struct engine *e, struct engine_command *out)
{
	pthread_mutex_lock(&e->lock);
	while (!e->count)
		pthread_cond_wait(&e->more, &e->lock);
	*out = e->queue[e->first];
	e->first = (e->first + 1) % ENGINE_QUEUE;
	e->count--;
	pthread_mutex_unlock(&e->lock);
}

/* Unregistering one device mutes the other too, so this is done at the end only; and never
 * UpnpFinish(), which waits for its stop socket, which hears nobody. */
static void engine_leave(struct engine *e)
{
	for (unsigned int i = 0; i < IGD_FACES; i++)
		UpnpUnRegisterRootDevice(e->handles[i]);
	engine_enter(e, ENGINE_STOPPED);
}

static void *engine_run(void *arg)
{
	struct engine *e = arg;
	struct engine_command c;

	if (engine_register(e))
		return NULL;
	engine_enter(e, ENGINE_RUNNING);
	engine_advertise(e);
	for (;;) {
		engine_next(e, &c);
		if (c.verb == ENGINE_STOP) {
			engine_leave(e);
			return NULL;
		}
		engine_tell(e, &c);
	}
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

struct engine *engine_start(const char *ifname, const char *url_base, uint16_t port,
			    const struct description *d, int wake_fd)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	snprintf(e->ifname, sizeof(e->ifname), "%s", ifname);
	for (unsigned int i = 0; i < IGD_FACES; i++)
		snprintf(e->urls[i], sizeof(e->urls[i]), "%s%s", url_base,
			 description_path(i));
	e->port = port;
	e->description = d;
	e->wake_fd = wake_fd;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->more, NULL);
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

/* A full queue loses events, never the good-bye: its last place is kept for that. */
static void engine_put(struct engine *e, const struct engine_command *c)
{
	size_t room = c->verb == ENGINE_STOP ? ENGINE_QUEUE : ENGINE_QUEUE - 1;

	pthread_mutex_lock(&e->lock);
	if (e->count < room) {
		e->queue[(e->first + e->count) % ENGINE_QUEUE] = *c;
		e->count++;
		pthread_cond_signal(&e->more);
	}
	pthread_mutex_unlock(&e->lock);
}

void engine_welcome(struct engine *e, unsigned int face, enum igd_service service,
		    const char *sid, const struct events_set *set)
{
	struct engine_command c = {
		.verb = ENGINE_WELCOME, .face = face, .service = service, .set = *set};

	snprintf(c.sid, sizeof(c.sid), "%s", sid);
	engine_put(e, &c);
}

void engine_notify(struct engine *e, unsigned int face, enum igd_service service,
		   const struct events_set *set)
{
	struct engine_command c = {
		.verb = ENGINE_NOTIFY, .face = face, .service = service, .set = *set};

	if (set->n)
		engine_put(e, &c);
}

void engine_stop(struct engine *e)
{
	struct engine_command c = {.verb = ENGINE_STOP};

	engine_put(e, &c);
}
