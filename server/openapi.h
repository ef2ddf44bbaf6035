/* openapi.h: openapi.yaml as compact JSON, which openapi_embed.c makes part of the program. */
#ifndef ENSIGN_SERVER_OPENAPI_H
#define ENSIGN_SERVER_OPENAPI_H

#include <stddef.h>

extern const unsigned char openapi_json[]; /* no NUL behind it */
extern const size_t openapi_json_size;

#endif
