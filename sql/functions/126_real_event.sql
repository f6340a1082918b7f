-- A drill meets reality: one act stops the drill and declares a real incident. Nothing of the drill but its reference goes over.

-- The drill, and the real incident that interrupted it, as either page mentions the other.
create or replace function incident_links(i incident) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'stopped_drill', (select jsonb_build_object('ref', d.ref) from incident d where d.id = i.stopped_drill),
    'real_event', (select jsonb_build_object('ref', e.ref, 'title', e.title) from incident e where e.stopped_drill = i.id order by e.declared_at desc limit 1)))
$$;

-- body as for a declaration: title, severity, services, …, reason. Gives what incident_declare() gives, and the drill's runs that are to be
-- stopped with the event they learn by.
create or replace function incident_real(ref text, body jsonb) returns jsonb language plpgsql as $$
declare d incident%rowtype := incident_lock(ref); v jsonb; v_why text;
begin
  if not (has_role('responder') or has_role('risk') or has_role('approver'))
     and not exists (select 1 from incident_role r where r.incident_id = d.id and r.person_id = me() and r.until is null) then
    perform refuse('MU403', 'error.run.role', '');
  end if;
  if d.kind <> 'drill' then perform refuse('MU409', 'error.incident.not_drill', ''); end if;
  perform incident_must_be_open(d);
  v := incident_declare((body - 'reason') || '{"kind":"incident"}');
  v_why := (v ->> 'ref') || ' ' || coalesce(nullif(body ->> 'reason', ''), body ->> 'title');
  update incident x set stopped_drill = d.id where x.id = (v ->> 'incident')::uuid;
  perform timeline_add((v ->> 'incident')::uuid, null, 'drill_stopped', null, jsonb_build_object('drill', d.ref));
  perform timeline_add(d.id, null, 'drill_stopped', body ->> 'reason', jsonb_build_object('real', v ->> 'ref'));
  update incident x set version = version + 1 where x.id = d.id;
  return v || jsonb_build_object('runs', incident_open_runs(d.id), 'stop', jsonb_build_object('kind', 'stop_drill', 'reason', v_why));
end $$;
