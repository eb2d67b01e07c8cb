/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stage 3 of the way back: whose reply a backend's packet is. The backend's
 * address and port say it, except where several services share the backend,
 * or a client spoke to it directly: then the flow table does.
 */
#pragma once

#include "flow.h"
#include "maps.h"
#include "pkt.h"

/* What a reply is rewritten to, and whose it is. */
struct reply_match {
	struct addr vip;
	__u32 service;
	__u32 backend;
	__be16 vip_port_be;
	__u16 pad;
};

/*
 * Whose reply a packet from a shared origin is: the service by the reply's
 * own entry, the backend by the flow's. Without one it is no service's, and
 * neither once the service is gone.
 */
static __always_inline int reply_shared(const struct tuple *t,
					const struct origin *origin,
					struct reply_match *m, __u32 now)
{
	const struct endpoint *vip;
	struct flow_key k;
	struct flow *f;
	__u32 service;

	flow_key_set(&k, &t->daddr, t->dport_be, SCOPE_REPLY | origin->id);
	f = flow_find(&k, now);
	if (!f)
		return VERDICT_PASS_DIRECT;
	service = f->value;
	vip = bpf_map_lookup_elem(&service_keys, &service);
	if (!vip || !vip->proto)
		return VERDICT_PASS_DIRECT;
	m->service = service;
	m->vip = vip->addr;
	m->vip_port_be = vip->port_be;
	flow_key_set(&k, &t->daddr, t->dport_be, service);
	f = flow_find(&k, now);
	m->backend = f ? f->value : 0;
	return VERDICT_CONTINUE;
}

/* Whether a client spoke to the origin's own address. */
static __always_inline int
reply_is_direct(const struct tuple *t, const struct origin *origin, __u32 now)
{
	struct flow_key k;

	flow_key_set(&k, &t->daddr, t->dport_be, SCOPE_DIRECT | origin->id);
	return flow_find(&k, now) != NULL;
}

/* A backend that resets ends the flow for the table too, if it is there. */
static __always_inline void reply_reset(const struct tuple *t,
					const struct reply_match *m, __u32 now)
{
	struct flow_key k;
	struct flow *f;

	flow_key_set(&k, &t->daddr, t->dport_be, m->service);
	f = flow_find(&k, now);
	if (!f || f->value != m->backend)
		return;
	f->state = FLOW_CLOSING;
	f->expires_ticks = now + cfg_closing_ticks;
}

/* The replies that need the flow table. */
__noinline int reply_ask(const struct tuple *t, const struct origin *origin,
			 struct reply_match *m)
{
	__u32 now = now_ticks();
	int v = VERDICT_CONTINUE;

	if (!t || !origin || !m)
		return VERDICT_DROP_INTERNAL;
	if (origin->shared)
		v = reply_shared(t, origin, m, now);
	else if (origin->direct && reply_is_direct(t, origin, now))
		v = VERDICT_PASS_DIRECT;
	if (v == VERDICT_CONTINUE && t->tcp_flags & TCP_RST)
		reply_reset(t, m, now);
	return v;
}

static __always_inline enum verdict reply_match(const struct tuple *t,
						const struct origin *origin,
						struct reply_match *m)
{
	if (!origin->shared) {
		m->vip = origin->vip;
		m->vip_port_be = origin->vip_port_be;
		m->service = origin->service;
		m->backend = origin->backend;
	}
	if (origin->shared || origin->direct || t->tcp_flags & TCP_RST)
		return reply_ask(t, origin, m);
	return VERDICT_CONTINUE;
}
