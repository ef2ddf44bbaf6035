/* backup.h: `ensignd backup`: a copy of a service that runs or is stopped, for whom only the recipient can read it
 * (ca/backup.h). */
#ifndef ENSIGN_SERVER_BACKUP_H
#define ENSIGN_SERVER_BACKUP_H

#include "server/config.h"

struct backup_request {
    const char *config;    /* path of the configuration, which goes into the backup as it is */
    const char *recipient; /* as backup_recipient_text() writes it */
    const char *path;      /* "-": standard output */
};

/* The file is there when it is complete and on the disk; an older one of this name is replaced then. A database whose
 * rows are damaged is not backed up. Says on stderr what was backed up. */
MUST_USE enum err backup_run(const struct backup_request *request, struct fault *f);

/* `ensignd backup keygen`: makes the private key, prints the recipient on stdout. */
MUST_USE enum err backup_keygen(const char *path, struct fault *f);

#endif
