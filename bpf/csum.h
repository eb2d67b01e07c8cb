/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Internet checksum arithmetic (RFC 1071), updated instead of recomputed
 * (RFC 1624): a difference collects ~old + new and is then added once.
 */
#pragma once

#include <linux/types.h>

/* Adds the replacement of one 32-bit (or narrower) word to a difference.
 * 16-bit words go in as they lie in memory, not shifted. */
static __always_inline __u64 csum_diff4(__u64 diff, __u32 from, __u32 to)
{
	return diff + (__u32)~from + to;
}

static __always_inline __u64 csum_diff2(__u64 diff, __u16 from, __u16 to)
{
	return diff + (__u16)~from + to;
}

/* Folds a sum of up to 2^16 words to 16 bits, carries end-around. */
static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The checksum field after diff has been applied to what it covers. */
static __always_inline __u16 csum_apply(__u16 check, __u64 diff)
{
	return ~csum_fold((__u16)~check + diff);
}
