/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fragments past the first carry no ports: they follow their first one, whose
 * ports are remembered by (source, destination, protocol, identification).
 * One that comes before its first is not held: for a VIP it is dropped and the
 * sender repeats the whole, as after any loss; from a backend it passes.
 */
#pragma once

#include "clock.h"
#include "maps.h"
#include "pkt.h"

enum fragment_limit {
	/* About 4 s: much less than hosts wait for the rest (RFC 1122, 3.3.2
	 * says 60 s), since an identification is soon used again. */
	FRAGMENT_TICKS = 30,
};

static __always_inline void fragment_key_set(struct fragment_key *k,
					     const struct tuple *t, __u32 id)
{
	k->saddr = t->saddr;
	k->daddr = t->daddr;
	k->id = id;
	k->proto = t->proto;
	k->pad[0] = k->pad[1] = k->pad[2] = 0;
}

/* Remembers the ports of a first fragment. */
__noinline int fragment_remember(const struct tuple *t, __u32 id)
{
	struct fragment_ports ports = {
		.expires_ticks = now_ticks() + FRAGMENT_TICKS,
	};
	struct fragment_key k;

	if (!t)
		return 0;
	ports.sport_be = t->sport_be;
	ports.dport_be = t->dport_be;
	fragment_key_set(&k, t, id);
	return bpf_map_update_elem(&fragments, &k, &ports, BPF_ANY);
}

/* Gives a later fragment the ports of its first. */
__noinline int fragment_recall(struct tuple *t, __u32 id)
{
	const struct fragment_ports *ports;
	struct fragment_key k;

	if (!t)
		return VERDICT_DROP_INTERNAL;
	fragment_key_set(&k, t, id);
	ports = bpf_map_lookup_elem(&fragments, &k);
	if (!ports || ticks_past(now_ticks(), ports->expires_ticks))
		return VERDICT_DROP_FRAGMENT;
	t->sport_be = ports->sport_be;
	t->dport_be = ports->dport_be;
	return VERDICT_CONTINUE;
}
