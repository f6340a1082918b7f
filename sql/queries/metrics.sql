-- What /metrics says of the database, besides outbox_numbers(). Incidents only: a drill must not ring an alarm.

-- name: metrics_incidents() -> many
select severity, count(*)::text as n from incident where state <> 'closed' and kind = 'incident' group by severity;

-- name: counters_add(names jsonb, values jsonb) -> exec
insert into counter as c(name, value)
select n #>> '{}', v.value::bigint from jsonb_array_elements($1::jsonb) with ordinality x(n, at) join jsonb_array_elements_text($2::jsonb) with ordinality v(value, at) using (at)
where v.value::bigint > 0 order by 1
on conflict (name) do update set value = c.value + excluded.value;

-- name: counters() -> many
select name, value::text from counter;
