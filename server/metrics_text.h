/* metrics_text.h: the text format of Prometheus, version 0.0.4: families of samples with labels.
 *
 * A family is written once, before its samples:
 *   # HELP name what it is
 *   # TYPE name counter
 *   name{label="value"} 1
 * Names are those of the caller and right; values of labels and help texts are escaped. Threads: pure. */
#ifndef ENSIGN_SERVER_METRICS_TEXT_H
#define ENSIGN_SERVER_METRICS_TEXT_H

#include "ca/base/histogram.h"
#include "ca/base/span.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metric_label { /* an array of them ends with a name that is NULL */
    const char *name, *value;
};

/* type: "counter", "gauge", "histogram" */
void metric_family(struct bytes *out, const char *name, const char *type, const char *help);

/* labels: NULL: none. Whole numbers up to 10^15 are written exactly. */
void metric_sample(struct bytes *out, const char *name, const struct metric_label *labels, double value);

/* A family of one sample without labels. */
void metric_single(struct bytes *out, const char *name, const char *type, const char *help, double value);

/* name_bucket for each bound and +Inf, name_sum in seconds, name_count. */
void metric_histogram(struct bytes *out, const char *name, const struct metric_label *labels,
                      const struct histogram *histogram);

#endif
