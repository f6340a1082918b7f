#include "metrics.h"

#include <stdatomic.h>
#include <string.h>

enum { LABELS_MAX = 8, BUCKETS = 12 };

typedef enum { COUNTER, GAUGE, HISTOGRAM } metric_type;

static const struct { metric_type type; const char *name, *label, *values, *help; } rows[MU_METRIC_MAX] = {
#define M(id, type, name, label, values, help) { type, name, label, values, help },
#include "metrics.def"
#undef M
};

/* Upper bounds in microseconds; the last bucket is +Inf. */
static const uint64_t bounds[BUCKETS] = { 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000 };
static const char *const bound_names[BUCKETS] = { "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1",
                                                  "2.5", "10" };

static struct {
    _Atomic int64_t value;                 /* counters and gauges; for a histogram the sum in microseconds */
    _Atomic uint64_t buckets[BUCKETS + 1];
} cells[MU_METRIC_MAX][LABELS_MAX];

static bool known(mu_metric metric, unsigned label)
{
    return (unsigned)metric < MU_METRIC_MAX && label < LABELS_MAX;
}

const mu_shared_counter mu_shared_counters[MU_SHARED_COUNTERS] = {
    { "deliveries.sent", MU_METRIC_DELIVERIES, 0 }, { "deliveries.retry", MU_METRIC_DELIVERIES, 1 }, { "deliveries.dead", MU_METRIC_DELIVERIES, 2 },
    { "deliveries.simulated", MU_METRIC_DELIVERIES, 3 }, { "timers.fired", MU_METRIC_TIMERS_FIRED, 0 },
};

int64_t mu_metric_value(mu_metric metric, unsigned label)
{
    return known(metric, label) ? atomic_load_explicit(&cells[metric][label].value, memory_order_relaxed) : 0;
}

void mu_count(mu_metric metric, unsigned label, uint64_t n)
{
    if (known(metric, label))
        atomic_fetch_add_explicit(&cells[metric][label].value, (int64_t)n, memory_order_relaxed);
}

void mu_gauge(mu_metric metric, unsigned label, int64_t value)
{
    if (known(metric, label))
        atomic_store_explicit(&cells[metric][label].value, value, memory_order_relaxed);
}

void mu_gauge_add(mu_metric metric, unsigned label, int64_t delta)
{
    if (known(metric, label))
        atomic_fetch_add_explicit(&cells[metric][label].value, delta, memory_order_relaxed);
}

void mu_observe(mu_metric metric, unsigned label, double seconds)
{
    if (!known(metric, label) || !(seconds >= 0) || seconds > 1e9)
        return;
    uint64_t micros = (uint64_t)(seconds * 1e6);
    unsigned bucket = 0;
    while (bucket < BUCKETS && micros > bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&cells[metric][label].value, (int64_t)micros, memory_order_relaxed);
    atomic_fetch_add_explicit(&cells[metric][label].buckets[bucket], 1, memory_order_relaxed);
}

static bool add_labels(mu_buf *out, const char *label, const char *value, size_t n, const char *le)
{
    if (*label == '\0' && le == NULL)
        return mu_buf_addc(out, ' ');
    bool fine = mu_buf_addc(out, '{');
    if (*label != '\0')
        fine = fine && mu_buf_addf(out, "%s=\"%.*s\"%s", label, (int)n, value, le != NULL ? "," : "");
    if (le != NULL)
        fine = fine && mu_buf_addf(out, "le=\"%s\"", le);
    return fine && mu_buf_adds(out, "} ");
}

static bool add_histogram(mu_buf *out, unsigned metric, unsigned label, const char *value, size_t n)
{
    const char *name = rows[metric].name;
    uint64_t count = 0;
    for (unsigned i = 0; i <= BUCKETS; i++) {
        count += atomic_load_explicit(&cells[metric][label].buckets[i], memory_order_relaxed);
        if (!mu_buf_addf(out, "%s_bucket", name) || !add_labels(out, rows[metric].label, value, n, i < BUCKETS ? bound_names[i] : "+Inf")
            || !mu_buf_addf(out, "%llu\n", (unsigned long long)count))
            return false;
    }
    int64_t sum = atomic_load_explicit(&cells[metric][label].value, memory_order_relaxed);
    return mu_buf_addf(out, "%s_sum", name) && add_labels(out, rows[metric].label, value, n, NULL)
        && mu_buf_addf(out, "%lld.%06lld\n", (long long)(sum / 1000000), (long long)(sum % 1000000))
        && mu_buf_addf(out, "%s_count", name) && add_labels(out, rows[metric].label, value, n, NULL)
        && mu_buf_addf(out, "%llu\n", (unsigned long long)count);
}

static bool add_cell(mu_buf *out, unsigned metric, unsigned label, const char *value, size_t n)
{
    if (rows[metric].type == HISTOGRAM)
        return add_histogram(out, metric, label, value, n);
    return mu_buf_adds(out, rows[metric].name) && add_labels(out, rows[metric].label, value, n, NULL)
        && mu_buf_addf(out, "%lld\n", (long long)atomic_load_explicit(&cells[metric][label].value, memory_order_relaxed));
}

bool mu_metrics_text(mu_buf *out)
{
    static const char *const types[] = { "counter", "gauge", "histogram" };
    for (unsigned i = 0; i < MU_METRIC_MAX; i++) {
        if (!mu_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name, types[rows[i].type]))
            return false;
        const char *at = rows[i].values;
        unsigned label = 0;
        do {
            size_t n = strcspn(at, " ");
            if (!add_cell(out, i, label, at, n))
                return false;
            at += n + strspn(at + n, " ");
        } while (*at != '\0' && ++label < LABELS_MAX);
    }
    return true;
}
