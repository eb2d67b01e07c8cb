/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ICMP errors the box sends itself: time exceeded and too big, for IPv4
 * (RFC 792, RFC 1191) and IPv6 (RFC 4443). The kernel would not send them: a
 * VIP is one of its own addresses, so it delivers instead of forwarding.
 */
#pragma once

#include "classify.h"
#include "config.h"
#include "csum.h"
#include "maps.h"
#include "pkt.h"

enum answer_limit {
	/* Bytes quoted of the offending packet. RFC 1812, 4.3.2.3 and RFC
	 * 4443, 2.4 want more; this holds every header chain we forward. */
	ANSWER_QUOTE = 128,
	ANSWER_L2 = 22, /* Ethernet and two VLAN tags */
	ANSWER_TTL = 64,
	ANSWER_TOS =
		0xc0, /* precedence internetwork control, RFC 1812, 4.3.2.5 */
	NS_PER_S = 1000000000,
};

/* What to answer. */
struct answer {
	__u16 mtu; /* too big iff not 0, else time exceeded */
	enum verdict sent;
	enum verdict silent; /* the verdict when no answer may be sent */
};

struct answer_l2 {
	__u8 bytes[ANSWER_L2];
};

/* Takes one answer from this CPU's budget, if there is one left. */
static __always_inline int answer_allowed(void)
{
	__u64 now = now_ns(), refill;
	struct answer_budget *b;
	__u32 zero = 0;

	b = bpf_map_lookup_elem(&answer_budgets, &zero);
	if (!b)
		return 0;
	refill = now - b->refilled_ns;
	if (refill >= NS_PER_S / 10) {
		b->refilled_ns = now;
		b->tokens += refill >= NS_PER_S ? cfg_answers_per_second
						: cfg_answers_per_second *
							  refill / NS_PER_S;
		if (b->tokens > cfg_answers_per_second)
			b->tokens = cfg_answers_per_second;
	}
	if (!b->tokens)
		return 0;
	b->tokens--;
	return 1;
}

/*
 * Never answer an ICMP error, a later fragment, or what does not come from a
 * single host (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
 */
static __always_inline int answerable(const struct pkt *p)
{
	return !p->icmp_off && p->fragment != FRAGMENT_LATER &&
	       addr_is_host(p->t.family, &p->t.saddr);
}

/* Sums up to ANSWER_QUOTE bytes from the ICMP header on. */
static __always_inline __u64 answer_sum(const void *from, const void *end)
{
	const __u32 *word = from;
	__u64 sum = 0;
	int i;

	for (i = 0; i < (ANSWER_QUOTE + 8) / 4; i++, word++) {
		if ((void *)(word + 1) > end)
			break;
		sum += *word;
	}
	return sum;
}

/* The box's own address towards the packet's sender, if it has one. */
static __always_inline const struct addr *answer_own(const struct pkt *p)
{
	const struct interface *in = ingress_interface(p);

	if (!in)
		return NULL;
	if (p->t.family == 4)
		return in->has_addr4 ? &in->addr4 : NULL;
	return in->has_addr6 ? &in->addr6 : NULL;
}

static __always_inline void answer_from(const struct pkt *p, struct addr *from)
{
	const struct addr *own = answer_own(p);

	/* Without an address of its own here the box speaks as the VIP. */
	*from = own ? *own : p->t.daddr;
}

static __always_inline void answer_ip4(const struct pkt *p,
				       const struct answer *a, struct iphdr *ip,
				       struct icmp_error *icmp, void *end)
{
	struct addr from;

	answer_from(p, &from);
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = ANSWER_TOS;
	ip->tot_len = bpf_htons(end - (void *)ip);
	ip->frag_off = bpf_htons(IP4_DF);
	ip->ttl = ANSWER_TTL;
	ip->protocol = PROTO_ICMP;
	ip->saddr = addr_to4(&from);
	ip->daddr = addr_to4(&p->t.saddr);
	ip->check = ~csum_fold(answer_sum(ip, ip + 1));
	icmp->type = a->mtu ? ICMP4_UNREACHABLE : ICMP4_TIME_EXCEEDED;
	icmp->code = a->mtu ? ICMP4_CODE_TOO_BIG : 0;
	icmp->check = 0;
	icmp->mtu_be = bpf_htonl(a->mtu);
	icmp->check = ~csum_fold(answer_sum(icmp, end));
}

