-- Exports: the whole incident as one document that proves itself, its timeline as a table, and the printable page.

create or replace function export_name(i incident, ending text) returns text language sql immutable as $$
  select case when i.kind = 'drill' then 'DRILL-' else '' end || i.ref || ending
$$;

create or replace function timeline_all(incident uuid, ref text) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(timeline_json(e, ref) order by e.seq), '[]') from timeline_event e where e.incident_id = timeline_all.incident
$$;

-- `timeline` holds every field that is hashed, and `document_sha256` is of the canonical form of all the rest: `muster audit verify`
-- recomputes both from the document alone.
create or replace function incident_export(ref text) returns table(body text, media text, file_name text) language plpgsql stable as $$
declare i incident%rowtype := incident_by_ref(ref); rest jsonb;
begin
  rest := jsonb_build_object('format', 'muster-incident-1', 'exported_at', iso(app_now()), 'exported_by', person_ref(me()), 'ref', i.ref,
    'incident', incident_head(i) - '{may_command,may_respond,i_command,now,etag,is,next_update}'::text[], 'facts', i.facts, 'services', incident_services_view(i.id),
    'roles', (select coalesce(jsonb_agg(jsonb_build_object('role', r.role, 'person', person_ref(r.person_id), 'since', iso(r.since), 'until', iso(r.until)) order by r.id), '[]') from incident_role r where r.incident_id = i.id),
    'clocks', incident_clocks(i.id),
    'runs', (select coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'kind', r.kind, 'playbook', p.slug, 'version', r.playbook_version, 'status', r.status, 'created_at', iso(r.created_at), 'finished_at', iso(r.finished_at), 'seq', r.seq, 'last_hash', r.last_hash) order by r.created_at), '[]')
       from run r join playbook p on p.id = r.playbook_id where r.incident_id = i.id),
    'messages', (select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'purpose', m.purpose, 'subject', m.subject, 'text', m.text, 'created_at', iso(m.created_at)) order by m.created_at, m.id), '[]') from message m where m.incident_id = i.id),
    'deliveries', (select coalesce(jsonb_agg((delivery_row(o) - '{may_replay,is,bad,retrying}'::text[]) || jsonb_build_object('message', o.message_id) order by o.id), '[]') from outbox o where o.incident_id = i.id),
    'attachments', (select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'name', a.name, 'media', a.media, 'size', a.size, 'sha256', a.sha256, 'added_at', iso(a.added_at)) order by a.added_at, a.id), '[]') from attachment a where a.incident_id = i.id),
    'last_hash', i.last_hash, 'count', i.seq);
  return query select jsonb_pretty(rest || jsonb_build_object('timeline', timeline_all(i.id, i.ref), 'document_sha256', sha256_hex(canonical(rest)))),
    'application/json'::text, export_name(i, '.json');
end $$;

-- A cell of a CSV file (RFC 4180) that no spreadsheet takes for a formula.
create or replace function csv_cell(t text) returns text language sql immutable as $$
  select case when t is null then '' else '"' || replace(case when t ~ E'^[=+\\-@\t\r]' then '''' || t else t end, '"', '""') || '"' end
$$;

create or replace function incident_csv(ref text) returns table(body text, media text, file_name text) language plpgsql stable as $$
declare i incident%rowtype := incident_by_ref(ref);
begin
  return query select E'\uFEFF' || case my_lang() when 'en' then 'No.,Happened (UTC),Recorded (UTC),Kind,Person,Text,Data,Hash' else '序号,发生时间（UTC）,记录时间（UTC）,类别,人员,内容,数据,哈希' end || E'\r\n'
    || coalesce((select string_agg(concat_ws(',', e.seq::text, csv_cell(iso(e.at)), csv_cell(iso(e.recorded_at)), csv_cell(e.kind), csv_cell(e.actor_name), csv_cell(e.text),
         csv_cell(nullif(e.data, '{}')::text), csv_cell(e.hash)), E'\r\n' order by e.seq) || E'\r\n' from timeline_event e where e.incident_id = i.id), ''),
    'text/csv; charset=utf-8'::text, export_name(i, '.csv');
end $$;

create or replace function incident_print(ref text) returns text language plpgsql stable as $$
declare i incident%rowtype := incident_by_ref(ref);
begin
  return (incident_head(i) || jsonb_build_object('services', incident_services_view(i.id), 'clocks', incident_clocks(i.id), 'roles', incident_roles_view(i.id),
    'runs', (select coalesce(jsonb_agg(run_view(r, true) order by r.created_at), '[]') from run r where r.incident_id = i.id),
    'timeline', (select coalesce(jsonb_agg(timeline_view(e::timeline_event) order by e.seq), '[]') from (select * from timeline_event t where t.incident_id = i.id order by t.seq desc limit 2000) e),
    'cut', i.seq > 2000, 'last_hash', i.last_hash))::text;
end $$;

-- The bytes as hexadecimal text (\x…), which the sender turns back.
drop function if exists attachment_get(uuid);
create function attachment_get(p_id uuid) returns table(body text, media text, file_name text) language plpgsql stable as $$
begin
  if not exists (select 1 from attachment a where a.id = p_id) then perform refuse('MU404', 'error.attachment.unknown', ''); end if;
  return query select '\x' || encode(a.bytes, 'hex'), a.media, case when i.kind = 'drill' and a.name not like 'DRILL-%' then 'DRILL-' else '' end || a.name
    from attachment a left join incident i on i.id = a.incident_id where a.id = p_id;
end $$;
