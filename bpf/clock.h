/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packet path's time, and how it is compared. */
#pragma once

#include <bpf/bpf_helpers.h>

#include "config.h"

enum clock {
	TICK_SHIFT = 27, /* 2^27 ns, dataplane.TickDuration */
};

static __always_inline __u64 now_ns(void)
{
	return cfg_test ? test_clock_ns : bpf_ktime_get_coarse_ns();
}

static __always_inline __u32 now_ticks(void)
{
	return now_ns() >> TICK_SHIFT;
}

/* Whether now is past a time, over the wrap of the tick counter. */
static __always_inline int ticks_past(__u32 now, __u32 time)
{
	return (__s32)(now - time) > 0;
}