static __always_inline void answer_ip6(const struct pkt *p,
				       const struct answer *a,
				       struct ipv6hdr *ip,
				       struct icmp_error *icmp, void *end)
{
	__u16 len = end - (void *)icmp;
	struct addr from;
	__u64 sum;

	answer_from(p, &from);
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 6;
	ip->payload_len = bpf_htons(len);
	ip->nexthdr = PROTO_ICMP6;
	ip->hop_limit = ANSWER_TTL;
	__builtin_memcpy(&ip->saddr, &from, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &p->t.saddr, sizeof(ip->daddr));
	icmp->type = a->mtu ? ICMP6_TOO_BIG : ICMP6_TIME_EXCEEDED;
	icmp->code = 0;
	icmp->check = 0;
	icmp->mtu_be = bpf_htonl(a->mtu);
	/* The pseudo header of RFC 8200, 8.1. */
	sum = answer_sum(&ip->saddr, icmp);
	sum += bpf_htonl(len) + (__u64)bpf_htonl(PROTO_ICMP6);
	icmp->check = ~csum_fold(sum + answer_sum(icmp, end));
}

/* Cuts the frame to what is quoted and makes room for the new headers. */
static __always_inline int answer_reshape(struct pkt *p, __u32 l2_len,
					  __u32 headers)
{
	__u32 quote = p->l3_len & ~3U;

	if (quote > ANSWER_QUOTE)
		quote = ANSWER_QUOTE;
	if (bpf_xdp_adjust_tail(p->ctx, (int)(l2_len + quote - p->frame_len)))
		return 0;
	if (bpf_xdp_adjust_head(p->ctx, -(int)headers))
		return 0;
	p->eth = (void *)(long)p->ctx->data;
	p->end = (void *)(long)p->ctx->data_end;
	return 1;
}

/* Turns the frame around: the old L2 header with the addresses swapped. */
static __always_inline void answer_l2(struct ethhdr *eth,
				      const struct answer_l2 *l2)
{
	__builtin_memcpy(eth, l2, sizeof(*l2));
	__builtin_memcpy(eth->h_dest, &l2->bytes[ETH_ALEN], ETH_ALEN);
	__builtin_memcpy(eth->h_source, &l2->bytes[0], ETH_ALEN);
}

/* Builds the error in place of the packet, to be sent back where it came
 * from. */
static __noinline enum verdict answer_build(struct pkt *p,
					    const struct answer *a)
{
	__u32 l2_len = p->l2_len;
	__u32 headers = sizeof(struct icmp_error) +
			(p->t.family == 4 ? sizeof(struct iphdr)
					  : sizeof(struct ipv6hdr));
	struct answer_l2 l2;
	void *l3;

	if (l2_len > ANSWER_L2 || (void *)p->eth + ANSWER_L2 > p->end)
		return VERDICT_DROP_INTERNAL;
	__builtin_memcpy(&l2, p->eth, sizeof(l2));
	if (!answer_reshape(p, l2_len, headers))
		return VERDICT_DROP_INTERNAL;
	if ((void *)p->eth + ANSWER_L2 > p->end)
		return VERDICT_DROP_INTERNAL;
	answer_l2(p->eth, &l2);
	l3 = (void *)p->eth + l2_len;
	if (l3 + sizeof(struct ipv6hdr) + sizeof(struct icmp_error) > p->end)
		return VERDICT_DROP_INTERNAL;
	if (p->t.family == 4)
		answer_ip4(p, a, l3, l3 + sizeof(struct iphdr), p->end);
	else
		answer_ip6(p, a, l3, l3 + sizeof(struct ipv6hdr), p->end);
	return a->sent;
}

static __always_inline enum verdict answer(struct pkt *p,
					   const struct answer *a)
{
	if (!answerable(p) || !(answer_own(p) || is_vip(&p->t.daddr)) ||
	    !answer_allowed())
		return a->silent;
	return answer_build(p, a);
}

/* The packet's last hop was this box. */
static __always_inline enum verdict answer_expired(struct pkt *p)
{
	const struct answer a = {
		.sent = VERDICT_ANSWER_TIME_EXCEEDED,
		.silent = VERDICT_DROP_TTL_EXPIRED,
	};

	return answer(p, &a);
}

/* The packet does not fit the next link and must not be cut. */
static __always_inline enum verdict answer_too_big(struct pkt *p, __u16 mtu)
{
	const struct answer a = {
		.mtu = mtu,
		.sent = VERDICT_ANSWER_TOO_BIG,
		.silent = VERDICT_DROP_TOO_BIG,
	};

	return answer(p, &a);
}
