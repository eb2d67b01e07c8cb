/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The candidates for the flow table, each in the same small forwarder: parse,
 * table, ring for what the table does not know, backend, rewrite, transmit.
 * Everything but the table is the product's own code.
 */
#include "maps.h"
#include "parse.h"
#include "pick.h"
#include "pkt.h"
#include "rewrite_nat.h"
#include "transmit.h"

#include "cputable.h"
#include "lrutable.h"

/* Slots of the one ring. Set before load. */
volatile const __u32 cfg_slots = 1;

enum table_limit {
	SERVICE = 1,	     /* scope of every flow */
	IDLE_TICKS = 60 * 8, /* about a minute */
};

enum table_kind {
	TABLE_NONE,
	TABLE_LRU,
	TABLE_LRU_CPU,
	TABLE_SETS_CPU,
	TABLE_SETS,
};

static __always_inline __u32 ring_backend(const struct pkt *p)
{
	const struct ring ring = {.size = cfg_slots};
	const struct slot *s = ring_slot(ring, flow_hash(&p->t));

	return s ? s->current : 0;
}

/* The product's table, bpf/flow.h. */
static __always_inline __u32 sets_backend(const struct pkt *p)
{
	__u32 now = now_ticks();
	struct flow_key k;
	struct flow *f;

	flow_key_set(&k, &p->t.saddr, p->t.sport_be, SERVICE);
	f = flow_find(&k, now);
	if (!f)
		return flow_keep(&k, &p->t, ring_backend(p), IDLE_TICKS, now);
	flow_refresh(f, &p->t, IDLE_TICKS, now);
	return f->value;
}

static __always_inline __u32 cpu_sets_backend(const struct pkt *p)
{
	__u32 now = now_ticks();
	struct flow_key k;
	struct flow *f;

	flow_key_set(&k, &p->t.saddr, p->t.sport_be, SERVICE);
	f = cpu_flow_at(cpu_search(&k, now));
	if (!f)
		return cpu_keep(&k, p, ring_backend(p), IDLE_TICKS, now);
	flow_refresh(f, &p->t, IDLE_TICKS, now);
	return f->value;
}

static __always_inline __u32 lru_backend(void *map, const struct pkt *p)
{
	__u32 now = now_ticks(), backend;
	struct lru_flow *f;
	struct lru_key k;

	lru_key_set(&k, p, SERVICE);
	f = bpf_map_lookup_elem(map, &k);
	if (f && !ticks_past(now, f->expires_ticks)) {
		lru_refresh(f, p, IDLE_TICKS, now);
		return f->value;
	}
	backend = ring_backend(p);
	lru_keep(map, &k, p, backend, IDLE_TICKS, now);
	return backend;
}

static __always_inline __u32 table_backend(const struct pkt *p,
					   enum table_kind table)
{
	switch (table) {
	case TABLE_LRU:
		return lru_backend(&lru_flows, p);
	case TABLE_LRU_CPU:
		return lru_backend(&lru_cpu_flows, p);
	case TABLE_SETS_CPU:
		return cpu_sets_backend(p);
	case TABLE_SETS:
		return sets_backend(p);
	default:
		return ring_backend(p);
	}
}

static __always_inline int forward(struct xdp_md *ctx, enum table_kind table)
{
	struct rewrite r = {.hop = 1};
	const struct backend *b;
	struct pkt p = {};

	if (parse(ctx, &p) != VERDICT_CONTINUE)
		return XDP_PASS;
	/* What is not of the generator would disturb the count. */
	if (p.t.proto != PROTO_UDP && p.t.proto != PROTO_TCP)
		return XDP_PASS;
	b = backend_alive(table_backend(&p, table));
	if (!b)
		return XDP_DROP;
	r.addr = b->addr;
	r.port_be = b->port_be;
	if (rewrite_nat(&p, &r) != VERDICT_CONTINUE)
		return XDP_DROP;
	if (transmit(&p, &b->next) != VERDICT_REDIRECT)
		return XDP_DROP;
	return XDP_REDIRECT;
}

SEC("xdp")
int table_none(struct xdp_md *ctx)
{
	return forward(ctx, TABLE_NONE);
}

SEC("xdp")
int table_lru(struct xdp_md *ctx)
{
	return forward(ctx, TABLE_LRU);
}

SEC("xdp")
int table_lru_cpu(struct xdp_md *ctx)
{
	return forward(ctx, TABLE_LRU_CPU);
}

SEC("xdp")
int table_sets_cpu(struct xdp_md *ctx)
{
	return forward(ctx, TABLE_SETS_CPU);
}

SEC("xdp")
int table_sets(struct xdp_md *ctx)
{
	return forward(ctx, TABLE_SETS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
