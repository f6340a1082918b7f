/* Counters, gauges and histograms, each a row in metrics.def; Prometheus text 0.0.4. Atomic, lock-free, no label from user text. */
#ifndef MU_METRICS_H
#define MU_METRICS_H

#include <stdint.h>
#include "buf.h"

typedef enum {
#define M(id, type, name, label, values, help) MU_METRIC_##id,
#include "metrics.def"
#undef M
    MU_METRIC_MAX
} mu_metric;

void mu_count(mu_metric metric, unsigned label, uint64_t n);      /* label: index into the row's values, 0 when it has none */
void mu_gauge(mu_metric metric, unsigned label, int64_t value);
void mu_gauge_add(mu_metric metric, unsigned label, int64_t delta);
void mu_observe(mu_metric metric, unsigned label, double seconds);
int64_t mu_metric_value(mu_metric metric, unsigned label);        /* of a counter or gauge */
/* Counters that workers count and servers show. The names are those of the table `counter`. */
typedef struct { const char *name; mu_metric metric; unsigned label; } mu_shared_counter;
#define MU_SHARED_COUNTERS 5
extern const mu_shared_counter mu_shared_counters[MU_SHARED_COUNTERS];
bool mu_metrics_text(mu_buf *out);

#endif
