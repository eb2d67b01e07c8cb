/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stage 6: the Ethernet header of the next hop, and out. Where control knows
 * no next hop the frame goes to the kernel as it is.
 */
#pragma once

#include "config.h"
#include "maps.h"
#include "pkt.h"

/* Makes the frame start l2_len bytes before the IP header. */
static __always_inline int frame_start(struct pkt *p, __u32 l2_len)
{
	int delta = p->l2_len - l2_len;

	if (delta && bpf_xdp_adjust_head(p->ctx, delta))
		return 0;
	p->eth = (void *)(long)p->ctx->data;
	p->end = (void *)(long)p->ctx->data_end;
	return 1;
}

static __always_inline enum verdict transmit(struct pkt *p,
					     const struct next_hop *next)
{
	__be16 type_be = bpf_htons(p->t.family == 4 ? ETH_P_IP : ETH_P_IPV6);
	__u32 ifindex = next->ifindex;
	struct vlan_tag *tag;

	if (next->kind != NEXT_HOP_NEIGHBOR)
		return VERDICT_PASS_UNRESOLVED;
	if (!frame_start(p, sizeof(*p->eth) + (next->vlan ? sizeof(*tag) : 0)))
		return VERDICT_DROP_INTERNAL;
	tag = (void *)(p->eth + 1);
	if ((void *)(tag + 1) > p->end)
		return VERDICT_DROP_INTERNAL;
	__builtin_memcpy(p->eth->h_dest, next->dst, ETH_ALEN);
	__builtin_memcpy(p->eth->h_source, next->src, ETH_ALEN);
	p->eth->h_proto = next->vlan ? bpf_htons(ETH_P_8021Q) : type_be;
	if (next->vlan) {
		tag->tci_be = bpf_htons(next->vlan);
		tag->proto_be = type_be;
	}
	if (ifindex == p->ctx->ingress_ifindex)
		return VERDICT_SEND_BACK;
	if (cfg_test)
		test_ifindex = ifindex;
	/* Control names only devices that are in tx_devices. */
	if (bpf_redirect_map(&tx_devices, ifindex, XDP_DROP) != XDP_REDIRECT)
		return VERDICT_DROP_INTERNAL;
	return VERDICT_REDIRECT;
}
