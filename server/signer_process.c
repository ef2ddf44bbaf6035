#include "server/signer_process.h"

#include <unistd.h>

#include "hsm/signer.h"
#include "server/channel.h"

struct signer_start {
    const struct seal_config *seal;
    const char *state;
    bool create;
    int channel;
};

static enum err signer_main(void *context, int ready_fd, struct fault *f)
{
    const struct signer_start *start = context;
    if (start->create) {
        AUTO(seal) seal = {0};
        TRY(seal_create(start->seal, start->state, &seal, f));
    }
    return signer_run(start->channel, ready_fd, start->seal, start->state, f);
}

enum err signer_process_start(const struct seal_config *seal, const char *state, bool create,
                              struct process *ret_process, int *ret_channel, struct fault *f)
{
    int ends[2];
    TRY(channel_new(ends, f));
    struct signer_start start = {seal, state, create, ends[1]};
    enum err err = process_start("signer", signer_main, &start, ret_process, f);
    close(ends[1]);
    if (err != OK)
        close(ends[0]);
    else
        *ret_channel = ends[0];
    return err;
}
