/* cleanup.h: ownership helpers.
 *
 *   AUTO(type)  a local that is cleaned up by `type_cleanup` when it leaves its scope:
 *                   AUTO(bytes) text = {0};            struct bytes, freed by bytes_cleanup
 *   TAKE(p)     moves a pointer out of an owner: yields it and leaves NULL behind
 *   TRY(call)   returns the error of a call that failed; the only macro that changes control flow
 */
#ifndef ENSIGN_CA_BASE_CLEANUP_H
#define ENSIGN_CA_BASE_CLEANUP_H

#define CLEANUP(function) __attribute__((cleanup(function)))
#define AUTO(name) CLEANUP(name##_cleanup) struct name
#define MUST_USE __attribute__((warn_unused_result))

#define TAKE(p)                                                                                                        \
    __extension__({                                                                                                    \
        __typeof__(p) take_value_ = (p);                                                                               \
        (p) = NULL;                                                                                                    \
        take_value_;                                                                                                   \
    })

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        enum err try_err_ = (call);                                                                                    \
        if (try_err_ != OK)                                                                                            \
            return try_err_;                                                                                           \
    } while (0)

/* Defines the clean-up function of a library's pointer type: AUTO_POINTER(EVP_PKEY, EVP_PKEY_free) gives
 * EVP_PKEY_auto(), for `CLEANUP(EVP_PKEY_auto) EVP_PKEY *key = NULL;`. */
#define AUTO_POINTER(type, release)                                                                                    \
    __attribute__((unused)) static inline void type##_auto(type **p)                                                   \
    {                                                                                                                  \
        if (*p)                                                                                                        \
            release(*p);                                                                                               \
    }

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
