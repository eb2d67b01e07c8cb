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
	v = pick(p, s, &c, &b);
	if (v != VERDICT_CONTINUE)
		return v;
	r.addr = b->addr;
	r.port_be = b->port_be;
	count_backend(c.backend, p, 0);
	return send(p, &r, &b->next);
}

/*
 * Whose reply a packet from a shared origin is: the service by the reply's
 * own entry, the backend by the flow's. Without one it is no service's.
 */
static __noinline enum verdict reply_shared(const struct pkt *p,
					    const struct origin *origin,
					    struct rewrite *r, __u32 *backend)
{
	const struct endpoint *vip;
	__u32 now = now_ticks();
	struct flow_key k;
	struct flow *f;
	__u32 service;

	flow_key_set(&k, &p->t.daddr, p->t.dport_be, SCOPE_REPLY | origin->id);
	f = flow_find(&k, now);
	if (!f)
		return VERDICT_PASS_DIRECT;
	service = f->value;
	vip = bpf_map_lookup_elem(&service_keys, &service);
	if (!vip)
		return VERDICT_DROP_INTERNAL;
	r->addr = vip->addr;
	r->port_be = vip->port_be;
	flow_key_set(&k, &p->t.daddr, p->t.dport_be, service);
	f = flow_find(&k, now);
	*backend = f ? f->value : 0;
	return VERDICT_CONTINUE;
}

/* Whether a client spoke to the origin's own address. */
static __noinline int reply_is_direct(const struct pkt *p,
				      const struct origin *origin)
{
	struct flow_key k;

	flow_key_set(&k, &p->t.daddr, p->t.dport_be, SCOPE_DIRECT | origin->id);
	return flow_find(&k, now_ticks()) != NULL;
}

/* A backend that resets ends the flow for the table too, if it is there. */
static __noinline void reply_reset(const struct pkt *p, __u32 service)
{
	__u32 now = now_ticks();
	struct flow_key k;
	struct flow *f;

	flow_key_set(&k, &p->t.daddr, p->t.dport_be, service);
	f = flow_find(&k, now);
	if (!f)
		return;
	f->state = FLOW_CLOSING;
	f->expires_ticks = now + cfg_closing_ticks;
}

/* What a reply is rewritten to, and whose it is. */
static __always_inline enum verdict reply_match(const struct pkt *p,
						const struct origin *origin,
						struct rewrite *r,
						__u32 *backend)
{
	r->source = 1;
	if (origin->shared)
		return reply_shared(p, origin, r, backend);
	if (origin->direct && reply_is_direct(p, origin))
		return VERDICT_PASS_DIRECT;
	if (p->t.proto == PROTO_TCP && p->t.tcp_flags & TCP_RST)
		reply_reset(p, origin->service);
	r->addr = origin->vip;
	r->port_be = origin->vip_port_be;
	*backend = origin->backend;
	return VERDICT_CONTINUE;
}

/* A packet from a backend's address and port. */
static __always_inline enum verdict reply(struct pkt *p,
					  const struct origin *origin)
{
	struct route_key to = {.prefixlen = 128, .addr = p->t.daddr};
	const struct next_hop unknown = {};
	const struct next_hop *next;
	struct rewrite r = {};
	__u32 backend = 0;
	enum verdict v;

	next = bpf_map_lookup_elem(&routes, &to);
	if (!next)
		next = &unknown;
	if (next->kind == NEXT_HOP_LOCAL)
		return VERDICT_PASS_LOCAL;
	v = reply_match(p, origin, &r, &backend);
	if (v != VERDICT_CONTINUE)
		return v;
	if (p->ttl <= 1)
		return answer_expired(p);
	count_backend(backend, p, 1);
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
	if (v != VERDICT_CONTINUE)
		return v;
	if (p->fragment == FRAGMENT_FIRST)
		fragment_remember(p);
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
