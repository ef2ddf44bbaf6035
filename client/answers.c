#include "client/answers.h"

#include <stdio.h>
#include <string.h>

static void kept_free(struct answer_kept *kept)
{
    bytes_free(&kept->path);
    bytes_free(&kept->body);
    *kept = (struct answer_kept){0};
}

void answers_cleanup(struct answers *answers)
{
    for (size_t i = 0; i < answers->count; i++)
        kept_free(&answers->items[i]);
    answers->count = 0;
}

const struct answer_kept *answers_find(const struct answers *answers, const char *path)
{
    for (size_t i = 0; answers && i < answers->count; i++)
        if (strcmp(bytes_text(&answers->items[i].path), path) == 0)
            return &answers->items[i];
    return NULL;
}

static void answers_drop(struct answers *answers, const char *path)
{
    struct answer_kept *last = answers->items + answers->count;
    for (struct answer_kept *kept = answers->items; kept < last; kept++)
        if (strcmp(bytes_text(&kept->path), path) == 0) {
            kept_free(kept);
            *kept = *--last;
            *last = (struct answer_kept){0};
            answers->count--;
            return;
        }
}

void answers_keep(struct answers *answers, const char *path, const char *etag, const char *content_type,
                  struct span body)
{
    if (!answers)
        return;
    answers_drop(answers, path);
    if (!etag[0] || strlen(etag) > ETAG_TEXT_MAX || strlen(content_type) > MEDIA_TYPE_TEXT_MAX ||
        answers->count == ANSWERS_MAX)
        return;
    struct answer_kept *kept = &answers->items[answers->count];
    bytes_append_text(&kept->path, path);
    bytes_append(&kept->body, body.data, body.size);
    snprintf(kept->etag, sizeof kept->etag, "%s", etag);
    snprintf(kept->content_type, sizeof kept->content_type, "%s", content_type);
    if (kept->path.failed || kept->body.failed)
        kept_free(kept);
    else
        answers->count++;
}
