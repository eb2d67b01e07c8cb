/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hashes of a flow. dataplane/hash.go computes the same numbers: control
 * uses them to find slots and entries, and a test holds the two together.
 */
#pragma once

#include "pkt.h"

#define HASH_K0 0x9e3779b97f4a7c15ULL
#define HASH_K1 0xc2b2ae3d27d4eb4fULL
#define HASH_K2 0x165667b19e3779f9ULL

static __always_inline __u64 hash_mix(__u64 h, __u64 word)
{
	h = (h ^ word) * HASH_K1;
	return h ^ (h >> 32);
}

static __always_inline __u64 hash_finish(__u64 h)
{
	h ^= h >> 33;
	h *= HASH_K2;
	h ^= h >> 29;
	h *= HASH_K1;
	return h ^ (h >> 32);
}

static __always_inline __u64 addr_word(const struct addr *a, int i)
{
	const __u32 *w = (const __u32 *)a;

	return w[2 * i] | (__u64)w[2 * i + 1] << 32;
}

/* The hash that picks the ring slot of a packet to a service. */
static __always_inline __u64 flow_hash(const struct tuple *t)
{
	__u64 h =
		(bpf_ntohs(t->sport_be) | (__u64)bpf_ntohs(t->dport_be) << 16 |
		 (__u64)t->proto << 32) *
		HASH_K0;

	if (t->family == 4)
		return hash_finish(
			hash_mix(h, addr_to4(&t->saddr) |
					    (__u64)addr_to4(&t->daddr) << 32));
	h = hash_mix(h, addr_word(&t->saddr, 0));
	h = hash_mix(h, addr_word(&t->saddr, 1));
	h = hash_mix(h, addr_word(&t->daddr, 0));
	h = hash_mix(h, addr_word(&t->daddr, 1));
	return hash_finish(h);
}

/* The hash that places a flow in the flow table. */
static __always_inline __u64 table_hash(const struct addr *client,
					__be16 port_be, __u32 scope)
{
	__u64 h = (bpf_ntohs(port_be) | (__u64)scope << 16) * HASH_K0;

	h = hash_mix(h, addr_word(client, 0));
	h = hash_mix(h, addr_word(client, 1));
	return hash_finish(h);
}

/* Scales the upper half of a hash to 0..n-1 without dividing. */
static __always_inline __u32 hash_index(__u64 hash, __u32 n)
{
	return (hash >> 32) * n >> 32;
}
