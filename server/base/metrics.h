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
bool mu_metrics_text(mu_buf *out);

#endif
