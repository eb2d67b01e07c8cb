/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every struct and number that the program shares with Go. Fixed widths,
 * explicit padding; fields in network byte order end in _be. bpf2go turns
 * these into Go types; dataplane/xdp/abi.go is the one file that converts.
 */
#pragma once

#include <linux/types.h>

/* An IPv6 address, or an IPv4 one mapped into ::ffff:0:0/96 (RFC 4291, 2.5.5.2). */
struct addr {
	__u8 octets[16];
} __attribute__((aligned(4)));
_Static_assert(sizeof(struct addr) == 16, "abi");

/*
 * What was decided about a packet. One counter each, one XDP action each (see
 * verdict_action in balancer.bpf.c). dataplane/verdict.go has the same list
 * with a line of explanation for people.
 */
enum verdict {
	VERDICT_CONTINUE, /* not decided yet; never counted */

	VERDICT_PASS_NOT_OURS,
	VERDICT_PASS_LOCAL,
	VERDICT_PASS_DIRECT,
	VERDICT_PASS_UNRESOLVED,
	VERDICT_PASS_FRAGMENT_NEEDED,

	VERDICT_SEND_BACK,
	VERDICT_REDIRECT,
	VERDICT_ANSWER_TIME_EXCEEDED,
	VERDICT_ANSWER_TOO_BIG,

	VERDICT_DROP_TRUNCATED,
	VERDICT_DROP_BAD_HEADER,
	VERDICT_DROP_BAD_LENGTH,
	VERDICT_DROP_BAD_CHECKSUM,
	VERDICT_DROP_TTL_ZERO,
	VERDICT_DROP_TTL_EXPIRED,
	VERDICT_DROP_TOO_BIG,
	VERDICT_DROP_FRAGMENT,
	VERDICT_DROP_BAD_SOURCE,
	VERDICT_DROP_NO_SERVICE,
	VERDICT_DROP_NO_BACKEND,
	VERDICT_DROP_REPLY_CONFLICT,
	VERDICT_DROP_INTERNAL,

	VERDICT_COUNT,
};

/* The key of services and origins. The pad is always 0. */
struct endpoint {
	struct addr addr;
	__be16 port_be;
	__u8 proto;
	__u8 pad;
};
_Static_assert(sizeof(struct endpoint) == 20, "abi");

enum track {
	TRACK_MOVED,
	TRACK_ALWAYS,
	TRACK_NEVER,
};

/* What a client addresses: one VIP, port and protocol. */
struct service {
	__u32 id;	     /* 1-based */
	__u32 ring;	     /* index into rings */
	__u32 idle_ticks;    /* silence after which an established flow ended */
	__u8 mode;	     /* dataplane.Mode; 1 = nat */
	__u8 track;	     /* enum track */
	__u8 shared_replies; /* 1: replies need a flow entry to find back */
	__u8 pad;
};
_Static_assert(sizeof(struct service) == 16, "abi");

enum next_hop_kind {
	NEXT_HOP_UNKNOWN, /* leave it to the kernel, rewritten */
	NEXT_HOP_NEIGHBOR,
	NEXT_HOP_LOCAL, /* an address of the box itself */
};

/* A resolved way out: the interface and the whole Ethernet header. */
struct next_hop {
	__u32 ifindex;
	__u16 vlan; /* 802.1Q id in host order, 0 = untagged */
	__u16 mtu;  /* bytes of IP packet, 0 = unlimited */
	__u8 dst[6];
	__u8 src[6];
	__u8 kind; /* enum next_hop_kind */
	__u8 pad[3];
};
_Static_assert(sizeof(struct next_hop) == 24, "abi");

/* One backend of a pool; fills a cache line so that a hit costs one. */
struct backend {
	struct addr addr;
	struct next_hop next;
	__be16 port_be;
	__u8 alive; /* 0: flows that remember it are picked anew */
	__u8 pad[21];
};
_Static_assert(sizeof(struct backend) == 64, "abi");

/* A backend's address and port as the source of replies. */
struct origin {
	struct addr vip;    /* valid iff !shared */
	__be16 vip_port_be; /* valid iff !shared */
	__u8 shared;	    /* several services: the flow table knows which */
	__u8 pad;
	__u32 id;      /* 1-based, below SCOPE_REPLY */
	__u32 service; /* valid iff !shared */
	__u32 backend; /* valid iff !shared */
	/*
	 * A client spoke to this backend's own address: ask the flow table
	 * before rewriting. Set by the program, cleared by control.
	 */
	__u32 direct;
	__u32 idle_ticks; /* of its services, the longest */
};
_Static_assert(sizeof(struct origin) == 40, "abi");

