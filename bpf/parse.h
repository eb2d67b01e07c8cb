/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stage 1: frame -> struct pkt. Returns CONTINUE, PASS_NOT_OURS where the
 * frame says too little to know whose it is, or a DROP_* that holds only if
 * the destination turns out to be a VIP (classify_trouble decides).
 */
#pragma once

#include "csum.h"
#include "fragment.h"
#include "parse_icmp.h"
#include "parse_ip6.h"
#include "pkt.h"

enum parse_limit {
	MAX_VLAN_TAGS = 2, /* 802.1Q inside 802.1ad */
	IP4_MIN_WORDS = 5,
	IP4_MAX_OPTION_WORDS = 10,
};

struct vlan_tag {
	__be16 tci_be;
	__be16 proto_be;
};

/* Skips Ethernet and up to two VLAN tags; proto_be is the EtherType inside. */
static __always_inline enum verdict parse_eth(struct pkt *p, __be16 *proto_be)
{
	struct vlan_tag *tag;
	int i;

	if ((void *)(p->eth + 1) > p->end)
		return VERDICT_PASS_NOT_OURS;
	*proto_be = p->eth->h_proto;
	p->l3 = p->eth + 1;
	p->l2_len = sizeof(*p->eth);
	for (i = 0; i < MAX_VLAN_TAGS; i++) {
		if (*proto_be != bpf_htons(ETH_P_8021Q) &&
		    *proto_be != bpf_htons(ETH_P_8021AD))
			break;
		tag = p->l3;
		if ((void *)(tag + 1) > p->end)
			return VERDICT_PASS_NOT_OURS;
		*proto_be = tag->proto_be;
		p->l3 = tag + 1;
		p->l2_len += sizeof(*tag);
	}
	return VERDICT_CONTINUE;
}

/* Sums the option words past a plain header; ip->ihl is at least 5. */
static __always_inline __u64 ip4_sum_options(const struct iphdr *ip, void *end)
{
	const __u32 *word = (const __u32 *)(ip + 1);
	__u64 sum = 0;
	int i;

	for (i = 0; i < IP4_MAX_OPTION_WORDS; i++, word++) {
		if (IP4_MIN_WORDS + i >= ip->ihl)
			break;
		if ((void *)(word + 1) > end)
			break;
		sum += *word;
	}
	return sum;
}

static __always_inline int ip4_checksum_ok(const struct iphdr *ip, void *end)
{
	const __u32 *word = (const __u32 *)ip;
	__u64 sum = (__u64)word[0] + word[1] + word[2] + word[3] + word[4];

	if (ip->ihl > IP4_MIN_WORDS)
		sum += ip4_sum_options(ip, end);
	return csum_fold(sum) == 0xffff;
}

static __always_inline enum verdict parse_ip4(struct pkt *p)
{
	struct iphdr *ip = p->l3;
	__u16 frag_off;
	__u32 hlen;

	if ((void *)(ip + 1) > p->end)
		return VERDICT_PASS_NOT_OURS;
	addr_from4(&p->t.saddr, ip->saddr);
	addr_from4(&p->t.daddr, ip->daddr);
	p->t.family = 4;
	p->ttl = ip->ttl;
	p->l3_len = bpf_ntohs(ip->tot_len);
	hlen = ip->ihl * 4;
	if (ip->version != 4 || hlen < sizeof(*ip))
		return VERDICT_DROP_BAD_HEADER;
	if (p->l3 + hlen > p->end)
		return VERDICT_DROP_TRUNCATED;
	if (p->l3_len < hlen || p->l3_len > p->end - p->l3)
		return VERDICT_DROP_BAD_LENGTH;
	if (!ip4_checksum_ok(ip, p->end))
		return VERDICT_DROP_BAD_CHECKSUM;
	if (!p->ttl)
		return VERDICT_DROP_TTL_ZERO;
	frag_off = bpf_ntohs(ip->frag_off);
	p->dont_fragment = !!(frag_off & IP4_DF);
	p->t.proto = ip->protocol;
	p->l4 = p->l3 + hlen;
	p->l4_off = p->l2_len + hlen;
	if (frag_off & (IP4_MF | IP4_OFFSET)) {
		p->fragment_id = ip->id;
		p->fragment = frag_off & IP4_OFFSET ? FRAGMENT_LATER
						    : FRAGMENT_FIRST;
	}
	return VERDICT_CONTINUE;
}

/* Bytes of the IP packet from l4 on. */
static __always_inline __u32 l4_len(const struct pkt *p)
{
	return p->l2_len + p->l3_len - p->l4_off;
}

/* Walks over extension headers to what they carry. A function of its own, for
 * the stack of the caller. */
static __noinline enum verdict parse_ip6_chain(struct pkt *p)
{
	struct ip6_chain c = {
		.off = p->l4_off,
		.end = p->l2_len + p->l3_len,
		.proto = p->t.proto,
	};
	int v = ip6_walk(p->ctx, &c);

	if (v != VERDICT_CONTINUE)
		return v;
	p->t.proto = c.proto;
	p->fragment = c.fragment;
	p->fragment_id = c.fragment_id;
	p->l4_off = c.off;
	/* From the number, so that the verifier sees one kind of pointer
	 * however many headers came before. */
	p->l4 = (void *)p->eth + (p->l4_off & MAX_OFFSET);
	return VERDICT_CONTINUE;
}

