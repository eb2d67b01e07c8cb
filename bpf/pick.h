/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stages 3 and 4: the backend of a packet to a service. Where the ring slot
 * has not moved the hash alone decides; where it has, the flow table is asked
 * first:
 *
 *   flow in the table, its backend alive    that backend
 *   TCP SYN                                 current
 *   settled backend alive                   settled
 *   otherwise                               current
 *
 * and remembers the answer. testenv/model has the same rules in Go.
 */
#pragma once

#include "flow.h"
#include "hash.h"
#include "maps.h"
#include "pkt.h"

static __always_inline const struct backend *backend_by_id(__u32 id)
{
	return bpf_map_lookup_elem(&backends, &id);
}

static __always_inline const struct backend *backend_alive(__u32 id)
{
	const struct backend *b = id ? backend_by_id(id) : NULL;

	return b && b->alive ? b : NULL;
}

/* The ring as one load sees it: offset and size belong together. */
static __always_inline struct ring ring_load(const struct ring *at)
{
	__u64 raw = *(const volatile __u64 *)at;
	struct ring ring = {.offset = raw, .size = raw >> 32};

	return ring;
}

static __always_inline const struct slot *ring_slot(struct ring ring,
						    __u64 hash)
{
	__u32 index = ring.offset + 1 + hash_index(hash, ring.size);

	return ring.size ? bpf_map_lookup_elem(&slots, &index) : NULL;
}

/* The ring before the last change of size. */
static __always_inline struct ring ring_old(struct ring ring)
{
	const struct slot *header = bpf_map_lookup_elem(&slots, &ring.offset);
	struct ring old = {};

	if (header) {
		old.offset = header->current;
		old.size = header->settled;
	}
	return old;
}

/* What the ring says about a packet, and the backend chosen in the end. */
struct choice {
	struct ring ring;
	struct slot slot;
	__u64 hash;
	__u32 backend;
	__u32 pad;
};

/* The backend that flows from before the last change live on; 0 = none. */
static __always_inline __u32 slot_settled(const struct choice *c)
{
	__u32 settled = c->slot.settled & ~SLOT_ASK;
	const struct slot *old;

	if (settled != SLOT_SETTLED_IN_OLD)
		return settled;
	old = ring_slot(ring_old(c->ring), c->hash);
	if (!old)
		return 0;
	return old->settled & SLOT_ASK ? old->settled & ~SLOT_ASK
				       : old->current;
}

/* The backend of a packet that no entry knows. */
static __always_inline __u32 pick_unknown(const struct tuple *t,
					  const struct choice *c)
{
	__u32 settled;

	if (!(c->slot.settled & SLOT_ASK))
		return c->slot.current;
	if (t->proto == PROTO_TCP && t->tcp_flags & TCP_SYN)
		return c->slot.current;
	settled = slot_settled(c);
	return backend_alive(settled) ? settled : c->slot.current;
}

/*
 * In a service whose backends also serve others, a reply finds its service
 * through an entry of its own. Refused where the same client port is busy on
 * another service of that backend.
 */
__noinline int pick_reserve_reply(const struct tuple *t,
				  const struct service *s,
				  const struct backend *b, __u32 now)
{
	struct endpoint at = {};
	const struct origin *origin;
	struct flow_key k;
	struct flow *f;

	if (!t || !s || !b)
		return VERDICT_DROP_INTERNAL;
	at.addr = b->addr;
	at.port_be = b->port_be;
	at.proto = t->proto;
	origin = bpf_map_lookup_elem(&origins, &at);
	if (!origin)
		return VERDICT_DROP_INTERNAL;
	flow_key_set(&k, &t->saddr, t->sport_be, SCOPE_REPLY | origin->id);
	f = flow_find(&k, now);
	if (!f) {
		if (flow_keep(&k, t, s->id, s->idle_ticks, now) != s->id)
			return VERDICT_DROP_REPLY_CONFLICT;
		return VERDICT_CONTINUE;
	}
	if (f->value != s->id)
		return VERDICT_DROP_REPLY_CONFLICT;
	flow_refresh(f, t, s->idle_ticks, now);
	return VERDICT_CONTINUE;
}

/* Asks the flow table first and remembers what it did not know. */
__noinline int pick_remembered(const struct tuple *t, const struct service *s,
			       struct choice *c)
{
	__u32 now = now_ticks();
	int v = VERDICT_CONTINUE;
	const struct backend *b;
	struct flow_key k;
	struct flow *f;

	if (!t || !s || !c)
		return VERDICT_DROP_INTERNAL;
	flow_key_set(&k, &t->saddr, t->sport_be, s->id);
	f = flow_find(&k, now);
	if (f && backend_alive(f->value))
		c->backend = f->value;
	else
		c->backend = pick_unknown(t, c);
	b = backend_alive(c->backend);
	if (!b)
		return VERDICT_DROP_NO_BACKEND;
	if (s->shared_replies) {
		v = pick_reserve_reply(t, s, b, now);
		/* The new entry may have taken the place of this flow's. */
		f = flow_find(&k, now);
	}
	if (v != VERDICT_CONTINUE)
		return v;
	if (!f) {
		c->backend = flow_keep(&k, t, c->backend, s->idle_ticks, now);
		return VERDICT_CONTINUE;
	}
	/* Look again: another CPU may have given the place away. */
	if (f->value != c->backend && flow_is(f, &k))
		f->value = c->backend;
	flow_refresh(f, t, s->idle_ticks, now);
	return VERDICT_CONTINUE;
}

/* Whether this packet's backend may depend on what its flow did before. */
static __always_inline int pick_asks(const struct service *s,
				     const struct slot *slot)
{
	if (s->track == TRACK_MOVED)
		return !!(slot->settled & SLOT_ASK);
	return s->track == TRACK_ALWAYS;
}

/* Fills choice->backend and returns its entry, or a reason to drop. */
static __always_inline enum verdict pick(const struct tuple *t,
					 const struct service *s,
					 struct choice *c,
					 const struct backend **backend)
{
	const struct slot *slot;
	const struct ring *ring;
	__u32 ring_id = s->ring;
	enum verdict v;

	ring = bpf_map_lookup_elem(&rings, &ring_id);
	if (!ring)
		return VERDICT_DROP_NO_BACKEND;
	c->ring = ring_load(ring);
	c->hash = flow_hash(t);
	slot = ring_slot(c->ring, c->hash);
	if (!slot)
		return VERDICT_DROP_NO_BACKEND;
	c->backend = slot->current;
	if (pick_asks(s, slot)) {
		c->slot = *slot;
		v = pick_remembered(t, s, c);
		if (v != VERDICT_CONTINUE)
			return v;
	}
	*backend = backend_alive(c->backend);
	return *backend ? VERDICT_CONTINUE : VERDICT_DROP_NO_BACKEND;
}
