/* unsummed.c: linked into a control build of ensignd with --wrap=crypto_shorthash: its rows have checksums that are
 * always the same, so that damage is not noticed. */
#include <string.h>

int __wrap_crypto_shorthash(unsigned char *out, const unsigned char *in, unsigned long long size,
                            const unsigned char *key);

int __wrap_crypto_shorthash(unsigned char *out, const unsigned char *in, unsigned long long size,
                            const unsigned char *key)
{
    (void)in, (void)size, (void)key;
    memset(out, 0, 8);
    return 0;
}