static __always_inline enum verdict parse_ip6(struct pkt *p)
{
	struct ipv6hdr *ip = p->l3;

	if ((void *)(ip + 1) > p->end)
		return VERDICT_PASS_NOT_OURS;
	__builtin_memcpy(&p->t.saddr, &ip->saddr, sizeof(p->t.saddr));
	__builtin_memcpy(&p->t.daddr, &ip->daddr, sizeof(p->t.daddr));
	/* No such packet belongs on a wire (RFC 4291, 2.5.5.2), and it must
	 * not pass for an IPv4 one. */
	if (addr_is_mapped(&p->t.saddr) || addr_is_mapped(&p->t.daddr))
		return VERDICT_PASS_NOT_OURS;
	p->t.family = 6;
	p->ttl = ip->hop_limit;
	if (ip->version != 6)
		return VERDICT_DROP_BAD_HEADER;
	if (sizeof(*ip) + bpf_ntohs(ip->payload_len) > p->end - p->l3)
		return VERDICT_DROP_BAD_LENGTH;
	p->l3_len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (!p->ttl)
		return VERDICT_DROP_TTL_ZERO;
	p->dont_fragment = 1;
	p->t.proto = ip->nexthdr;
	p->l4 = ip + 1;
	p->l4_off = p->l2_len + sizeof(*ip);
	return tuple_has_ports(&p->t) ? VERDICT_CONTINUE : parse_ip6_chain(p);
}

static __always_inline enum verdict parse_tcp(struct pkt *p)
{
	struct tcphdr *tcp = p->l4;

	if ((void *)(tcp + 1) > p->end || l4_len(p) < sizeof(*tcp))
		return VERDICT_DROP_TRUNCATED;
	if (tcp->doff * 4 < sizeof(*tcp))
		return VERDICT_DROP_BAD_HEADER;
	if (tcp->doff * 4 > l4_len(p))
		return VERDICT_DROP_BAD_LENGTH;
	p->t.sport_be = tcp->source;
	p->t.dport_be = tcp->dest;
	p->t.tcp_flags = ((__u8 *)tcp)[13];
	return VERDICT_CONTINUE;
}

static __always_inline enum verdict parse_udp(struct pkt *p)
{
	struct udphdr *udp = p->l4;
	__u16 len;

	if ((void *)(udp + 1) > p->end || l4_len(p) < sizeof(*udp))
		return VERDICT_DROP_TRUNCATED;
	len = bpf_ntohs(udp->len);
	/* The length of a fragmented datagram is that of the whole. */
	if (len < sizeof(*udp) || (len > l4_len(p) && !p->fragment))
		return VERDICT_DROP_BAD_LENGTH;
	p->t.sport_be = udp->source;
	p->t.dport_be = udp->dest;
	return VERDICT_CONTINUE;
}

/* Always 0, which the verifier does not know. */
volatile __u32 always_zero = 0;

/*
 * Computes the header pointers anew from their offsets. To the verifier there
 * is one kind of each then, whatever headers came before, and it checks what
 * follows half as often.
 */
static __always_inline void parse_point(struct pkt *p)
{
	void *frame = p->eth;

	p->l3 = frame + ((p->l2_len + always_zero) & MAX_L2);
	p->l4 = frame + ((p->l4_off + always_zero) & MAX_OFFSET);
}

static __always_inline enum verdict parse_l4(struct pkt *p)
{
	parse_point(p);
	if (p->fragment == FRAGMENT_LATER) {
		p->l4 = NULL;
		return fragment_recall(&p->t, p->fragment_id);
	}
	if (p->t.proto == PROTO_TCP)
		return parse_tcp(p);
	if (p->t.proto == PROTO_UDP)
		return parse_udp(p);
	if (p->t.proto == (p->t.family == 4 ? PROTO_ICMP : PROTO_ICMP6) &&
	    !p->fragment)
		parse_icmp(p);
	return VERDICT_CONTINUE;
}

static __always_inline enum verdict parse(struct xdp_md *ctx, struct pkt *p)
{
	enum verdict v;
	__be16 proto_be;

	p->ctx = ctx;
	p->end = (void *)(long)ctx->data_end;
	p->eth = (void *)(long)ctx->data;
	p->frame_len = p->end - (void *)p->eth;
	v = parse_eth(p, &proto_be);
	if (v != VERDICT_CONTINUE)
		return v;
	if (proto_be == bpf_htons(ETH_P_IP))
		v = parse_ip4(p);
	else if (proto_be == bpf_htons(ETH_P_IPV6))
		v = parse_ip6(p);
	else
		return VERDICT_PASS_NOT_OURS;
	if (v != VERDICT_CONTINUE)
		return v;
	return parse_l4(p);
}
