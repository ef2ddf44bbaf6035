/* rsa.h: reasons why nobody should use an RSA public key.  Threads: pure. */
#ifndef ENSIGN_CA_X509_RSA_H
#define ENSIGN_CA_X509_RSA_H

#include <openssl/bn.h>

#include "ca/base/span.h"

/* Adds one reason for every weakness of the modulus n and the exponent e: size, exponent, even, small factors, the ROCA
 * fingerprint (CVE-2017-15361), primes so close that Fermat's method finds them. ERR_CRYPTO when BIGNUM fails. */
MUST_USE enum err rsa_judge(const BIGNUM *n, const BIGNUM *e, struct fault *f);

#endif
