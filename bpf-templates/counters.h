/*
 * Counts, each CPU for itself: no packet is interrupted by another on its CPU, so that adding needs
 * no lock. What is counted is named in the settings.
 */
#pragma once

#include "tables.h"

static __always_inline void count(__u32 counter)
{
	__u64 *value = counters.lookup(&counter);

	if (value)
		*value += 1;
}
