-- The 50 newest incidents with everything a row of our list shows, as columns.
select i.ref, i.kind, i.title, i.severity, i.state, i.occurred_at, i.declared_at, i.resolved_at,
  p.id, p.login, p.name, s.list as services, c.due_at as next_update
from incident i left join person p on p.id = i.commander_id
left join lateral (select json_agg(json_build_object('slug', v.slug, 'name', v.name, 'impact', x.impact) order by x.since, v.slug) as list
  from incident_service x join service v on v.id = x.service_id where x.incident_id = i.id) s on true
left join incident_clock c on c.incident_id = i.id and c.kind = 'next_update' and c.stopped_at is null
order by i.declared_at desc, i.id desc limit 50;
