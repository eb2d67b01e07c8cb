/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors (RFC 792, RFC 4443): the flow they are about is that of the
 * packet they quote, seen from the other end.
 */
#pragma once

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

/* The quoted packet's addresses, reversed. Returns its header's length, or 0
 * where it quotes too little or a later fragment. */
static __always_inline __u32 icmp_inner_ip4(struct pkt *p, struct iphdr *ip,
					    struct addr *from)
{
	__u32 hlen;

	if ((void *)(ip + 1) > p->end)
		return 0;
	hlen = ip->ihl * 4;
	if (ip->version != 4 || hlen < sizeof(*ip) ||
	    ip->frag_off & bpf_htons(IP4_OFFSET))
		return 0;
	addr_from4(from, ip->saddr);
	addr_from4(&p->t.saddr, ip->daddr);
	p->t.proto = ip->protocol;
	return hlen;
}

static __always_inline __u32 icmp_inner_ip6(struct pkt *p, struct ipv6hdr *ip,
					    struct addr *from)
{
	if ((void *)(ip + 1) > p->end)
		return 0;
	if (ip->version != 6)
		return 0;
	__builtin_memcpy(from, &ip->saddr, sizeof(*from));
	__builtin_memcpy(&p->t.saddr, &ip->daddr, sizeof(p->t.saddr));
	p->t.proto = ip->nexthdr;
	return sizeof(*ip);
}

/*
 * Makes p the reverse of the packet that an ICMP error quotes; leaves what
 * matters of p as it was where this is none, or not about TCP or UDP, or was
 * not sent to the quoted packet's source.
 */
static __noinline int parse_icmp(struct pkt *p)
{
	struct addr from, outer = p->t.saddr;
	__u16 off = p->l4_off;
	__u8 outer_proto = p->t.proto;
	struct icmp_error *icmp = p->l4;
	void *quoted = icmp + 1;
	__be16 *ports;
	__u32 hlen;

	if (quoted > p->end || !icmp_is_error(p, icmp->type))
		return 0;
	hlen = p->t.family == 4 ? icmp_inner_ip4(p, quoted, &from)
				: icmp_inner_ip6(p, quoted, &from);
	ports = quoted + hlen;
	if (!hlen || (p->t.proto != PROTO_TCP && p->t.proto != PROTO_UDP) ||
	    !addr_equal(&from, &p->t.daddr) ||
	    (void *)ports + QUOTED_L4 > p->end) {
		p->t.saddr = outer;
		p->t.proto = outer_proto;
		return 0;
	}
	p->icmp_off = off;
	p->quoted_off = off + sizeof(*icmp) + hlen;
	p->t.sport_be = ports[1];
	p->t.dport_be = ports[0];
	return 1;
}
