/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stage 5, ICMP errors in mode nat: the quoted packet becomes the one its
 * sender knows, and the error comes from the VIP where it came from the
 * backend itself; routers on the way keep their address, so that traceroute
 * shows them. All checksums inside and outside follow (RFC 5508, 4.2).
 */
#pragma once

#include "csum.h"
#include "parse_icmp.h"
#include "pkt.h"
#include "rewrite_nat.h"

enum quoted_check {
	TCP_CHECK = 16, /* offsets of the checksum in the transport header */
	UDP_CHECK = 6,
};

/* An ICMP error and what becomes of it. */
struct icmp_rewrite {
	struct rewrite to;
	struct addr from; /* the address that is replaced */
	__u16 l3_off;
	__u16 icmp_off;
	__u16 quoted_off; /* of the TCP or UDP header */
	__u16 end;	  /* of the IP packet */
	__u8 family;
	__u8 proto;
	__u8 outer; /* 1: the error's own address changes too */
	__u8 pad;
};

/*
 * Sets an address of an IP header; source says which. Returns what that
 * changed as seen by a checksum over the whole header: IPv4's own checksum
 * makes up for the address.
 */
static __always_inline __u64 quoted_ip4(const struct icmp_rewrite *w,
					struct iphdr *ip, int source)
{
	__be32 to = addr_to4(&w->to.addr);
	__be32 from = source ? ip->saddr : ip->daddr;
	__u64 diff = csum_diff4(0, from, to);
	__u16 check = ip->check;

	if (source)
		ip->saddr = to;
	else
		ip->daddr = to;
	ip->check = csum_apply(check, diff);
	return csum_diff2(diff, check, ip->check);
}

static __always_inline __u64 quoted_ip6(const struct icmp_rewrite *w,
					struct ipv6hdr *ip, int source)
{
	if (source)
		__builtin_memcpy(&ip->saddr, &w->to.addr, sizeof(ip->saddr));
	else
		__builtin_memcpy(&ip->daddr, &w->to.addr, sizeof(ip->daddr));
	return rewrite_addr_diff(&w->from, &w->to.addr);
}

/* The quoted transport header: port, and checksum where it is quoted. */
static __always_inline __u64 quoted_l4(const struct icmp_rewrite *w, void *l4,
				       void *end)
{
	__be16 *port = (__be16 *)l4 + (w->to.source ? 1 : 0);
	__u16 at = w->proto == PROTO_TCP ? TCP_CHECK : UDP_CHECK;
	__u16 *check = l4 + at;
	__u64 diff = csum_diff2(0, *port, w->to.port_be);
	__u16 was;

	*port = w->to.port_be;
	/* What lies past the IP packet is padding, not its checksum. */
	if (w->quoted_off + at + sizeof(*check) > w->end ||
	    (void *)(check + 1) > end)
		return diff;
	was = *check;
	if (w->proto == PROTO_UDP && !was)
		return diff;
	*check = csum_apply(was,
			    diff + rewrite_addr_diff(&w->from, &w->to.addr));
	if (w->proto == PROTO_UDP && !*check)
		*check = 0xffff;
	return csum_diff2(diff, was, *check);
}

/* The frame's own IP header: the address where it is ours, and the hop. */
static __always_inline void outer_ip4(const struct icmp_rewrite *w,
				      struct iphdr *ip)
{
	if (w->outer)
		quoted_ip4(w, ip, w->to.source);
	if (w->to.hop) {
		ip->ttl--;
		ip->check = csum_apply(ip->check,
				       csum_diff2(0, bpf_htons(0x0100), 0));
	}
}

static __always_inline enum verdict rewrite_icmp4(struct xdp_md *ctx,
						  const struct icmp_rewrite *w)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + (w->l3_off & MAX_OFFSET);
	struct icmp_error *icmp = data + (w->icmp_off & MAX_OFFSET);
	struct iphdr *quoted = (void *)(icmp + 1);
	void *l4 = data + (w->quoted_off & MAX_OFFSET);
	__u64 diff;

	if ((void *)(ip + 1) > end || (void *)(quoted + 1) > end ||
	    l4 + QUOTED_L4 > end)
		return VERDICT_DROP_INTERNAL;
	outer_ip4(w, ip);
	diff = quoted_ip4(w, quoted, !w->to.source);
	diff += quoted_l4(w, l4, end);
	icmp->check = csum_apply(icmp->check, diff);
	return VERDICT_CONTINUE;
}

static __always_inline enum verdict rewrite_icmp6(struct xdp_md *ctx,
						  const struct icmp_rewrite *w)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + (w->l3_off & MAX_OFFSET);
	struct icmp_error *icmp = data + (w->icmp_off & MAX_OFFSET);
	struct ipv6hdr *quoted = (void *)(icmp + 1);
	void *l4 = data + (w->quoted_off & MAX_OFFSET);
	__u64 diff = 0;

	if ((void *)(ip + 1) > end || (void *)(quoted + 1) > end ||
	    l4 + QUOTED_L4 > end)
		return VERDICT_DROP_INTERNAL;
	/* ICMPv6 covers the outer addresses too (RFC 4443, 2.3). */
	if (w->outer)
		diff = quoted_ip6(w, ip, w->to.source);
	ip->hop_limit -= w->to.hop;
	diff += quoted_ip6(w, quoted, !w->to.source);
	diff += quoted_l4(w, l4, end);
	icmp->check = csum_apply(icmp->check, diff);
	return VERDICT_CONTINUE;
}

/* Global, so that the verifier looks at it once and not on every path. */
__noinline int rewrite_error(struct xdp_md *ctx, const struct icmp_rewrite *w)
{
	if (!w)
		return VERDICT_DROP_INTERNAL;
	return w->family == 4 ? rewrite_icmp4(ctx, w) : rewrite_icmp6(ctx, w);
}

/* Whether the error comes from the backend itself, or goes to the VIP. */
static __always_inline int icmp_outer_changes(const struct pkt *p,
					      const struct rewrite *r)
{
	struct addr sender;

	if (!r->source)
		return 1;
	if (p->t.family == 4 && p->l3 + sizeof(struct iphdr) <= p->end) {
		addr_from4(&sender, ((struct iphdr *)p->l3)->saddr);
		return addr_equal(&sender, &p->t.saddr);
	}
	if (p->t.family == 6 && p->l3 + sizeof(struct ipv6hdr) <= p->end) {
		__builtin_memcpy(&sender, &((struct ipv6hdr *)p->l3)->saddr,
				 sizeof(sender));
		return addr_equal(&sender, &p->t.saddr);
	}
	return 0;
}

static __noinline enum verdict rewrite_icmp(const struct pkt *p,
					    const struct rewrite *r)
{
	struct icmp_rewrite w = {
		.to = *r,
		.from = r->source ? p->t.saddr : p->t.daddr,
		.l3_off = p->l2_len,
		.icmp_off = p->icmp_off,
		.quoted_off = p->quoted_off,
		.end = p->l2_len + p->l3_len,
		.family = p->t.family,
		.proto = p->t.proto,
	};

	w.outer = icmp_outer_changes(p, r);
	return rewrite_error(p->ctx, &w);
}
