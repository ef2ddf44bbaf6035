#include "ca/x509/usage.h"

#include <stdio.h>

const char *const usage_words[] = {
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign",      "cRLSign",        "encipherOnly",    "decipherOnly",     NULL,
};
const char *const extended_usage_words[] = {"serverAuth", "clientAuth", NULL};

static void bits_text(unsigned bits, const char *const *words, char *ret_text, size_t size)
{
    size_t used = 0;
    for (unsigned i = 0; words[i] && used < size; i++)
        if (bits & (1U << i))
            used += (size_t)snprintf(ret_text + used, size - used, "%s%s", used ? ", " : "", words[i]);
    if (used == 0)
        snprintf(ret_text, size, "none");
}

void usage_text(unsigned usages, char *ret_text, size_t size)
{
    bits_text(usages, usage_words, ret_text, size);
}

void extended_usage_text(unsigned usages, char *ret_text, size_t size)
{
    bits_text(usages, extended_usage_words, ret_text, size);
}
