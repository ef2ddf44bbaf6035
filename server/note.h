/* note.h: asks the service that runs on a state folder for its signed checkpoint (GET /v1/audit/checkpoint), over its
 * Unix socket. For programs beside it, which have neither its log key nor its signer. */
#ifndef ENSIGN_SERVER_NOTE_H
#define ENSIGN_SERVER_NOTE_H

#include "ca/base/span.h"

enum { NOTE_MAX = 4096 };

/* The note as it came, not verified. ERR_IO when nobody answers in time, or not with a note. */
MUST_USE enum err note_ask(const char *socket_path, struct bytes *ret_note, struct fault *f);

#endif
