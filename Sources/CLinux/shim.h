/* What of Linux's own interfaces Swift's Glibc module leaves out. */
#pragma once

#include <net/if_arp.h>
#include <linux/rtnetlink.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
