#include "client/text.h"

#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 63, DISTANCE_MAX = 3 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein distance, one row at a time. */
static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t row[WORD_MAX + 1];
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = min3(row[j] + 1, row[j - 1] + 1, changed);
        }
    }
    return row[b_size];
}

void closest_offer(struct closest *closest, const char *candidate)
{
    size_t word_size = strnlen(closest->word, WORD_MAX), candidate_size = strnlen(candidate, WORD_MAX);
    bool beginning = word_size >= 2 && strncmp(candidate, closest->word, word_size) == 0;
    size_t found = beginning ? 1 : distance(closest->word, word_size, candidate, candidate_size);
    if (found > DISTANCE_MAX || found >= candidate_size || (closest->best && found >= closest->distance))
        return;
    closest->best = candidate;
    closest->distance = found;
}

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

void percent_append(struct bytes *out, const char *text)
{
    for (; *text; text++)
        if (unreserved(*text))
            bytes_append(out, text, 1);
        else
            bytes_appendf(out, "%%%02X", (unsigned char)*text);
}

void query_append(struct bytes *path, const char *name, const char *value)
{
    if (!value)
        return;
    bytes_appendf(path, "%s%s=", strchr(bytes_text(path), '?') ? "&" : "?", name);
    percent_append(path, value);
}

void printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void json_cleanup(json_t **json)
{
    json_decref(*json);
}
