/* What compile and verify agree on. */
#pragma once

/* The number of a program's first table. */
#define FIRST_TABLE 512
