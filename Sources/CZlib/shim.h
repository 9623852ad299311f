/* zlib: its checksums. */
#pragma once

#include <zlib.h>
