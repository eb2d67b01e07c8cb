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
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_FRAGMENT = 44,
	PROTO_ICMP6 = 58,
};

enum ip4_frag {
	IP4_DF = 0x4000,
	IP4_MF = 0x2000,
	IP4_OFFSET = 0x1fff,
};

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

struct pkt {
	struct xdp_md *ctx;
	void *end; /* first byte past the frame */
	struct ethhdr *eth;
	void *l3;	   /* struct iphdr or ipv6hdr, as family says */
	void *l4;	   /* valid iff proto is TCP or UDP */
	struct addr saddr; /* valid once parse said more than NOT_OURS */
	struct addr daddr;
	__u16 frame_len; /* bytes of the frame as it came in */
	__u16 l2_len;	 /* bytes before the IP header */
	__u16 l3_len;	 /* bytes of the IP packet, header included */
	__u16 l4_len;	 /* bytes of the IP packet past its header */
	__be16 sport_be; /* valid iff proto is TCP or UDP */
	__be16 dport_be;
	__u8 family;	    /* 4 or 6 */
	__u8 proto;	    /* IP protocol; 0 for a fragment past the first */
	__u8 fragment;	    /* part of a fragmented packet */
	__u8 dont_fragment; /* IPv6, or the DF bit */
	__u8 ttl;
	__u8 tcp_flags; /* valid iff proto is TCP */
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
