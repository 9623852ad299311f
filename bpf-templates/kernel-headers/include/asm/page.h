/* The unit of libbcc's ring buffer sizes; any power of two will do that the real size divides into.
 */
#pragma once

#define PAGE_SIZE 4096
