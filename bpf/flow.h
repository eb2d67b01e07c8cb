/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table: a set-associative array of buckets of FLOW_WAYS entries.
 * An entry lives in the first bucket of its hash, or in one of the next
 * FLOW_CHAIN - 1 while overflow_ticks of the first is recent. Room is made by
 * entries that ended, then by the oldest unconfirmed or closing one; a
 * confirmed flow is never evicted, so a flood costs only its own flows.
 *
 * Readers take no lock. An entry they matched can be replaced under them only
 * if it was evictable, so the worst they see is what an eviction a moment
 * earlier would have shown; what they then refresh is the state and expiry of
 * the flow that came in its place, which its next packet puts right. Writers
 * exclude each other by the first bucket's lock, which also makes all inserts
 * of one key follow one another.
 */
#pragma once

#include "clock.h"
#include "config.h"
#include "hash.h"
#include "maps.h"
#include "pkt.h"

enum flow_limit {
	FLOW_LOCK_TRIES = 128,
	FLOW_LEFT_MASK = 0x7fffffff,
	FLOW_ENDED = 0x80000000,
};

struct flow_key {
	struct addr client;
	__u32 scope;
	__be16 port_be;
	__u16 tag;
	__u64 hash;
};

/* What is remembered under a key. */
struct flow_content {
	__u32 value;
	__u32 expires_ticks;
	__u8 state; /* enum flow_state */
	__u8 pad[3];
};

static __always_inline struct flow_table_count *flow_count(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&flow_counts, &zero);
}

static __always_inline void flow_key_set(struct flow_key *k,
					 const struct addr *client,
					 __be16 port_be, __u32 scope)
{
	k->client = *client;
	k->port_be = port_be;
	k->scope = scope;
	k->hash = table_hash(client, port_be, scope);
	k->tag = k->hash & 0xffff ? k->hash & 0xffff : 1;
}

/* The bucket number of a key's i-th choice: other bits for each. */
static __always_inline __u32 flow_choice(const struct flow_key *k, int i)
{
	return hash_index(k->hash << (8 * i), cfg_flow_buckets);
}

static __always_inline int flow_is(const struct flow *f,
				   const struct flow_key *k)
{
	return f->scope == k->scope && f->client_port_be == k->port_be &&
	       addr_equal(&f->client, &k->client);
}

static __always_inline int bucket_overflowed(const struct flow_bucket *b,
					     __u32 now)
{
	return b->overflow_ticks &&
	       !ticks_past(now, b->overflow_ticks + cfg_longest_idle_ticks);
}

/*
 * Where an entry is, in one number: bucket * 8 + way + 1; 0 = nowhere. The
 * searches return this and are global functions because the verifier then
 * checks them once, not again on every path that leads to them (kernel 6.18:
 * a million instructions otherwise).
 *
 * way + 1 is also the entry's offset in units of its size, since the header
 * of a bucket is as large as an entry: every number stays inside the bucket,
 * and neither compiler nor verifier needs a check of it.
 */
static __always_inline struct flow *bucket_entry(struct flow_bucket *b,
						 __u32 place)
{
	return (struct flow *)b + place % 8;
}

static __always_inline struct flow *flow_at(__u32 place)
{
	struct flow_bucket *b;
	__u32 index = place / 8;

	if (!place)
		return NULL;
	b = bpf_map_lookup_elem(&flow_buckets, &index);
	return b ? bucket_entry(b, place) : NULL;
}

/* Place of the live entry of a key, or 0. */
__noinline __u32 flow_search(const struct flow_key *k, __u32 now)
{
	struct flow_bucket *b, *first = NULL;
	__u32 index;
	int i, w;

	if (!k)
		return 0;
	for (i = 0; i < FLOW_CHAIN; i++) {
		index = flow_choice(k, i);
		b = bpf_map_lookup_elem(&flow_buckets, &index);
		if (!b)
			return 0;
		for (w = 0; w < FLOW_WAYS; w++) {
			struct flow *f = &b->flow[w];

			if (b->tag[w] != k->tag || !flow_is(f, k))
				continue;
			if (ticks_past(now, f->expires_ticks))
				continue;
			if (first)
				first->overflow_ticks = now;
			return index * 8 + w + 1;
		}
		if (i == 0) {
			if (!bucket_overflowed(b, now))
				return 0;
			first = b;
		}
	}
	return 0;
}

