/*
 * What vouches for a client: that a real server has answered it shows that its address is its own,
 * unless the answer is a request for just that proof. Anybody can have one sent, by a forged
 * packet.
 */
#pragma once

#include "udp.h"

/* What a UDP header carries: behind its end there may be padding. */
struct datagram {
	const void *payload, *frame, *frame_end;
	__u64 length;
	__u64 unknown; /* any number of which the verifier knows nothing */
};

/* How far a datagram is looked at, in octets; and a frame, of which that begins at less. */
#define MOST_LOOKED_AT 1023
#define FARTHEST_OCTET 2047

#define DTLS_HANDSHAKE	     22 /* the content type of a record (RFC 6347, 4.1) */
#define HELLO_VERIFY_REQUEST 3	/* RFC 6347, 4.2.1 */
#define SERVER_HELLO	     2

/* A DTLS record in the clear with a handshake message (RFC 6347, 4.1 and 4.2.2; RFC 9147, 4
 * and 5.2). */
struct dtls_handshake {
	__u8 content_type;
	__u8 version[2];
	__u8 epoch_and_number[8];
	__u8 record_length[2];
	__u8 message_type;
	__u8 message_length[3];
	__u8 message_number[2];
	__u8 fragment_offset[3];
	__u8 fragment_length[3];
};

/* With which a ServerHello begins; a HelloRetryRequest is told by its random alone. */
struct dtls_server_hello {
	struct dtls_handshake handshake;
	__u8 version[2];
	__u8 random[32];
};

_Static_assert(sizeof(struct dtls_handshake) == 25, "as on the wire");
_Static_assert(sizeof(struct dtls_server_hello) == 59, "as on the wire");

static __always_inline bool is_retry_random(const __u8 *random)
{
	/* SHA-256 of "HelloRetryRequest" (RFC 8446, 4.1.3). */
	const __u8 retry[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
				0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
				0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
	__u8 difference = 0;

#pragma unroll
	for (__u32 i = 0; i < sizeof(retry); i++)
		difference |= random[i] ^ retry[i];
	return !difference;
}

/*
 * DTLS 1.2's HelloVerifyRequest and 1.3's HelloRetryRequest (RFC 9147, 5.1). Of a ServerHello in
 * fragments only the first tells which it is: the others vouch for nobody.
 */
static __always_inline bool is_dtls_request_for_proof(const struct datagram *datagram)
{
	const struct dtls_server_hello *hello;
	const struct dtls_handshake *handshake;
	__u64 at = 0;

	/* What the verifier finds out of the frame's end by another pointer, it forgets with that.
	 */
	FORGET(at, datagram->unknown);
	if (at > MOST_LOOKED_AT)
		return false;
	hello = datagram->payload + at;
	OPAQUE(hello);
	handshake = &hello->handshake;
	if (datagram->length < sizeof(*handshake) ||
	    (void *)(handshake + 1) > datagram->frame_end ||
	    handshake->content_type != DTLS_HANDSHAKE)
		return false;
	if (handshake->message_type == HELLO_VERIFY_REQUEST)
		return true;
	if (handshake->message_type != SERVER_HELLO)
		return false;
	if (handshake->fragment_offset[0] | handshake->fragment_offset[1] |
	    handshake->fragment_offset[2])
		return true;
	return datagram->length >= sizeof(*hello) && (void *)(hello + 1) <= datagram->frame_end &&
	       is_retry_random(hello->random);
}

#define COAP_VERSION_MASK 0xc0
#define COAP_VERSION_1	  0x40
#define COAP_UNAUTHORIZED 0x81 /* 4.01 (RFC 7252, 5.9.2.2) */
#define COAP_HEADER	  4    /* octets in front of the token */
#define ECHO_OPTION	  252  /* RFC 9175, 2.2.1 */
#define PAYLOAD_MARKER	  0xff

/* Options in front of Echo that are looked through. */
#define MOST_OPTIONS 8

/*
 * The eight octets from there on, which is in front of the datagram's end, the first as the
 * highest; 0 for those behind the frame's end. They are read at once: the verifier would follow
 * each apart.
 */
static __always_inline __u64 octets_at(const struct datagram *datagram, __u64 at)
{
	__u64 before = datagram->payload - datagram->frame, missing;
	__s64 left = datagram->frame_end - datagram->payload;
	const void *octets;

	OPAQUE(left);
	left -= at + 8;
	missing = -(left & left >> 63);
	at = before + at - missing;
	FORGET(at, datagram->unknown);
	at &= FARTHEST_OCTET;
	octets = datagram->frame + at;
	OPAQUE(octets);
	if (octets + 8 > datagram->frame_end)
		return 0;
	return __constant_be64_to_cpu(*(const __be64 *)octets) << (8 * missing & 63);
}

/*
 * What a nibble stands for that octets may extend, an option's (RFC 7252, 3.1) or that of a token's
 * length (RFC 8974, 2.1): those are the highest, and how many they are is returned.
 */
static __always_inline __u64 extended(__u64 nibble, __u64 octets, __u64 *value)
{
	/* 13 has one more octet, 14 has two. */
	const __u64 extensions = 1ULL << 2 * 13 | 2ULL << 2 * 14;
	__u64 count = extensions >> 2 * nibble & 3, one, two;

	OPAQUE(count);
	one = -(count & 1);
	two = -(count >> 1);
	*value = (nibble & ~(one | two)) | (((octets >> 56) + 13) & one) |
		 (((octets >> 48) + 269) & two);
	return count;
}

/*
 * CoAP's 4.01 with an Echo option (RFC 9175, 2.4). One that has more in front of it than is looked
 * through, or is cut short there, is taken for one: the next answer vouches.
 */
static __always_inline bool is_coap_request_for_proof(const struct datagram *datagram)
{
	__u64 octets = octets_at(datagram, 0), number = 0, at = COAP_HEADER, count, delta, length;

	if (datagram->length < COAP_HEADER ||
	    (octets >> 56 & COAP_VERSION_MASK) != COAP_VERSION_1 ||
	    (octets >> 48 & 0xff) != COAP_UNAUTHORIZED)
		return false;
	at += extended(octets >> 56 & 15, octets << 8 * COAP_HEADER, &length);
	at += length;
	for (int option = 0; option < MOST_OPTIONS; option++) {
		FORGET(at, datagram->unknown);
		FORGET(number, datagram->unknown);
		if (at >= datagram->length || at > MOST_LOOKED_AT)
			return at != datagram->length;
		octets = octets_at(datagram, at);
		if (octets >> 56 == PAYLOAD_MARKER)
			return false;
		count = extended(octets >> 60, octets << 8, &delta);
		number += delta;
		if (number >= ECHO_OPTION)
			return number == ECHO_OPTION;
		at += 1 + count;
		at += extended(octets >> 56 & 15, octets << 8 << 8 * count, &length);
		at += length;
	}
	return true;
}

/*
 * Whether what a real server sends, of lengths that agree, vouches for who is to have it.
 * Of unknown the verifier knows nothing.
 */
static __always_inline bool vouches(const struct frame *frame, __u64 unknown)
{
	const struct datagram datagram = {
		.payload = frame->udp + 1,
		.frame = frame->start,
		.frame_end = frame->end,
		.length = __constant_ntohs(frame->udp->len) - sizeof(*frame->udp),
		.unknown = unknown,
	};

	return !is_dtls_request_for_proof(&datagram) && !is_coap_request_for_proof(&datagram);
}
