/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Candidate: the sets of bpf/flow.h, one table for each CPU. Nothing is locked
 * and no other CPU's entries are seen.
 */
#pragma once

#include "flow.h"
#include "maps.h"
#include "pkt.h"

struct cpu_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_bucket);
};

/* CPU -> its table. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct cpu_table);
} cpu_tables SEC(".maps");

static __always_inline void *cpu_table(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&cpu_tables, &cpu);
}

static __always_inline struct flow_bucket *
cpu_bucket(void *table, const struct flow_key *k, int i, __u32 *index)
{
	*index = flow_choice(k, i);
	return bpf_map_lookup_elem(table, index);
}

static __always_inline struct flow *cpu_flow_at(__u32 place)
{
	void *table = cpu_table();
	struct flow_bucket *b;
	__u32 index = place / 8;

	if (!place || !table)
		return NULL;
	b = bpf_map_lookup_elem(table, &index);
	return b ? bucket_entry(b, place) : NULL;
}

/* Place of the live entry of a key, or 0. */
__noinline __u32 cpu_search(const struct flow_key *k, __u32 now)
{
	struct flow_bucket *b, *first = NULL;
	void *table = cpu_table();
	__u32 index;
	int i, w;

	if (!k || !table)
		return 0;
	for (i = 0; i < FLOW_CHAIN; i++) {
		b = cpu_bucket(table, k, i, &index);
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

/* Place for a new entry, as flow_search_place. */
__noinline __u32 cpu_search_place(const struct flow_key *k, __u32 now)
{
	__u64 best = 0, candidate;
	void *table = cpu_table();
	struct flow_bucket *b;
	__u32 index, spare;
	int i, w;

	if (!k || !table)
		return 0;
	for (i = 0; i < FLOW_CHAIN; i++) {
		b = cpu_bucket(table, k, i, &index);
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

static __always_inline __u32 cpu_keep(const struct flow_key *k,
				      const struct pkt *p, __u32 value,
				      __u32 idle_ticks, __u32 now)
{
	struct flow_content content = {.value = value};
	__u32 place = cpu_search_place(k, now);
	__u32 index = place / 8, first_index;
	struct flow_bucket *b, *first;
	void *table = cpu_table();

	if (!place || !table)
		return value;
	first = cpu_bucket(table, k, 0, &first_index);
	b = bpf_map_lookup_elem(table, &index);
	if (!b || !first)
		return value;
	content.state = flow_first_state(&p->t);
	content.expires_ticks =
		now + flow_idle(&p->t, content.state, idle_ticks);
	flow_write(bucket_entry(b, place), b->tag + place % 8 - 1, k, &content);
	if (b != first)
		first->overflow_ticks = now;
	return value;
}
