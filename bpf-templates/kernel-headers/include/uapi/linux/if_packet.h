/* The UAPI header of the system. */
#include </usr/include/linux/if_packet.h>
