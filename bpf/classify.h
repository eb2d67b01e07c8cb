/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stage 2: is the packet ours, and which service or origin is it about? Until
 * that is known trouble means PASS; from then on every drop has a reason.
 */
#pragma once

#include "config.h"
#include "flow.h"
#include "maps.h"
#include "pkt.h"

/* What a packet is about; one of the two is set. */
struct match {
	const struct service *service; /* from a client */
	struct origin *origin;	       /* from a backend */
};

static __always_inline int is_vip(const struct addr *a)
{
	return bpf_map_lookup_elem(&vips, a) != NULL;
}

/* The device the frame came in by, or NULL where control does not know it. */
static __always_inline const struct interface *
ingress_interface(const struct pkt *p)
{
	__u32 ifindex = p->ctx->ingress_ifindex;

	return bpf_map_lookup_elem(&interfaces, &ifindex);
}

/*
 * Whether the frame is addressed to this box. A switch floods frames for
 * other boxes too; forwarding those would double them.
 */
static __always_inline int addressed_to_us(const struct pkt *p)
{
	const struct interface *in = ingress_interface(p);
	const __u16 *dst = (const __u16 *)p->eth->h_dest;
	const __u16 *mac;

	if (!in)
		return 0;
	mac = (const __u16 *)in->mac;
	if (!(mac[0] | mac[1] | mac[2]))
		return 0;
	return !((dst[0] ^ mac[0]) | (dst[1] ^ mac[1]) | (dst[2] ^ mac[2]));
}

/* Whether a socket of the box would take a packet of this VIP and port. */
__noinline int box_listens(struct xdp_md *ctx, const struct tuple *t)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__u32 len;

	if (!t)
		return 0;
	if (t->family == 4) {
		tuple.ipv4.saddr = addr_to4(&t->saddr);
		tuple.ipv4.daddr = addr_to4(&t->daddr);
		tuple.ipv4.sport = t->sport_be;
		tuple.ipv4.dport = t->dport_be;
		len = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &t->saddr, 16);
		__builtin_memcpy(tuple.ipv6.daddr, &t->daddr, 16);
		tuple.ipv6.sport = t->sport_be;
		tuple.ipv6.dport = t->dport_be;
		len = sizeof(tuple.ipv6);
	}
	if (t->proto == PROTO_TCP)
		sk = bpf_skc_lookup_tcp(ctx, &tuple, len, BPF_F_CURRENT_NETNS,
					0);
	else
		sk = bpf_sk_lookup_udp(ctx, &tuple, len, BPF_F_CURRENT_NETNS,
				       0);
	if (!sk)
		return 0;
	bpf_sk_release(sk);
	return 1;
}

/* A VIP's port without a service. */
static __always_inline enum verdict classify_bare_vip(const struct pkt *p)
{
	if (!addressed_to_us(p))
		return VERDICT_PASS_NOT_OURS;
	if (box_listens(p->ctx, &p->t))
		return VERDICT_PASS_LOCAL;
	return VERDICT_DROP_NO_SERVICE;
}

/*
 * A client that speaks to a backend's own address: seen on the way in, so
 * that the replies are not taken for a service's.
 */
static __always_inline enum verdict classify_direct(const struct pkt *p,
						    struct origin *origin)
{
	if (origin->shared || !addressed_to_us(p))
		return VERDICT_PASS_NOT_OURS;
	flow_keep_direct(&p->t, origin);
	return VERDICT_PASS_NOT_OURS;
}

/* Packets of protocols that no service carries. */
static __always_inline enum verdict classify_portless(const struct pkt *p)
{
	if (!is_vip(&p->t.daddr) || !addressed_to_us(p))
		return VERDICT_PASS_NOT_OURS;
	return VERDICT_PASS_LOCAL;
}

/* A malformed packet: trouble is its verdict if it is for a VIP. */
static __always_inline enum verdict classify_trouble(const struct pkt *p,
						     enum verdict trouble)
{
	if (trouble == VERDICT_PASS_NOT_OURS)
		return trouble;
	if (!is_vip(&p->t.daddr) || !addressed_to_us(p))
		return VERDICT_PASS_NOT_OURS;
	return trouble;
}

static __always_inline enum verdict classify(const struct pkt *p,
					     struct match *m)
{
	/* One key in turn for all lookups: stack is scarce. */
	struct endpoint at = {.port_be = p->t.dport_be, .proto = p->t.proto};
	struct origin *origin;

	if (!tuple_has_ports(&p->t))
		return classify_portless(p);
	at.addr = p->t.daddr;
	m->service = bpf_map_lookup_elem(&services, &at);
	if (m->service) {
		if (!addressed_to_us(p))
			return VERDICT_PASS_NOT_OURS;
		return VERDICT_CONTINUE;
	}
	at.addr = p->t.saddr;
	at.port_be = p->t.sport_be;
	m->origin = bpf_map_lookup_elem(&origins, &at);
	if (m->origin)
		return addressed_to_us(p) ? VERDICT_CONTINUE
					  : VERDICT_PASS_NOT_OURS;
	if (is_vip(&p->t.daddr))
		return classify_bare_vip(p);
	at.addr = p->t.daddr;
	at.port_be = p->t.dport_be;
	origin = bpf_map_lookup_elem(&origins, &at);
	if (origin)
		return classify_direct(p, origin);
	return VERDICT_PASS_NOT_OURS;
}
