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
	/* IPv6 fragments of one packet need not agree on the next header; the
	 * first one's counts (RFC 8200, 4.5). */
	k->proto = t->family == 4 ? t->proto : 0;
	k->pad[0] = k->pad[1] = k->pad[2] = 0;
}

/* Remembers what a first fragment says. */
__noinline int fragment_remember(const struct tuple *t, __u32 id)
{
	struct fragment_first first = {
		.expires_ticks = now_ticks() + FRAGMENT_TICKS,
	};
	struct fragment_key k;

	if (!t || !tuple_has_ports(t))
		return 0;
	first.sport_be = t->sport_be;
	first.dport_be = t->dport_be;
	first.proto = t->proto;
	fragment_key_set(&k, t, id);
	return bpf_map_update_elem(&fragments, &k, &first, BPF_ANY);
}

/* Gives a later fragment the protocol and ports of its first. Those of
 * protocols without ports need none. */
__noinline int fragment_recall(struct tuple *t, __u32 id)
{
	const struct fragment_first *first;
	struct fragment_key k;

	if (!t)
		return VERDICT_DROP_INTERNAL;
	fragment_key_set(&k, t, id);
	first = bpf_map_lookup_elem(&fragments, &k);
	if (!first || ticks_past(now_ticks(), first->expires_ticks))
		return tuple_has_ports(t) ? VERDICT_DROP_FRAGMENT
					  : VERDICT_CONTINUE;
	t->proto = first->proto;
	t->sport_be = first->sport_be;
	t->dport_be = first->dport_be;
	return VERDICT_CONTINUE;
}
