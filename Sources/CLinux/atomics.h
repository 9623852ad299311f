/*
 * Atomic access to memory that others write at the same time: the kernel's programs, to tables that
 * are mapped. Loads see what was stored before what they see; a swap is a full barrier.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t load_64(const uint64_t *from)
{
	return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

static inline void store_64(uint64_t *to, uint64_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

/* Whether the value seen was there still, and the other was stored in its place. */
static inline bool swap_64(uint64_t *at, uint64_t seen, uint64_t other)
{
	return __atomic_compare_exchange_n(at, &seen, other, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_ACQUIRE);
}

static inline uint32_t load_32(const uint32_t *from)
{
	return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

static inline void store_32(uint32_t *to, uint32_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

static inline uint8_t load_8(const uint8_t *from)
{
	return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

static inline void store_8(uint8_t *to, uint8_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

/* Whether the value seen was there still, and the other was stored in its place. */
static inline bool swap_8(uint8_t *at, uint8_t seen, uint8_t other)
{
	return __atomic_compare_exchange_n(at, &seen, other, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_ACQUIRE);
}

/* Has a cache line fetched that is going to be read soon. */
static inline void prefetch(const void *address)
{
	__builtin_prefetch(address);
}
