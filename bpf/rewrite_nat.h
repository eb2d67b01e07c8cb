/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stage 5, mode nat: towards a backend the destination is rewritten, towards
 * a client the source. Checksums follow by difference (RFC 1624); a UDP
 * checksum of 0 says "none" and stays (RFC 768).
 */
#pragma once

#include "csum.h"
#include "pkt.h"

/* One side of a packet: what an address and port become. */
struct rewrite {
	struct addr addr;
	__be16 port_be;
	__u8 source; /* 1: the source changes, 0: the destination */
	__u8 hop;    /* 1: this box forwards, so the TTL goes down */
};

/* The addresses' share of the checksum difference. */
static __always_inline __u64 rewrite_addr_diff(const struct addr *from,
					       const struct addr *to)
{
	const __u32 *f = (const __u32 *)from, *t = (const __u32 *)to;
	__u64 diff = 0;

	/* For two mapped IPv4 addresses the first words are equal and add
	 * up to nothing. */
	diff = csum_diff4(diff, f[0], t[0]);
	diff = csum_diff4(diff, f[1], t[1]);
	diff = csum_diff4(diff, f[2], t[2]);
	return csum_diff4(diff, f[3], t[3]);
}

static __always_inline void rewrite_ip4(struct pkt *p, const struct rewrite *r)
{
	struct iphdr *ip = p->l3;
	__be32 from = r->source ? ip->saddr : ip->daddr;
	__be32 to = addr_to4(&r->addr);
	__u64 diff = csum_diff4(0, from, to);

	if (r->source)
		ip->saddr = to;
	else
		ip->daddr = to;
	if (r->hop) {
		ip->ttl--;
		/* TTL is the upper byte of its 16-bit word. */
		diff = csum_diff2(diff, bpf_htons(0x0100), 0);
	}
	ip->check = csum_apply(ip->check, diff);
}

static __always_inline void rewrite_ip6(struct pkt *p, const struct rewrite *r)
{
	struct ipv6hdr *ip = p->l3;

	if (r->source)
		__builtin_memcpy(&ip->saddr, &r->addr, sizeof(ip->saddr));
	else
		__builtin_memcpy(&ip->daddr, &r->addr, sizeof(ip->daddr));
	ip->hop_limit -= r->hop;
}

static __always_inline void rewrite_tcp(struct pkt *p, const struct rewrite *r,
					__u64 diff)
{
	struct tcphdr *tcp = p->l4;

	if (r->source)
		tcp->source = r->port_be;
	else
		tcp->dest = r->port_be;
	tcp->check = csum_apply(tcp->check, diff);
}

static __always_inline void rewrite_udp(struct pkt *p, const struct rewrite *r,
					__u64 diff)
{
	struct udphdr *udp = p->l4;
	__u16 check;

	if (r->source)
		udp->source = r->port_be;
	else
		udp->dest = r->port_be;
	if (!udp->check)
		return;
	check = csum_apply(udp->check, diff);
	udp->check = check ? check : 0xffff;
}

/* The transport header, which a later fragment does not have. */
static __always_inline enum verdict rewrite_l4(struct pkt *p,
					       const struct rewrite *r)
{
	__be16 port_be = r->source ? p->t.sport_be : p->t.dport_be;
	__u64 diff;

	diff = rewrite_addr_diff(r->source ? &p->t.saddr : &p->t.daddr,
				 &r->addr);
	diff = csum_diff2(diff, port_be, r->port_be);
	/* parse checked the lengths; said again for the verifier. */
	if (p->t.proto == PROTO_TCP) {
		if (p->l4 + sizeof(struct tcphdr) > p->end)
			return VERDICT_DROP_INTERNAL;
		rewrite_tcp(p, r, diff);
	} else {
		if (p->l4 + sizeof(struct udphdr) > p->end)
			return VERDICT_DROP_INTERNAL;
		rewrite_udp(p, r, diff);
	}
	return VERDICT_CONTINUE;
}

/* Needs p's pointers as parse left them: no helper may have moved the frame. */
static __always_inline enum verdict rewrite_nat(struct pkt *p,
						const struct rewrite *r)
{
	enum verdict v = VERDICT_CONTINUE;

	if (p->l3 + sizeof(struct iphdr) > p->end)
		return VERDICT_DROP_INTERNAL;
	if (p->l4)
		v = rewrite_l4(p, r);
	if (v != VERDICT_CONTINUE)
		return v;
	if (p->t.family == 4)
		rewrite_ip4(p, r);
	else if (p->l3 + sizeof(struct ipv6hdr) <= p->end)
		rewrite_ip6(p, r);
	return VERDICT_CONTINUE;
}
