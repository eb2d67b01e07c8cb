/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet path. One entry; each stage is a header of its own and says how
 * it went with an enum verdict:
 *
 *   parse -> classify -> flow, pick -> rewrite -> transmit
 */
#include "answer.h"
#include "classify.h"
#include "config.h"
#include "fragment.h"
#include "maps.h"
#include "parse.h"
#include "pick.h"
#include "pkt.h"
#include "reply.h"
#include "rewrite_icmp.h"
#include "rewrite_nat.h"
#include "transmit.h"

static __always_inline void count_add(struct count *c, const struct pkt *p)
{
	c->packets++;
	c->bytes += p->frame_len;
}

static __always_inline void count_verdict(enum verdict v, const struct pkt *p)
{
	struct count *c = bpf_map_lookup_elem(&verdict_counts, &v);

	if (c)
		count_add(c, p);
}

static __always_inline void count_backend(__u32 id, const struct pkt *p,
					  int returned)
{
	struct backend_count *c = bpf_map_lookup_elem(&backend_counts, &id);

	if (c)
		count_add(returned ? &c->returned : &c->forwarded, p);
}

static __always_inline int verdict_action(enum verdict v)
{
	if (v <= VERDICT_PASS_FRAGMENT_NEEDED)
		return XDP_PASS;
	if (v == VERDICT_REDIRECT)
		return XDP_REDIRECT;
	if (v <= VERDICT_ANSWER_TOO_BIG)
		return XDP_TX;
	return XDP_DROP;
}

/*
 * Stages 5 and 6 for both directions. A packet that the kernel has to finish
 * keeps its TTL: the kernel takes the hop.
 */
static __always_inline enum verdict send(struct pkt *p, struct rewrite *r,
					 const struct next_hop *next)
{
	int fits = !next->mtu || p->l3_len <= next->mtu;
	enum verdict v;

	if (!fits && p->dont_fragment)
		return answer_too_big(p, next->mtu);
	r->hop = fits && next->kind == NEXT_HOP_NEIGHBOR;
	v = p->icmp_off ? rewrite_icmp(p, r) : rewrite_nat(p, r);
	if (v != VERDICT_CONTINUE)
		return v;
	return fits ? transmit(p, next) : VERDICT_PASS_FRAGMENT_NEEDED;
}

/* A packet from a client to a service. */
static __always_inline enum verdict forward(struct pkt *p,
					    const struct service *s)
{
	const struct backend *b = NULL;
	struct rewrite r = {};
	struct choice c = {};
	enum verdict v;

	if (!addr_is_host(p->t.family, &p->t.saddr) ||
	    addr_equal(&p->t.saddr, &p->t.daddr))
		return VERDICT_DROP_BAD_SOURCE;
	if (p->ttl <= 1)
		return answer_expired(p);
	v = pick(&p->t, s, &c, &b);
	if (v != VERDICT_CONTINUE)
		return v;
	r.addr = b->addr;
	r.port_be = b->port_be;
	count_backend(c.backend, p, 0);
	return send(p, &r, &b->next);
}

/* A packet from a backend's address and port. */
static __always_inline enum verdict reply(struct pkt *p,
					  const struct origin *origin)
{
	struct route_key to = {.prefixlen = 128, .addr = p->t.daddr};
	const struct next_hop unknown = {};
	const struct next_hop *next;
	struct rewrite r = {};
	struct reply_match m = {};
	enum verdict v;

	next = bpf_map_lookup_elem(&routes, &to);
	if (!next)
		next = &unknown;
	if (next->kind == NEXT_HOP_LOCAL)
		return VERDICT_PASS_LOCAL;
	v = reply_match(&p->t, origin, &m);
	if (v != VERDICT_CONTINUE)
		return v;
	r.source = 1;
	r.addr = m.vip;
	r.port_be = m.vip_port_be;
	if (p->ttl <= 1)
		return answer_expired(p);
	count_backend(m.backend, p, 1);
	return send(p, &r, next);
}

static __always_inline enum verdict process(struct xdp_md *ctx, struct pkt *p)
{
	struct match m = {};
	enum verdict v;

	v = parse(ctx, p);
	if (v != VERDICT_CONTINUE)
		return classify_trouble(p, v);
	v = classify(p, &m);
	/* The box's own sockets need the later fragments too. */
	if (p->fragment == FRAGMENT_FIRST &&
	    (v == VERDICT_CONTINUE || v == VERDICT_PASS_LOCAL))
		fragment_remember(&p->t, p->fragment_id);
	/* traceroute probes ports nobody uses: the box is a hop there too. */
	if (v == VERDICT_DROP_NO_SERVICE && p->ttl <= 1)
		return answer_expired(p);
	if (v != VERDICT_CONTINUE)
		return v;
	if (m.service)
		return forward(p, m.service);
	return m.origin ? reply(p, m.origin) : VERDICT_DROP_INTERNAL;
}

SEC("xdp")
int balancer(struct xdp_md *ctx)
{
	struct pkt p = {};
	enum verdict v = process(ctx, &p);

	count_verdict(v, &p);
	if (cfg_test)
		test_verdict = v;
	return verdict_action(v);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
