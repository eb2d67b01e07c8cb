/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rig around a program under test: a generator that is run on live frames,
 * the bare program that every figure is compared with, and the counter at the
 * far end.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "csum.h"
#include "pkt.h"

enum generator_limit {
	HEADERS_MAX = 80, /* bytes of the longest header chain: TCP over IPv6 */
	PORTS_SHIFT = 15, /* a client address has 2^15 flows */
	PORT_FIRST = 1024, /* their first source port */
};

/* What the generator makes; the same for every CPU. */
struct traffic {
	/* Ethernet, IP and transport header of a client and port that are 0. */
	__u8 headers[HEADERS_MAX];
	/* Sums of what the two checksums cover, without client and port. */
	__u32 ip_sum;
	__u32 l4_sum;
	__u32 client; /* the lower 32 bits of the first client's address */
	__u32 pad;
};
_Static_assert(sizeof(struct traffic) == 96, "bench abi");

/* Where a CPU is: its flows are first, first + step, ... below end, then first
 * again. */
struct cursor {
	__u64 next;
	__u64 first;
	__u64 step;
	__u64 end;
};

/* Control writes between runs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct traffic);
} traffic SEC(".maps");

/* Control writes between runs, the generator moves next. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cursor);
} cursors SEC(".maps");

/* 0 -> the generator's cable to the gateway. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} gateway SEC(".maps");

/* 0 -> the gateway's cable to the far end, for the bare program. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} far SEC(".maps");

/* 0 -> frames that came to the far end. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} received SEC(".maps");

/* MACs that the bare program writes. Set before load. */
volatile const __u8 cfg_far_mac[ETH_ALEN] = {};
volatile const __u8 cfg_gateway_mac[ETH_ALEN] = {};

/* What differs between the kinds of frame; constant after inlining. */
struct kind {
	__u32 headers;	/* bytes */
	__u32 client;	/* offset of the lower 32 bits of the client */
	__u32 ip_check; /* offset; 0 = IPv6 */
	__u32 port;	/* offset of the client's port */
	__u32 l4_check; /* offset */
};

static __always_inline __u64 cursor_take(struct cursor *c)
{
	__u64 flow = c->next;

	c->next += c->step;
	if (c->next >= c->end)
		c->next = c->first;
	return flow;
}

/* Live frames come back with what was written into them the last time, so
 * every header byte is written for every frame. */
static __always_inline int generate(struct xdp_md *ctx, const struct kind *k)
{
	void *frame = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__be32 client_be;
	struct traffic *t;
	struct cursor *c;
	__u32 zero = 0;
	__be16 port_be;
	__u64 flow;

	t = bpf_map_lookup_elem(&traffic, &zero);
	c = bpf_map_lookup_elem(&cursors, &zero);
	if (!t || !c || frame + k->headers > end)
		return XDP_ABORTED;
	flow = cursor_take(c);
	client_be = bpf_htonl(t->client + (__u32)(flow >> PORTS_SHIFT));
	port_be = bpf_htons(PORT_FIRST + (flow & ((1 << PORTS_SHIFT) - 1)));
	__builtin_memcpy(frame, t->headers, k->headers);
	*(__be32 *)(frame + k->client) = client_be;
	*(__be16 *)(frame + k->port) = port_be;
	if (k->ip_check)
		*(__u16 *)(frame + k->ip_check) =
			~csum_fold((__u64)t->ip_sum + client_be);
	*(__u16 *)(frame + k->l4_check) =
		~csum_fold((__u64)t->l4_sum + client_be + port_be);
	return bpf_redirect_map(&gateway, 0, XDP_ABORTED);
}

SEC("xdp")
int generate_udp4(struct xdp_md *ctx)
{
	const struct kind k = {42, 26, 24, 34, 40};

	return generate(ctx, &k);
}

SEC("xdp")
int generate_tcp4(struct xdp_md *ctx)
{
	const struct kind k = {54, 26, 24, 34, 50};

	return generate(ctx, &k);
}

SEC("xdp")
int generate_udp6(struct xdp_md *ctx)
{
	const struct kind k = {62, 34, 0, 54, 60};

	return generate(ctx, &k);
}

SEC("xdp")
int generate_tcp6(struct xdp_md *ctx)
{
	const struct kind k = {74, 34, 0, 54, 70};

	return generate(ctx, &k);
}

/* From one backend to the clients. */
SEC("xdp")
int generate_reply_udp4(struct xdp_md *ctx)
{
	const struct kind k = {42, 30, 24, 36, 40};

	return generate(ctx, &k);
}

SEC("xdp")
int generate_reply_udp6(struct xdp_md *ctx)
{
	const struct kind k = {62, 50, 0, 56, 60};

	return generate(ctx, &k);
}

/* The least a forwarding program does: both MACs, and out. */
SEC("xdp")
int bare(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	int i;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	for (i = 0; i < ETH_ALEN; i++) {
		eth->h_dest[i] = cfg_far_mac[i];
		eth->h_source[i] = cfg_gateway_mac[i];
	}
	return bpf_redirect_map(&far, 0, XDP_DROP);
}

SEC("xdp")
int receive(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&received, &zero);

	if (n)
		++*n;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