/* The live entry of a key, or NULL. */
static __always_inline struct flow *flow_find(const struct flow_key *k,
					      __u32 now)
{
	return flow_at(flow_search(k, now));
}

static __always_inline int bucket_lock(struct flow_bucket *b)
{
	int i;

	for (i = 0; i < FLOW_LOCK_TRIES; i++)
		if (!__sync_val_compare_and_swap(&b->lock, 0, 1))
			return 1;
	return 0;
}

static __always_inline void bucket_unlock(struct flow_bucket *b)
{
	__sync_val_compare_and_swap(&b->lock, 1, 0);
}

/*
 * How good an entry is to make room, the higher the better: 0 = not at all
 * (confirmed), FLOW_ENDED = nothing is lost, else by the time it has left.
 */
static __always_inline __u32 flow_spare(__u16 tag, const struct flow *f,
					__u32 now)
{
	if (!tag || ticks_past(now, f->expires_ticks))
		return FLOW_ENDED;
	if (f->state == FLOW_ESTABLISHED)
		return 0;
	/* The less time left, the larger; never 0. */
	return (now - f->expires_ticks - 1) & FLOW_LEFT_MASK;
}

/*
 * Place for a new entry: the first that is free or ended in the chain, else
 * the unconfirmed or closing one with the least time left, else 0.
 */
__noinline __u32 flow_search_place(const struct flow_key *k, __u32 now)
{
	__u64 best = 0, candidate;
	struct flow_bucket *b;
	__u32 index, spare;
	int i, w;

	if (!k)
		return 0;
	for (i = 0; i < FLOW_CHAIN; i++) {
		index = flow_choice(k, i);
		b = bpf_map_lookup_elem(&flow_buckets, &index);
		if (!b)
			return 0;
		for (w = 0; w < FLOW_WAYS; w++) {
			spare = flow_spare(b->tag[w], &b->flow[w], now);
			if (spare == FLOW_ENDED)
				return index * 8 + w + 1;
			candidate = (__u64)spare << 32 | (index * 8 + w + 1);
			if (spare && candidate > best)
				best = candidate;
		}
	}
	return best;
}

static __always_inline void flow_write(struct flow *f, __u16 *tag,
				       const struct flow_key *k,
				       const struct flow_content *content)
{
	*tag = 0;
	f->client = k->client;
	f->scope = k->scope;
	f->client_port_be = k->port_be;
	f->value = content->value;
	f->expires_ticks = content->expires_ticks;
	f->state = content->state;
	*tag = k->tag;
}

/*
 * Inserts at the place found; first is locked by the caller. Another bucket
 * of the chain is locked here and its entry looked at again: it may have been
 * taken since.
 */
static __always_inline int flow_fill(struct flow_bucket *first,
				     const struct flow_key *k,
				     const struct flow_content *content,
				     __u32 now, __u32 place)
{
	struct flow_table_count *count = flow_count();
	__u32 index = place / 8, spare;
	struct flow_bucket *b;
	struct flow *f;
	__u16 *tag;

	b = bpf_map_lookup_elem(&flow_buckets, &index);
	if (!b || !count)
		return 0;
	if (b != first && !bucket_lock(b))
		return 0;
	f = bucket_entry(b, place);
	tag = b->tag + place % 8 - 1;
	spare = flow_spare(*tag, f, now);
	if (spare)
		flow_write(f, tag, k, content);
	if (b != first)
		bucket_unlock(b);
	if (!spare)
		return 0;
	if (b != first)
		first->overflow_ticks = now;
	count->inserted++;
	count->evicted += spare != FLOW_ENDED;
	return 1;
}

