/* The UAPI header of the system, unless libbcc has brought its own copy. */
#ifndef _UAPI__LINUX_BPF_H__
#include </usr/include/linux/bpf.h>
#endif
