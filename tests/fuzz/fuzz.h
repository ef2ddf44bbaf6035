/* fuzz.h: what the harnesses share.
 *
 * A harness is one file with two functions: LLVMFuzzerTestOneInput(), which holds what it reads against the properties
 * that its reader promises, and fuzz_seeds(), which makes the first inputs from real objects. Linked with libFuzzer it
 * is a fuzzer (campaign), linked with replay.c an ordinary test. A property that does not hold aborts. */
#ifndef ENSIGN_TESTS_FUZZ_FUZZ_H
#define ENSIGN_TESTS_FUZZ_FUZZ_H

#include "ca/base/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void fuzz_seeds(void);

/* For fuzz_seeds(): one input, for fuzz_seed_visit, which replay.c sets: it runs the input or writes it to a folder. */
extern void (*fuzz_seed_visit)(struct span input);
void fuzz_seed(struct span input);
void fuzz_seed_text(const char *text);
/* An input that begins with the byte that fuzz_choice() takes. */
void fuzz_seed_choice(uint8_t choice, struct span input);

#define HOLDS(condition) ((condition) ? (void)0 : fuzz_broken(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *condition, const char *file, int line);

/* Takes the first byte of the input: a number below count; 0 when there is none. */
uint8_t fuzz_choice(struct span *input, uint8_t count);

/* An empty fault; always the same one. */
struct fault *fuzz_fault(void);

/* Fills a result with a pattern, before the call that may write to it. */
void fuzz_fresh(void *result, size_t size);

/* Whether the call succeeded. Its error, fault and result must be as fault.h promises: on success no fault is left; on
 * failure the code is of that class and not ERR_BUG, the texts are printable, and the result is as fuzz_fresh() left
 * it. */
bool fuzz_kept(enum err err, const struct fault *f, const void *result, size_t size);
/* The same of a fault that another process tells of, which may be its own ERR_BUG. */
bool fuzz_kept_told(enum err err, const struct fault *f, const void *result, size_t size);

/* For calls that cannot fail here. */
void fuzz_must(enum err err, const struct fault *f);

#endif