/*
 * Remembers a value under a key that flow_find did not know a moment ago.
 * Returns the value in force: the given one, also where there was no room to
 * remember it, or that of another CPU that was faster.
 */
__noinline __u32 flow_remember(const struct flow_key *k, __u32 value,
			       __u8 state, __u32 expires_ticks, __u32 now)
{
	struct flow_content content = {value, expires_ticks, state};
	struct flow_table_count *count = flow_count();
	struct flow_bucket *first;
	__u32 index, place;
	struct flow *raced;

	if (!k || !count)
		return value;
	index = flow_choice(k, 0);
	first = bpf_map_lookup_elem(&flow_buckets, &index);
	if (!first)
		return value;
	if (!bucket_lock(first)) {
		count->busy++;
		return value;
	}
	raced = flow_find(k, now);
	place = raced ? 0 : flow_search_place(k, now);
	if (raced)
		value = raced->value;
	else if (!place)
		count->refused++;
	else if (!flow_fill(first, k, &content, now, place))
		count->busy++;
	bucket_unlock(first);
	return value;
}

/* The state of a flow after a packet from its client. */
static __always_inline __u8 flow_next_state(const struct tuple *t, __u8 state)
{
	if (t->proto == PROTO_UDP)
		return FLOW_ESTABLISHED;
	if (t->tcp_flags & (TCP_FIN | TCP_RST))
		return FLOW_CLOSING;
	if (t->tcp_flags & TCP_SYN)
		return state == FLOW_CLOSING ? FLOW_NEW : state;
	return state == FLOW_NEW ? FLOW_ESTABLISHED : state;
}

/* The state a packet gives to a flow that was not known. */
static __always_inline __u8 flow_first_state(const struct tuple *t)
{
	if (t->proto == PROTO_TCP && t->tcp_flags & (TCP_FIN | TCP_RST))
		return FLOW_CLOSING;
	return FLOW_NEW;
}

/* How long a flow may be silent in a state. A handshake gets no longer than
 * a flow that closes. */
static __always_inline __u32 flow_idle(const struct tuple *t, __u8 state,
				       __u32 idle_ticks)
{
	if (t->proto != PROTO_TCP)
		return idle_ticks;
	if (state == FLOW_CLOSING)
		return cfg_closing_ticks;
	if (state == FLOW_NEW && t->tcp_flags & TCP_SYN)
		return cfg_closing_ticks;
	return idle_ticks;
}

/*
 * Notes a packet of a known flow. Stores only what changed: once a tick at
 * most for an established flow, so that its cache line can stay shared.
 */
static __always_inline void flow_refresh(struct flow *f, const struct tuple *t,
					 __u32 idle_ticks, __u32 now)
{
	__u8 state = flow_next_state(t, f->state);
	__u32 expires = now + flow_idle(t, state, idle_ticks);

	if (f->expires_ticks != expires)
		f->expires_ticks = expires;
	if (f->state != state)
		f->state = state;
}

static __always_inline __u32 flow_keep(const struct flow_key *k,
				       const struct tuple *t, __u32 value,
				       __u32 idle_ticks, __u32 now)
{
	__u8 state = flow_first_state(t);

	return flow_remember(k, value, state,
			     now + flow_idle(t, state, idle_ticks), now);
}

/* Remembers or refreshes that a client speaks to a backend's own address. */
__noinline int flow_keep_direct(const struct tuple *t, struct origin *origin)
{
	__u32 now = now_ticks();
	struct flow_key k;
	struct flow *f;

	if (!t || !origin)
		return 0;
	flow_key_set(&k, &t->saddr, t->sport_be, SCOPE_DIRECT | origin->id);
	f = flow_find(&k, now);
	if (f)
		flow_refresh(f, t, origin->idle_ticks, now);
	else
		flow_keep(&k, t, 0, origin->idle_ticks, now);
	if (!origin->direct)
		origin->direct = 1;
	return 0;
}
