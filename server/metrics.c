#include "server/metrics.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "server/metrics_text.h"

/* What the service answers; the last stands for any other. */
static const int statuses[] = {200, 201, 204, 304, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 502, 503, 0};

struct metrics {
    const struct route *routes;
    size_t routes_count;
    struct timespec started;
    _Atomic int64_t tls_not_before, tls_not_after;
    struct histogram (*requests)[ARRAY_SIZE(statuses)]; /* by route; the last: none of them */
};

enum err metrics_new(const struct route *routes, struct metrics **ret_metrics, struct fault *f)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return fault_no_memory(f);
    metrics->routes = routes;
    while (routes[metrics->routes_count].method)
        metrics->routes_count++;
    clock_gettime(CLOCK_REALTIME, &metrics->started);
    metrics->requests = calloc(metrics->routes_count + 1, sizeof *metrics->requests);
    if (!metrics->requests) {
        metrics_free(metrics);
        return fault_no_memory(f);
    }
    *ret_metrics = metrics;
    return OK;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    free(metrics->requests);
    free(metrics);
}

/* ---- counting ---- */

static size_t status_index(int status)
{
    size_t i = 0;
    while (statuses[i] && statuses[i] != status)
        i++;
    return i;
}

void metrics_request(struct metrics *metrics, const struct route *route, int status, double seconds)
{
    size_t row = route ? (size_t)(route - metrics->routes) : metrics->routes_count;
    histogram_observe(&metrics->requests[row][status_index(status)], (int64_t)(seconds * 1e6));
}

void metrics_tls(struct metrics *metrics, int64_t not_before, int64_t not_after)
{
    metrics->tls_not_before = not_before;
    metrics->tls_not_after = not_after;
}

struct metrics_validity metrics_tls_validity(const struct metrics *metrics)
{
    return (struct metrics_validity){metrics->tls_not_before, metrics->tls_not_after};
}

/* ---- writing ---- */

static bool histogram_is_empty(const struct histogram *histogram)
{
    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++)
        if (atomic_load_explicit(&histogram->counts[i], memory_order_relaxed))
            return false;
    return true;
}

void metrics_requests_write(const struct metrics *metrics, struct bytes *out)
{
    static const char name[] = "ensign_http_request_duration_seconds";
    metric_family(out, name, "histogram", "Time from the request line to the answer.");
    for (size_t row = 0; row <= metrics->routes_count; row++)
        for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
            const struct histogram *histogram = &metrics->requests[row][i];
            const struct route *route = row < metrics->routes_count ? &metrics->routes[row] : NULL;
            char code[16] = "other";
            if (histogram_is_empty(histogram))
                continue;
            if (statuses[i])
                snprintf(code, sizeof code, "%d", statuses[i]);
            const struct metric_label labels[] = {{"route", route ? route->pattern : "other"},
                                                  {"method", route ? route->method : "other"},
                                                  {"code", code},
                                                  {0}};
            metric_histogram(out, name, labels, histogram);
        }
}

static double timeval_seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* 0 when it cannot be found out. */
static double resident_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* 0 when it cannot be found out. */
static unsigned descriptors_count(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count ? count - 1 : 0; /* one was the folder's own */
}

void metrics_process_write(const struct metrics *metrics, struct bytes *out)
{
    struct rusage usage = {0};
    struct rlimit limit = {0};
    double resident = resident_bytes();
    unsigned descriptors = descriptors_count();
    metric_single(out, "process_start_time_seconds", "gauge", "When the server process started, since 1970 in UTC.",
                  (double)metrics->started.tv_sec + (double)metrics->started.tv_nsec / 1e9);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        metric_single(out, "process_cpu_seconds_total", "counter", "User and system time of the server process.",
                      timeval_seconds(usage.ru_utime) + timeval_seconds(usage.ru_stime));
    if (resident > 0)
        metric_single(out, "process_resident_memory_bytes", "gauge",
                      "Memory of the server process, with what is mapped of the store.", resident);
    if (descriptors > 0)
        metric_single(out, "process_open_fds", "gauge", "Open file descriptors of the server process.", descriptors);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metric_single(out, "process_max_fds", "gauge", "How many of them it may have.", (double)limit.rlim_cur);
}