/*
 * Where a ring lies in the slots array: a header, then size slots. The header
 * is a slot too: it holds the span of the ring before the last change of size
 * (current = offset, settled = size), valid while slots say
 * SLOT_SETTLED_IN_OLD. Written by one 8-byte store and read by one load, so
 * that a ring is swapped as a whole.
 */
struct ring {
	__u32 offset; /* of the header */
	__u32 size;   /* 0 = no ring */
};
_Static_assert(sizeof(struct ring) == 8, "abi");

/* One slot of a ring; see pick.h for the rules. Written by one 8-byte store. */
struct slot {
	__u32 current; /* backend of new flows, 0 = none */
	__u32 settled; /* backend of older flows, with SLOT_ASK */
};
_Static_assert(sizeof(struct slot) == 8, "abi");

enum slot_bits {
	SLOT_SETTLED_IN_OLD = 0x7fffffff,
	SLOT_ASK = 0x80000000, /* in settled: ask the flow table first */
};

enum flow_state {
	FLOW_NEW, /* one packet so far: the first to make room */
	FLOW_ESTABLISHED,
	FLOW_CLOSING, /* a FIN or RST was seen */
};

/* The kinds of scope besides a bare service id. */
enum flow_scope {
	SCOPE_REPLY = 0x40000000,  /* origin id: entry says the service */
	SCOPE_DIRECT = 0x80000000, /* origin id: entry exempts replies */
};

/* One remembered flow. The key is (client, client_port_be, scope). */
struct flow {
	struct addr client;
	__u32 scope; /* service id, or origin id with SCOPE_*; 0 = empty */
	__u32 value; /* backend id; for SCOPE_REPLY the service id */
	__u32 expires_ticks; /* the flow has ended when now is past it */
	__be16 client_port_be;
	__u8 state; /* enum flow_state */
	__u8 pad;
};
_Static_assert(sizeof(struct flow) == 32, "abi");

enum flow_table {
	FLOW_WAYS = 7,	/* entries of a bucket */
	FLOW_CHAIN = 4, /* buckets an entry may be in */
};

/* Four cache lines: tags and the first flow share one. */
struct flow_bucket {
	__u32 lock; /* 1 while a CPU inserts */
	/* An entry whose first choice is here lives elsewhere until then. */
	__u32 overflow_ticks;
	__u16 tag[FLOW_WAYS]; /* 0 = empty */
	__u16 pad[5];
	struct flow flow[FLOW_WAYS];
};
_Static_assert(sizeof(struct flow_bucket) == 256, "abi");
_Static_assert(__builtin_offsetof(struct flow_bucket, flow) ==
		       sizeof(struct flow),
	       "bucket_entry counts the header as an entry");

/* What the fragments of one packet have in common. */
struct fragment_key {
	struct addr saddr;
	struct addr daddr;
	__u32 id;   /* as it lies in the packet; IPv4 uses 16 bits */
	__u8 proto; /* IPv4 only: IPv6 tells fragments apart without it */
	__u8 pad[3];
};
_Static_assert(sizeof(struct fragment_key) == 40, "abi");

/* What the first fragment says for the later ones. */
struct fragment_first {
	__be16 sport_be;
	__be16 dport_be;
	__u32 expires_ticks;
	__u8 proto;
	__u8 pad[3];
};
_Static_assert(sizeof(struct fragment_first) == 12, "abi");

/* A device that carries the program, by its ifindex. mac 0 = not ours. */
struct interface {
	__u8 mac[6];
	__u8 has_addr4;
	__u8 has_addr6;
	struct addr addr4; /* sources of the ICMP errors sent from here */
	struct addr addr6;
};
_Static_assert(sizeof(struct interface) == 40, "abi");

/* Key of routes: bits of the (mapped) address that count, then the address. */
struct route_key {
	__u32 prefixlen;
	struct addr addr;
};
_Static_assert(sizeof(struct route_key) == 20, "abi");

struct count {
	__u64 packets;
	__u64 bytes; /* of whole frames as they came in */
};

struct backend_count {
	struct count forwarded;
	struct count returned;
};

struct flow_table_count {
	__u64 inserted;
	__u64 evicted;
	__u64 refused; /* every place taken by a confirmed flow */
	__u64 busy;    /* another CPU held the bucket */
};

/* Token bucket for the ICMP errors a CPU may send. */
struct answer_budget {
	__u64 refilled_ns;
	__u64 tokens;
};
