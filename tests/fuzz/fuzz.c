#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERN = 0xa5 };

_Noreturn void fuzz_broken(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

void (*fuzz_seed_visit)(struct span input);

void fuzz_seed(struct span input)
{
    fuzz_seed_visit(input);
}

void fuzz_seed_text(const char *text)
{
    fuzz_seed(span_text(text));
}

void fuzz_seed_choice(uint8_t choice, struct span input)
{
    AUTO(bytes) whole = {0};
    bytes_append(&whole, &choice, 1);
    bytes_append_span(&whole, input);
    fuzz_seed(bytes_span(&whole));
}

uint8_t fuzz_choice(struct span *input, uint8_t count)
{
    if (input->size == 0)
        return 0;
    uint8_t choice = input->data[0] % count;
    *input = span(input->data + 1, input->size - 1);
    return choice;
}

struct fault *fuzz_fault(void)
{
    static struct fault fault;
    fault_clear(&fault);
    return &fault;
}

void fuzz_fresh(void *result, size_t size)
{
    memset(result, PATTERN, size);
}

static void text_check(const char *text, size_t size)
{
    HOLDS(memchr(text, 0, size));
    for (; *text; text++)
        if (strncmp(text, "§", 2) == 0)
            text++;
        else
            HOLDS(*text >= ' ' && *text <= '~');
}

static void fault_check(const struct fault *f)
{
    text_check(f->text, sizeof f->text);
    HOLDS(f->reasons_count <= FAULT_REASONS_MAX);
    for (size_t i = 0; i < f->reasons_count; i++) {
        text_check(f->reasons[i].pointer, sizeof f->reasons[i].pointer);
        text_check(f->reasons[i].text, sizeof f->reasons[i].text);
    }
}

bool fuzz_kept_told(enum err err, const struct fault *f, const void *result, size_t size)
{
    if (err == OK) {
        HOLDS(f->code == CODE_NONE && f->reasons_count == 0);
        return true;
    }
    HOLDS(f->code > CODE_NONE && f->code < CODE_COUNT && code_err(f->code) == err);
    fault_check(f);
    const uint8_t *byte = result;
    for (size_t i = 0; i < size; i++)
        HOLDS(byte[i] == PATTERN);
    return false;
}

bool fuzz_kept(enum err err, const struct fault *f, const void *result, size_t size)
{
    HOLDS(err != ERR_BUG);
    return fuzz_kept_told(err, f, result, size);
}

void fuzz_must(enum err err, const struct fault *f)
{
    if (err == OK)
        return;
    char line[2048];
    fault_line(f, line, sizeof line);
    fuzz_broken(line, "error", (int)err);
}
