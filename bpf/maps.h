/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map: key -> value, who writes it, what full means. Sizes stand here as
 * 1 and are set by dataplane/xdp before load, from the config.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

enum map_flags {
	MAP_MMAPABLE = 1 << 10,	  /* BPF_F_MMAPABLE */
	MAP_NO_PREALLOC = 1 << 0, /* BPF_F_NO_PREALLOC */
};

/* (VIP, port, protocol) -> service. Control writes; sized so it never fills. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct endpoint);
	__type(value, struct service);
} services SEC(".maps");

/* service id -> its key: where replies of a shared origin came from; protocol
 * 0 = no service has the id. Control writes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct endpoint);
} service_keys SEC(".maps");

/* VIP -> 1, also for VIPs without services. Control writes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct addr);
	__type(value, __u32);
} vips SEC(".maps");

/* (backend address, port, protocol) -> origin. Control writes; the program
 * sets origin.direct. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct endpoint);
	__type(value, struct origin);
} origins SEC(".maps");

/* backend id -> backend. Control writes; id 0 stays empty. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, MAP_MMAPABLE);
	__type(key, __u32);
	__type(value, struct backend);
} backends SEC(".maps");

/* ring id -> where its slots lie. Control writes through mapped memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, MAP_MMAPABLE);
	__type(key, __u32);
	__type(value, struct ring);
} rings SEC(".maps");

/* The rings: headers and slots. Control fills a free span, then points a ring at
 * it; a span is filled again only when no program can still be reading it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, MAP_MMAPABLE);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

/* Remembered flows. The program writes, control reads through mapped memory.
 * Full: see flow.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, MAP_MMAPABLE);
	__type(key, __u32);
	__type(value, struct flow_bucket);
} flow_buckets SEC(".maps");

/* Destination -> next hop, longest prefix first: the way back to clients.
 * Control writes; what does not fit is left to the kernel. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, MAP_NO_PREALLOC);
	__type(key, struct route_key);
	__type(value, struct next_hop);
} routes SEC(".maps");

/* ifindex -> interface. Control writes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct interface);
} interfaces SEC(".maps");

/* ifindex -> the same ifindex, where a frame can be sent by redirect. Control
 * writes; a device that is missing gets its frames from the kernel. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tx_devices SEC(".maps");

/* (source, destination, protocol, id) -> what the first fragment said. The
 * program writes; full means that the oldest go. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct fragment_key);
	__type(value, struct fragment_first);
} fragments SEC(".maps");

/* verdict -> packets and bytes. The program writes. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICT_COUNT);
	__type(key, enum verdict);
	__type(value, struct count);
} verdict_counts SEC(".maps");

/* backend id -> packets and bytes each way. The program writes. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct backend_count);
} backend_counts SEC(".maps");

/* 0 -> what happened to the flow table. The program writes. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_table_count);
} flow_counts SEC(".maps");

/* 0 -> ICMP errors this CPU may still send. The program writes. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct answer_budget);
} answer_budgets SEC(".maps");
