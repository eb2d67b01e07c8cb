/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors (RFC 792, RFC 4443): the flow they are about is that of the
 * packet they quote, seen from the other end.
 */
#pragma once

#include "parse_ip6.h"
#include "pkt.h"

enum icmp_limit {
	QUOTED_L4 = 8, /* bytes quoted at least past the IP header (RFC 792) */
};

static __always_inline int icmp_is_error(const struct pkt *p, __u8 type)
{
	if (p->t.family == 4)
		return type == ICMP4_UNREACHABLE ||
		       type == ICMP4_TIME_EXCEEDED ||
		       type == ICMP4_PARAMETER_PROBLEM;
	return type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
}

/* What an ICMP error quotes. */
struct icmp_quote {
	struct addr saddr;
	struct addr daddr;
	__u16 off;  /* of the quoted packet, then of what it carries */
	__u16 end;  /* of the frame's IP packet */
	__u8 proto; /* 0 = it quotes too little, or a later fragment */
	__u8 pad[3];
};

/* A later fragment has no ports to tell the flow. */
static __always_inline void icmp_quote_ip4(struct icmp_quote *q,
					   const struct iphdr *ip, void *end)
{
	__u32 hlen;

	if ((void *)(ip + 1) > end)
		return;
	hlen = ip->ihl * 4;
	if (ip->version != 4 || hlen < sizeof(*ip) ||
	    ip->frag_off & bpf_htons(IP4_OFFSET))
		return;
	addr_from4(&q->saddr, ip->saddr);
	addr_from4(&q->daddr, ip->daddr);
	q->proto = ip->protocol;
	q->off += hlen;
}

static __always_inline void icmp_quote_ip6(struct icmp_quote *q,
					   struct xdp_md *ctx,
					   const struct ipv6hdr *ip, void *end)
{
	struct ip6_chain c = {.off = q->off + sizeof(*ip), .end = q->end};

	if ((void *)(ip + 1) > end || ip->version != 6)
		return;
	__builtin_memcpy(&q->saddr, &ip->saddr, sizeof(q->saddr));
	__builtin_memcpy(&q->daddr, &ip->daddr, sizeof(q->daddr));
	/* As in parse_ip6: it must not pass for an IPv4 client's. */
	if (addr_is_mapped(&q->daddr))
		return;
	c.proto = ip->nexthdr;
	if (ip6_walk(ctx, &c) != VERDICT_CONTINUE ||
	    c.fragment == FRAGMENT_LATER)
		return;
	q->proto = c.proto;
	q->off = c.off;
}

/* Whether the quote is of TCP or UDP, and was sent to who sent that. The error
 * itself must come from a host, as any packet. */
static __always_inline int icmp_quote_fits(const struct pkt *p,
					   const struct icmp_quote *q)
{
	return (q->proto == PROTO_TCP || q->proto == PROTO_UDP) &&
	       q->off + QUOTED_L4 <= q->end &&
	       addr_equal(&q->saddr, &p->t.daddr) &&
	       addr_is_host(p->t.family, &p->t.saddr) &&
	       !addr_equal(&p->t.saddr, &p->t.daddr);
}

/*
 * Makes p the reverse of the packet that an ICMP error quotes; leaves it as it
 * was where this is none, or not one that a flow can be told from.
 */
static __noinline int parse_icmp(struct pkt *p)
{
	struct icmp_error *icmp = p->l4;
	void *quoted = icmp + 1;
	struct icmp_quote q = {
		.off = p->l4_off + sizeof(*icmp),
		.end = p->l2_len + p->l3_len,
	};
	__be16 *ports;

	if (quoted > p->end || !icmp_is_error(p, icmp->type))
		return 0;
	if (p->t.family == 4)
		icmp_quote_ip4(&q, quoted, p->end);
	else
		icmp_quote_ip6(&q, p->ctx, quoted, p->end);
	ports = (void *)p->eth + (q.off & MAX_OFFSET);
	if (!icmp_quote_fits(p, &q) || (void *)ports + QUOTED_L4 > p->end)
		return 0;
	p->icmp_off = p->l4_off;
	p->quoted_off = q.off;
	p->t.saddr = q.daddr;
	p->t.proto = q.proto;
	p->t.sport_be = ports[1];
	p->t.dport_be = ports[0];
	return 1;
}
