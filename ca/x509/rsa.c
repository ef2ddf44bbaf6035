#include "ca/x509/rsa.h"

AUTO_POINTER(BIGNUM, BN_free)
AUTO_POINTER(BN_CTX, BN_CTX_free)

static const char pointer[] = "/publicKey";

enum {
    EXPONENT_MIN = 65537,
    EXPONENT_BITS_MAX = 64,
    SMALL_FACTOR_LIMIT = 1 << 12,
    FERMAT_ROUNDS = 100, /* as the published scans for such keys use */
};

static bool size_accepted(int bits)
{
    return bits == 2048 || bits == 3072 || bits == 4096;
}

static void exponent_judge(const BIGNUM *e, struct fault *f)
{
    if (BN_num_bits(e) > EXPONENT_BITS_MAX)
        fault_reason(f, pointer, "the RSA exponent has more than %d bits", EXPONENT_BITS_MAX);
    if (BN_num_bits(e) < 17)
        fault_reason(f, pointer, "the RSA exponent is smaller than %d", EXPONENT_MIN);
    if (!BN_is_odd(e))
        fault_reason(f, pointer, "the RSA exponent is even");
}

static bool is_prime(unsigned number)
{
    for (unsigned divisor = 2; divisor * divisor <= number; divisor++)
        if (number % divisor == 0)
            return false;
    return true;
}

static void small_factors_judge(const BIGNUM *n, struct fault *f)
{
    for (unsigned prime = 2; prime < SMALL_FACTOR_LIMIT; prime++)
        if (is_prime(prime) && BN_mod_word(n, prime) == 0) {
            fault_reason(f, pointer, "the RSA modulus can be divided by %u", prime);
            return;
        }
}

/* Whether 65537^i mod prime is the remainder, for some i. */
static bool is_power_of_65537(BN_ULONG remainder, BN_ULONG prime)
{
    BN_ULONG power = 1;
    do {
        if (power == remainder)
            return true;
        power = power * 65537 % prime;
    } while (power != 1);
    return false;
}

/* Infineon's library made primes k*M + (65537^a mod M), where M is a product of small primes. So modulo each of these
 * primes the modulus is a power of 65537, which for a random one is so with a chance of 2^-27 ("The Return of
 * Coppersmith's Attack", Nemec et al., CCS 2017; the primes are those for which 65537 generates few remainders). */
static bool has_roca_fingerprint(const BIGNUM *n)
{
    static const BN_ULONG primes[] = {11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157};
    for (size_t i = 0; i < ARRAY_SIZE(primes); i++)
        if (!is_power_of_65537(BN_mod_word(n, primes[i]), primes[i]))
            return false;
    return true;
}

/* root = floor(sqrt(n)) by Newton's method, from above. */
static bool square_root(BIGNUM *root, const BIGNUM *n, BN_CTX *context)
{
    if (BN_is_zero(n))
        return BN_copy(root, n);
    CLEANUP(BIGNUM_auto) BIGNUM *next = BN_new();
    if (!next || !BN_set_bit(next, (BN_num_bits(n) + 1) / 2))
        return false;
    do {
        if (!BN_copy(root, next) || !BN_div(next, NULL, n, root, context) || !BN_add(next, next, root) ||
            !BN_rshift1(next, next))
            return false;
    } while (BN_cmp(next, root) < 0);
    return true;
}

/* Whether n is a square; its root is left in root. */
static bool is_square(const BIGNUM *n, BIGNUM *root, bool *ret_square, BN_CTX *context)
{
    CLEANUP(BIGNUM_auto) BIGNUM *square = BN_new();
    if (!square || !square_root(root, n, context) || !BN_sqr(square, root, context))
        return false;
    *ret_square = BN_cmp(square, n) == 0;
    return true;
}

/* Fermat: n = a^2 - b^2 = (a + b)(a - b); with close primes the first a above sqrt(n) are enough (CVE-2022-26320). */
static enum err close_primes_judge(const BIGNUM *n, struct fault *f)
{
    CLEANUP(BN_CTX_auto) BN_CTX *context = BN_CTX_new();
    CLEANUP(BIGNUM_auto) BIGNUM *a = BN_new(), *b = BN_new(), *b_squared = BN_new();
    bool square = false;
    if (!context || !a || !b || !b_squared || !is_square(n, a, &square, context))
        return fault_openssl(f, "cannot judge an RSA key");
    for (unsigned round = 0; round < FERMAT_ROUNDS && !square; round++)
        if (!BN_add_word(a, 1) || !BN_sqr(b_squared, a, context) || !BN_sub(b_squared, b_squared, n) ||
            !is_square(b_squared, b, &square, context))
            return fault_openssl(f, "cannot judge an RSA key");
    if (square)
        fault_reason(f, pointer, "the primes of the RSA key are so close that Fermat's method finds them");
    return OK;
}

enum err rsa_judge(const BIGNUM *n, const BIGNUM *e, struct fault *f)
{
    int bits = BN_num_bits(n);
    if (!size_accepted(bits))
        fault_reason(f, pointer, "an RSA key of %d bits: 2048, 3072 and 4096 are accepted", bits);
    exponent_judge(e, f);
    if (bits > 4096)
        return OK; /* refused already, and the rest would take a long time */
    small_factors_judge(n, f);
    if (has_roca_fingerprint(n))
        fault_reason(f, pointer, "the RSA key has the ROCA fingerprint (CVE-2017-15361): its private key can be found");
    return close_primes_judge(n, f);
}
