-- What /metrics says of the database, besides outbox_numbers(). Incidents only: a drill must not ring an alarm.

-- name: metrics_incidents() -> many
select severity, count(*)::text as n from incident where state <> 'closed' and kind = 'incident' group by severity;
