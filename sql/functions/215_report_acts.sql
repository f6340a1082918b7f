-- What people do with reports to regulators: edit, approve, send, file, decline, and have papers made of them. Each locks the incident
-- first and then the report.

-- Locks incident and report, in this order, and checks the edit's base.
create or replace function report_lock(ref text, etag text default null) returns report language plpgsql as $$
declare r report%rowtype;
begin
  perform 1 from incident i where i.id = (select x.incident_id from report x where x.ref = report_lock.ref) for update;
  select * into r from report x where x.ref = report_lock.ref for update;
  if not found then perform refuse('MU404', 'error.report.unknown'); end if;
  perform etag_check(etag, r.version);
  return r;
end $$;

create or replace function report_note(r report, kind text, words text, data jsonb) returns void language sql volatile as $$
  select timeline_add(r.incident_id, null, kind, words, jsonb_build_object('report', r.ref, 'profile', r.profile, 'stage', r.stage,
    'name', (select p.body -> 'name' from report_profile p where p.id = r.profile and p.version = r.profile_version)) || data)
$$;

-- What came in for one field, in the form it is kept in; refused by its name when it has not the field's type.
create or replace function report_value(field jsonb, value jsonb, pointer text) returns jsonb language plpgsql stable as $$
declare t text := replace(btrim(value #>> '{}'), E'\r\n', E'\n'); at timestamptz;
begin
  if t is null or t = '' then return null; end if;
  if length(t) > 8000 then perform refuse('MU422', 'error.report.long', pointer); end if;
  case field ->> 'type'
    when 'datetime' then
      begin
        at := case when t ~ '(Z|[+-]\d\d:?\d\d)$' then t::timestamptz else t::timestamp at time zone page_zone() end;
      exception when others then
        perform refuse('MU422', 'error.time', pointer);
      end;
      return to_jsonb(iso(at));
    when 'integer' then
      if t !~ '^\d{1,15}$' then perform refuse('MU422', 'error.fact.integer', pointer); end if;
      return to_jsonb(t::bigint);
    when 'enum' then
      if field ? 'enum' and not field -> 'enum' ? t then perform refuse('MU422', 'error.fact.choice', pointer); end if;
      return to_jsonb(t);
    else
      return to_jsonb(t);
  end case;
end $$;

-- The incident a person opens a report for.
create or replace function report_may_open(ref text) returns uuid language plpgsql as $$
declare i incident%rowtype;
begin
  if not report_may_write() then perform refuse('MU403', 'error.report.role'); end if;
  select * into i from incident x where x.ref = report_may_open.ref;
  if not found then perform refuse('MU404', 'error.incident.unknown'); end if;
  return i.id;
end $$;

-- Facts that a report asks for; they belong to the incident, so every report of it sees them.
create or replace function report_facts(ref text, b jsonb) returns uuid language plpgsql as $$
declare i incident%rowtype;
begin
  if not report_may_write() then perform refuse('MU403', 'error.report.role'); end if;
  select x.* into i from report r join incident x on x.id = r.incident_id where r.ref = report_facts.ref;
  if not found then perform refuse('MU404', 'error.report.unknown'); end if;
  -- a form sends every question: one that came empty takes its answer back
  if coalesce((b ->> 'whole')::bool, false) then
    b := jsonb_build_object('reason', b -> 'reason', 'facts', coalesce((select jsonb_object_agg(f ->> 'fact', null) from report r
        join report_profile p on p.id = r.profile and p.version = r.profile_version, jsonb_array_elements(p.body -> 'facts') f
        where r.ref = report_facts.ref and i.facts ? (f ->> 'fact')), '{}') || coalesce(b -> 'facts', '{}'));
  end if;
  perform incident_facts(i.ref, b);
  return i.id;
end $$;

-- Edits fields. `whole`: the form held every field, so one that is missing was emptied. A field left as it was keeps its provenance.
create or replace function report_edit(ref text, etag text, b jsonb) returns jsonb language plpgsql as $$
declare r report := report_lock(ref, etag); p jsonb; f jsonb; v jsonb; old jsonb; given jsonb := coalesce(b -> 'values', '{}'); changed text[] := '{}'; bad text;
begin
  if not report_may_write() then perform refuse('MU403', 'error.report.role'); end if;
  if r.state <> 'draft' then perform refuse('MU409', 'error.report.not_draft'); end if;
  select x.body into p from report_profile x where x.id = r.profile and x.version = r.profile_version;
  select k into bad from jsonb_object_keys(given) k where not exists (
    select 1 from jsonb_array_elements(p -> 'fields') x where x ->> 'key' = k and x -> 'required' ? r.stage) limit 1;
  if bad is not null then perform refuse('MU422', 'error.report.field', '/values/' || bad, jsonb_build_object('name', bad)); end if;
  for f in select x from jsonb_array_elements(p -> 'fields') x where x -> 'required' ? r.stage
      and (given ? (x ->> 'key') or coalesce((b ->> 'whole')::bool, false)) loop
    v := report_value(f, given -> (f ->> 'key'), '/values/' || (f ->> 'key'));
    old := r.fields #> array[f ->> 'key', 'value'];
    continue when coalesce(v #>> '{}', '') = coalesce(old #>> '{}', '');
    continue when f ->> 'type' = 'datetime' and v is not null and old is not null
      and date_trunc('minute', (old #>> '{}')::timestamptz) = (v #>> '{}')::timestamptz;
    r.fields := r.fields || jsonb_build_object(f ->> 'key', jsonb_build_object('value', v, 'by', me(), 'at', iso(app_now()),
      'from', jsonb_build_object('kind', 'person')));
    changed := changed || (f ->> 'key');
  end loop;
  if cardinality(changed) > 0 then
    update report x set fields = r.fields, changed_at = app_now(), version = x.version + 1 where x.id = r.id returning * into r;
    perform report_note(r, 'report_edited', null, jsonb_build_object('fields', to_jsonb(changed)));
  end if;
  return report_get(r.ref);
end $$;

-- A second person says it is right: the content is frozen with its hash. Mandatory fields may be empty only when that is said.
create or replace function report_approve(ref text, etag text, b jsonb) returns report language plpgsql as $$
declare r report := report_lock(ref, etag); v jsonb;
begin
  if not (has_role('approver') or has_role('commander')) then perform refuse('MU403', 'error.report.approve_role'); end if;
  if me() = any(report_authors(r)) then perform refuse('MU403', 'error.report.own'); end if;
  if r.state = 'approved' and r.run_id is not null and r.approved_by <> me() then return r; end if;   -- another signature for the playbook
  if r.state <> 'draft' then perform refuse('MU409', 'error.report.not_draft'); end if;
  v := report_content(r);
  if v -> 'missing' <> '[]' and not coalesce((b ->> 'incomplete')::bool, false) then
    perform refuse('MU422', 'error.report.missing', '/incomplete', jsonb_build_object('names',
      (select string_agg(pick(m -> 'label'), case my_lang() when 'en' then ', ' else '、' end) from jsonb_array_elements(v -> 'missing') m)));
  end if;
  update report x set state = 'approved', approved_by = me(), approved_at = app_now(), frozen = v, frozen_sha256 = sha256_hex(canonical(v)),
    recheck_at = null, changed_at = app_now(), version = x.version + 1 where x.id = r.id returning * into r;
  perform report_note(r, 'report_approved', b ->> 'note', jsonb_build_object('sha256', r.frozen_sha256, 'missing', v -> 'missing'));
  return r;
end $$;

-- Back to a draft: only while nothing has gone out.
create or replace function report_reopen(ref text, etag text, b jsonb) returns report language plpgsql as $$
declare r report := report_lock(ref, etag);
begin
  if not report_may_send() then perform refuse('MU403', 'error.report.role'); end if;
  if r.state not in ('approved','not_reportable') or r.filed_at is not null then perform refuse('MU409', 'error.report.gone_out'); end if;
  update report x set state = 'draft', approved_by = null, approved_at = null, frozen = null, frozen_sha256 = null, filing = null,
    recheck_at = '-infinity', changed_at = app_now(), version = x.version + 1 where x.id = r.id returning * into r;
  update incident_clock c set stopped_at = null where c.incident_id = r.incident_id and c.kind = 'report' and c.subject = r.ref;
  perform report_note(r, 'report_reopened', b ->> 'reason', '{}');
  return r;
end $$;

-- The whole frozen text, for mails: a receiver needs no account here.
create or replace function report_words(c jsonb, lang text) returns text language sql stable as $$
  select concat_ws(E'\n', coalesce(c #>> array['profile','name',lang], c #>> '{profile,name,zh}') || ' · ' || coalesce(c #>> array['stage','name',lang], c #>> '{stage,name,zh}'),
    case lang when 'en' then 'Document number: ' else '文件编号：' end || (c ->> 'ref'),
    case lang when 'en' then 'Level: ' else '级别：' end || coalesce(c #>> array['level',lang], c #>> '{level,zh}', case lang when 'en' then 'not determined' else '未判定' end), '',
    (select string_agg(coalesce(f #>> array['label',lang], f #>> '{label,zh}') || case lang when 'en' then ': ' else '：' end
      || coalesce(f ->> 'text', case lang when 'en' then 'to follow' else '待补报' end), E'\n' order by n) from jsonb_array_elements(c -> 'fields') with ordinality t(f, n)))
$$;

-- Sends the frozen report to a regulator's address, once. A drill's message is kept and never leaves.
create or replace function report_send(ref text, etag text, b jsonb) returns report language plpgsql as $$
declare r report := report_lock(ref, etag); e endpoint%rowtype; v_message uuid;
begin
  if not report_may_send() then perform refuse('MU403', 'error.report.role'); end if;
  if r.state not in ('approved','sent') then perform refuse('MU409', 'error.report.not_approved'); end if;
  select * into e from endpoint x where x.id::text = b ->> 'endpoint' and x.audience = 'regulator' and x.disabled_at is null;
  if not found then perform refuse('MU422', 'error.report.endpoint', '/endpoint'); end if;
  if exists (select 1 from outbox o where o.idem_key = 'report/' || r.id || '/' || left(r.frozen_sha256, 16) || '|' || e.id) then
    perform refuse('MU409', 'error.report.already_sent', '/endpoint');
  end if;
  v_message := message_send(r.incident_id, 'report',
    jsonb_build_object('zh', (r.frozen #>> '{profile,name,zh}') || '：' || (r.frozen #>> '{stage,name,zh}') || '（' || r.ref || '）',
      'en', (r.frozen #>> '{profile,name,en}') || ': ' || (r.frozen #>> '{stage,name,en}') || ' (' || r.ref || ')'),
    jsonb_build_object('zh', report_words(r.frozen, 'zh'), 'en', report_words(r.frozen, 'en')),
    jsonb_build_object('report', r.ref, 'sha256', r.frozen_sha256, 'document', r.frozen), jsonb_build_array(jsonb_build_object('endpoint', e.id)),
    jsonb_build_object('effect', 'once', 'priority', 1, 'event', 'report.sent', 'simulate', r.incident_kind <> 'incident',
      'key', 'report/' || r.id || '/' || left(r.frozen_sha256, 16)));
  update report x set state = case when r.incident_kind = 'incident' then 'sent' else x.state end, sent_at = app_now(), message_id = v_message,
    changed_at = app_now(), version = x.version + 1 where x.id = r.id returning * into r;
  update report x set recheck_at = '-infinity' where x.incident_id = r.incident_id and x.state = 'draft';
  perform report_note(r, 'report_sent', null, jsonb_build_object('address', e.address, 'simulated', r.incident_kind <> 'incident'));
  return r;
end $$;

-- The regulator has it: number, moment and channel stop the clock. A drill's filing is noted, its state stays.
create or replace function report_file(ref text, etag text, b jsonb) returns report language plpgsql as $$
declare r report := report_lock(ref, etag); v_at timestamptz := to_ms(coalesce((b ->> 'at')::timestamptz, app_now()));
begin
  if not report_may_send() then perform refuse('MU403', 'error.report.role'); end if;
  if r.state not in ('approved','sent') then perform refuse('MU409', 'error.report.not_approved'); end if;
  if r.filed_at is not null then perform refuse('MU409', 'error.report.filed'); end if;
  if v_at > app_now() + interval '2 minutes' then perform refuse('MU422', 'error.time.future', '/at'); end if;
  update report x set state = case when x.incident_kind = 'incident' then 'filed' else x.state end, filed_at = v_at,
    filing = jsonb_strip_nulls(jsonb_build_object('number', b ->> 'number', 'channel', b ->> 'channel', 'note', b ->> 'note', 'by', me())),
    changed_at = app_now(), version = x.version + 1 where x.id = r.id returning * into r;
  update incident_clock c set stopped_at = v_at where c.incident_id = r.incident_id and c.kind = 'report' and c.subject = r.ref and c.stopped_at is null;
  update report x set recheck_at = '-infinity' where x.incident_id = r.incident_id and x.state = 'draft';
  perform report_note(r, 'report_filed', b ->> 'note', jsonb_build_object('number', b ->> 'number', 'channel', b ->> 'channel', 'filed_at', iso(v_at), 'simulated', r.incident_kind <> 'incident'));
  return r;
end $$;

-- "Not reportable because …" is a record too.
create or replace function report_decline(ref text, etag text, b jsonb) returns report language plpgsql as $$
declare r report := report_lock(ref, etag);
begin
  if not report_may_send() then perform refuse('MU403', 'error.report.role'); end if;
  if r.state <> 'draft' then perform refuse('MU409', 'error.report.not_draft'); end if;
  update report x set state = 'not_reportable', filing = jsonb_build_object('note', b ->> 'reason', 'by', me(), 'at', iso(app_now())),
    recheck_at = null, changed_at = app_now(), version = x.version + 1 where x.id = r.id returning * into r;
  update incident_clock c set stopped_at = app_now() where c.incident_id = r.incident_id and c.kind = 'report' and c.subject = r.ref and c.stopped_at is null;
  perform report_note(r, 'report_not_reportable', b ->> 'reason', jsonb_build_object('level', r.level, 'facts', r.classification -> 'facts'));
  return r;
end $$;

-- Orders a document; the same content is made once. A failed one is tried again.
create or replace function report_order(ref text, wanted text) returns job language plpgsql as $$
declare r report%rowtype; d jsonb; j job%rowtype;
begin
  select * into r from report x where x.ref = report_order.ref;
  if not found then perform refuse('MU404', 'error.report.unknown'); end if;
  d := report_document(r.ref);
  insert into job as x(kind, subject, model, model_sha256, ordered_by, ordered_at) values (wanted, r.ref, d, report_paper(d), me(), app_now())
  on conflict (kind, subject, model_sha256) do update set state = case when x.state = 'failed' then 'pending' else x.state end,
    error = case when x.state = 'failed' then null else x.error end, error_key = case when x.state = 'failed' then null else x.error_key end,
    attempt = case when x.state = 'failed' then 0 else x.attempt end, ordered_at = case when x.state = 'failed' then excluded.ordered_at else x.ordered_at end
  returning * into j;
  return j;
end $$;

-- The newest document of a kind: its bytes when it is there, else how far it is.
create or replace function report_download(ref text, wanted text)
returns table(body text, status int, media text, file_name text) language plpgsql stable as $$
declare j job%rowtype; r report%rowtype;
begin
  select * into r from report x where x.ref = report_download.ref;
  if not found then perform refuse('MU404', 'error.report.unknown'); end if;
  select * into j from job x where x.subject = r.ref and x.kind = wanted
    order by (x.model_sha256 = report_paper(report_document(r.ref))) desc, (x.state = 'done') desc, x.ordered_at desc limit 1;
  if not found then perform refuse('MU404', 'error.report.not_ordered'); end if;
  if j.state = 'failed' then perform refuse('MU409', coalesce(j.error_key, 'error.report.document')); end if;
  if j.attachment_id is null then
    return query select (report_job(j) || jsonb_build_object('kind', r.incident_kind, 'format', j.kind, 'ref', r.ref))::text, 202, null::text, null::text;
    return;
  end if;
  return query select translate(encode(a.bytes, 'base64'), E'\n', ''), 200, a.media,
    case when r.incident_kind = 'incident' then '' else 'DRILL-' end || r.ref || '.' || j.kind from attachment a where a.id = j.attachment_id;
end $$;
