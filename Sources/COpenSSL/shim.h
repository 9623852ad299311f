/* OpenSSL's TLS, and what of it is a macro, which Swift does not see. */
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* SSL_CTX_set_min_proto_version(3): TLS 1.2. */
static inline int tls_require_version_1_2(SSL_CTX *context)
{
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

/* SSL_set_tlsext_host_name(3): the name that the server is told (RFC 6066, section 3). */
static inline int tls_set_server_name(SSL *connection, const char *name)
{
	return (int)SSL_set_tlsext_host_name(connection, name);
}
