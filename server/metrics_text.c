#include "server/metrics_text.h"

#include <stdatomic.h>
#include <stdio.h>

static void escaped_append(struct bytes *out, const char *text, bool quoted)
{
    for (; *text; text++)
        if (*text == '\n')
            bytes_append_text(out, "\\n");
        else if (*text == '\\' || (quoted && *text == '"'))
            bytes_append(out, (const char[]){'\\', *text}, 2);
        else
            bytes_append(out, text, 1);
}

void metric_family(struct bytes *out, const char *name, const char *type, const char *help)
{
    bytes_appendf(out, "# HELP %s ", name);
    escaped_append(out, help, false);
    bytes_appendf(out, "\n# TYPE %s %s\n", name, type);
}

static void label_append(struct bytes *out, char *separator, const char *name, const char *value)
{
    bytes_appendf(out, "%c%s=\"", *separator, name);
    escaped_append(out, value, true);
    bytes_append_text(out, "\"");
    *separator = ',';
}

/* One line; `bound` is the label le, NULL: none. */
static void sample_append(struct bytes *out, const char *name, const char *suffix, const struct metric_label *labels,
                          const char *bound, double value)
{
    char separator = '{';
    bytes_appendf(out, "%s%s", name, suffix);
    for (; labels && labels->name; labels++)
        label_append(out, &separator, labels->name, labels->value);
    if (bound)
        label_append(out, &separator, "le", bound);
    bytes_appendf(out, "%s %.15g\n", separator == ',' ? "}" : "", value);
}

void metric_sample(struct bytes *out, const char *name, const struct metric_label *labels, double value)
{
    sample_append(out, name, "", labels, NULL, value);
}

void metric_single(struct bytes *out, const char *name, const char *type, const char *help, double value)
{
    metric_family(out, name, type, help);
    metric_sample(out, name, NULL, value);
}

void metric_histogram(struct bytes *out, const char *name, const struct metric_label *labels,
                      const struct histogram *histogram)
{
    uint64_t count = 0;
    char bound[32];
    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        bool last = i == HISTOGRAM_BUCKETS;
        count += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        snprintf(bound, sizeof bound, "%g", last ? 0 : (double)histogram_bounds_microseconds[i] / 1e6);
        sample_append(out, name, "_bucket", labels, last ? "+Inf" : bound, (double)count);
    }
    sample_append(out, name, "_sum", labels, NULL,
                  (double)atomic_load_explicit(&histogram->sum_microseconds, memory_order_relaxed) / 1e6);
    sample_append(out, name, "_count", labels, NULL, (double)count);
}
