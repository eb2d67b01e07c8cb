/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPv6 extension headers (RFC 8200, 4), of a packet and of one that an ICMP
 * error quotes.
 */
#pragma once

#include "pkt.h"

/* The bytes that every extension header starts with. */
struct ip6_extension {
	__u8 next;
	__u8 len;
	__be16 fragment_be; /* offset and M flag; fragment header only */
	__be32 fragment_id; /* fragment header only */
};

enum ip6_limit {
	IP6_MAX_EXTENSIONS = 6,
	IP6_FRAGMENT_OFFSET = 0xfff8,
};

/* Where a walk over extension headers is. */
struct ip6_chain {
	__u32 fragment_id;
	__u16 off; /* of the next header in the frame */
	__u16 end; /* of the IP packet in the frame */
	__u8 proto;
	__u8 fragment; /* enum fragment */
	__u16 pad;
};

/* Bytes of an extension header, 0 if proto is none that is walked over. */
static __always_inline __u32 ip6_extension_len(__u8 proto,
					       const struct ip6_extension *x)
{
	switch (proto) {
	case PROTO_HOP_BY_HOP:
	case PROTO_DEST_OPTIONS:
		return (x->len + 1) * 8;
	case PROTO_ROUTING:
		/* Segments left: the destination is not the last. */
		return bpf_ntohs(x->fragment_be) & 0xff ? 0 : (x->len + 1) * 8;
	case PROTO_AUTH:
		return (x->len + 2) * 4;
	case PROTO_FRAGMENT:
		return sizeof(*x);
	}
	return 0;
}

static __always_inline void ip6_note_fragment(struct ip6_chain *c,
					      const struct ip6_extension *x)
{
	__u16 field = bpf_ntohs(x->fragment_be);

	/* Neither offset nor M: an atomic fragment, whole (RFC 6946). */
	if (!(field & (IP6_FRAGMENT_OFFSET | 1)))
		return;
	c->fragment_id = x->fragment_id;
	c->fragment = field & IP6_FRAGMENT_OFFSET ? FRAGMENT_LATER
						  : FRAGMENT_FIRST;
}

/*
 * Walks to what the extension headers carry; stops at what it does not know
 * or cannot see. Past the header of a later fragment lies only data. Global,
 * so that the verifier looks at it once.
 */
__noinline int ip6_walk(struct xdp_md *ctx, struct ip6_chain *c)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ip6_extension *x;
	__u32 len;
	int i;

	if (!c)
		return VERDICT_DROP_INTERNAL;
	for (i = 0; i < IP6_MAX_EXTENSIONS; i++) {
		x = data + (c->off & MAX_OFFSET);
		if (c->fragment == FRAGMENT_LATER ||
		    c->off + sizeof(*x) > c->end || (void *)(x + 1) > end)
			break;
		len = ip6_extension_len(c->proto, x);
		if (!len)
			break;
		if (c->off + len > c->end)
			return VERDICT_DROP_BAD_LENGTH;
		if (c->proto == PROTO_FRAGMENT)
			ip6_note_fragment(c, x);
		c->proto = x->next;
		c->off += len;
	}
	return VERDICT_CONTINUE;
}
