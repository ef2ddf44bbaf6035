/* verify.h: `ensignd verify`: reads the whole database of a service that is stopped (ca/verify.h). */
#ifndef ENSIGN_SERVER_VERIFY_H
#define ENSIGN_SERVER_VERIFY_H

#include "server/config.h"

/* Says on stdout what was verified. ERR_IO (CODE_DAMAGED). */
MUST_USE enum err verify_run(const struct config *config, struct fault *f);

#endif
