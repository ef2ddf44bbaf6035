#include "client/agent/program.h"

#include <string.h>

#include "client/process.h"

enum { OUTPUT_MAX = 1024 };

/* For the text of a fault. */
static void output_clean(struct bytes *output)
{
    while (output->size > 0 && strchr(" \n", output->data[output->size - 1]))
        output->data[--output->size] = '\0';
    if (output->size > 0) {
        text_clean((char *)output->data);
        text_hide_secrets((char *)output->data);
        output->size = strlen((char *)output->data);
    }
}

static void output_join(const struct process_result *result, struct bytes *ret_output)
{
    struct span error = bytes_span(&result->error);
    size_t room = OUTPUT_MAX - result->output.size;
    bytes_append(ret_output, result->output.data, result->output.size);
    bytes_append(ret_output, error.data, error.size < room ? error.size : room);
}

enum err program_run(const char *const *words, int64_t timeout_seconds, struct bytes *ret_output, struct fault *f)
{
    AUTO(process_result) result = {0};
    const struct process process = {.arguments = words,
                                    .deadline_ms = timeout_seconds * 1000,
                                    .output_max = OUTPUT_MAX,
                                    .output_cut = true,
                                    .stop = -1};
    TRY(process_run(&process, &result, f));
    output_join(&result, ret_output);
    TRY(bytes_check(ret_output, f));
    if (result.end == PROCESS_EXITED && result.status == 0)
        return OK;
    output_clean(ret_output);
    if (result.end == PROCESS_EXITED)
        return fault_set(f, CODE_IO, "%s exited with %d: %s", words[0], result.status, bytes_text(ret_output));
    return fault_set(f, CODE_IO, "%s took longer than %lds: %s", words[0], (long)timeout_seconds,
                     bytes_text(ret_output));
}
