/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Constants set before load; the verifier folds them and removes what they
 * switch off.
 */
#pragma once

#include "abi.h"

/* Buckets in flow_buckets; at least 1. */
volatile const __u32 cfg_flow_buckets = 1;

/* Silence after which a TCP flow that was closed, or never confirmed, ended. */
volatile const __u32 cfg_closing_ticks = 1;

/* The longest idle time of any service: how long overflow_ticks counts. */
volatile const __u32 cfg_longest_idle_ticks = 1;

/* ICMP errors a CPU may send per second, and in one burst. */
volatile const __u32 cfg_answers_per_second = 1000;

/* Tests only: take the time from test_clock_ns instead of the kernel, and
 * tell in test_verdict and test_ifindex what was decided. */
volatile const __u8 cfg_test = 0;

volatile __u64 test_clock_ns = 0;
volatile __u32 test_verdict = 0;
volatile __u32 test_ifindex = 0; /* of the last redirect */
