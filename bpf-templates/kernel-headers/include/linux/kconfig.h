/* What libbcc expects of a kernel tree's configuration and basic types, over the UAPI headers. */
#pragma once

#define CONFIG_BPF_SYSCALL 1

#include <linux/types.h>
#include <asm/byteorder.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef __kernel_size_t size_t;
typedef unsigned long uintptr_t;

#define bool _Bool
#define true 1
#define false 0

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
