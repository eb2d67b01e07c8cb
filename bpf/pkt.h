/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet as the stages see it: parse.h fills it, the others read it, only
 * rewrite_*.h and transmit.h change packet bytes.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "abi.h"

enum protocol {
	PROTO_HOP_BY_HOP = 0, /* IPv6 only, as are the next three */
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AUTH = 51,
	PROTO_ICMP6 = 58,
	PROTO_DEST_OPTIONS = 60,
};

enum ip4_frag {
	IP4_DF = 0x4000,
	IP4_MF = 0x2000,
	IP4_OFFSET = 0x1fff,
};

enum pkt_limit {
	MAX_OFFSET = 0x3fff, /* no header starts later in a frame */
	MAX_L2 = 0x1f,	     /* no IP header starts later */
};

enum fragment {
	FRAGMENT_NONE,
	FRAGMENT_FIRST, /* has the ports */
	FRAGMENT_LATER, /* fragment.h recalls them */
};

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

/*
 * Who speaks to whom: all that the flow, pick and reply stages look at. It has
 * no pointers into the packet, so it can be handed to global functions, which
 * the verifier checks once instead of on every path that leads to them.
 *
 * An ICMP error about a packet is seen as a packet of the other direction:
 * this is the quoted packet's, reversed.
 */
struct tuple {
	struct addr saddr;
	struct addr daddr;
	__be16 sport_be; /* valid iff proto is TCP or UDP */
	__be16 dport_be;
	__u8 family;	/* 4 or 6 */
	__u8 proto;	/* IP protocol */
	__u8 tcp_flags; /* of a TCP header; else 0 */
	__u8 pad;
};

static __always_inline int tuple_has_ports(const struct tuple *t)
{
	return t->proto == PROTO_TCP || t->proto == PROTO_UDP;
}

struct pkt {
	struct xdp_md *ctx;
	void *end; /* first byte past the frame */
	struct ethhdr *eth;
	void *l3;	   /* struct iphdr or ipv6hdr, as family says */
	void *l4;	   /* TCP or UDP header; NULL in a later fragment */
	struct tuple t;	   /* addresses once parse said more than NOT_OURS */
	__u16 frame_len;   /* bytes of the frame as it came in */
	__u16 l2_len;	   /* bytes before the IP header */
	__u16 l3_len;	   /* bytes of the IP packet, header included */
	__u16 l4_off;	   /* where what the IP packet carries starts */
	__u16 icmp_off;	   /* where an ICMP error starts; 0 = this is none */
	__u16 quoted_off;  /* of the TCP or UDP header quoted; valid iff icmp */
	__u32 fragment_id; /* valid iff fragment */
	__u8 fragment;	   /* enum fragment */
	__u8 dont_fragment; /* IPv6, or the DF bit */
	__u8 ttl;
};

/* The head of an ICMP error; both versions share the layout. */
struct icmp_error {
	__u8 type;
	__u8 code;
	__u16 check;
	__be32 mtu_be; /* too big: IPv4 uses its lower half (RFC 1191, 4) */
};

enum icmp_type {
	ICMP4_UNREACHABLE = 3,
	ICMP4_CODE_TOO_BIG = 4,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_PARAMETER_PROBLEM = 4,
};

static __always_inline void addr_from4(struct addr *a, __be32 addr_be)
{
	__u32 *w = (__u32 *)a;

	w[0] = 0;
	w[1] = 0;
	w[2] = bpf_htonl(0xffff);
	w[3] = addr_be;
}

/* Whether an address has the form that IPv4 addresses have here. */
static __always_inline int addr_is_mapped(const struct addr *a)
{
	const __u32 *w = (const __u32 *)a;

	return !(w[0] | w[1] | (w[2] ^ bpf_htonl(0xffff)));
}

static __always_inline __be32 addr_to4(const struct addr *a)
{
	return ((const __u32 *)a)[3];
}

static __always_inline int addr_equal(const struct addr *a,
				      const struct addr *b)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]));
}

/* Whether an address can be that of one host on a network: not unspecified,
 * loopback or multicast (RFC 1122, 3.2.1.3; RFC 4291, 2.5 to 2.7). */
static __always_inline int addr_is_host(__u8 family, const struct addr *a)
{
	const __u32 *w = (const __u32 *)a;
	__u8 first = family == 4 ? a->octets[12] : a->octets[0];

	if (family == 4)
		return first && first != 127 && first < 224;
	return first != 0xff && (w[0] | w[1] | w[2]);
}
