/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Candidate: the kernel's LRU hash, with one list of all CPUs and with lists
 * of their own. */
#pragma once

#include "flow.h"
#include "maps.h"
#include "pkt.h"

struct lru_key {
	struct addr client;
	__u32 scope;
	__be16 port_be;
	__u16 pad;
};
_Static_assert(sizeof(struct lru_key) == 24, "bench abi");

struct lru_flow {
	__u32 value;
	__u32 expires_ticks;
	__u8 state;
	__u8 pad[7];
};
_Static_assert(sizeof(struct lru_flow) == 16, "bench abi");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct lru_key);
	__type(value, struct lru_flow);
} lru_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
	__type(key, struct lru_key);
	__type(value, struct lru_flow);
} lru_cpu_flows SEC(".maps");

static __always_inline void lru_key_set(struct lru_key *k, const struct pkt *p,
					__u32 scope)
{
	k->client = p->t.saddr;
	k->scope = scope;
	k->port_be = p->t.sport_be;
	k->pad = 0;
}

static __always_inline void lru_refresh(struct lru_flow *f, const struct pkt *p,
					__u32 idle_ticks, __u32 now)
{
	__u8 state = flow_next_state(&p->t, f->state);
	__u32 expires = now + flow_idle(&p->t, state, idle_ticks);

	if (f->expires_ticks != expires)
		f->expires_ticks = expires;
	if (f->state != state)
		f->state = state;
}

static __always_inline void lru_keep(void *map, const struct lru_key *k,
				     const struct pkt *p, __u32 value,
				     __u32 idle_ticks, __u32 now)
{
	struct lru_flow f = {.value = value, .state = flow_first_state(&p->t)};

	f.expires_ticks = now + flow_idle(&p->t, f.state, idle_ticks);
	bpf_map_update_elem(map, k, &f, BPF_ANY);
}
