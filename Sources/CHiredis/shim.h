/* hiredis: Redis' protocol. Its connections stay unused. */
#pragma once

#include <hiredis/hiredis.h>
