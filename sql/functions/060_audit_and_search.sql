-- Reading the audit log, checking its chain, and finding things.

create or replace function audit_row(e audit_event) returns jsonb language sql stable as $$
  select jsonb_build_object('seq', e.seq, 'at', iso(e.at), 'actor', e.actor, 'actor_name', e.actor_name, 'action', e.action, 'object', e.object, 'data', e.data,
    'prev_hash', e.prev_hash, 'hash', e.hash)
$$;

-- The first number between `least` and `most` whose hash or link is wrong; null when all hold.
create or replace function audit_first_bad(lowest bigint, highest bigint) returns bigint language sql stable as $$
  select min(x.seq) from (
    select e.seq, e.hash, e.prev_hash, lag(e.hash) over (order by e.seq) as before, lag(e.seq) over (order by e.seq) as seq_before,
      sha256_hex(e.prev_hash || canonical(audit_row(e) - 'prev_hash' - 'hash')) as again
    from audit_event e where e.seq between lowest and highest) as x
  where x.again <> x.hash or (x.before is not null and (x.prev_hash <> x.before or x.seq <> x.seq_before + 1)) or (x.seq = 1 and x.prev_hash <> repeat('0', 64))
$$;

create or replace function audit_actions() returns text[] language sql stable as $$
  with recursive a(action) as (
    (select e.action from audit_event e order by e.action limit 1)
    union all
    select (select e.action from audit_event e where e.action > a.action order by e.action limit 1) from a where a.action is not null)
  select coalesce(array_agg(a.action order by a.action), '{}') from a where a.action is not null
$$;

drop function if exists audit_page(text, text, text, text, int);
create function audit_page(action text, object text, verify text, after text, most int) returns table(body jsonb, next text)
language plpgsql stable set plan_cache_mode to force_custom_plan as $$
declare take int := least(coalesce(most, 50), 200); list jsonb; top bigint; bad bigint;
  a text := nullif(audit_page.action, ''); o text := nullif(btrim(audit_page.object), '');
begin
  select coalesce(jsonb_agg(audit_row(x.e) || jsonb_build_object('details', (select jsonb_agg(jsonb_build_object('name', d.key, 'value', case jsonb_typeof(d.value) when 'string' then d.value #>> '{}' else d.value::text end) order by d.key)
             from jsonb_each((x.e).data) d)) order by x.rn) filter (where x.rn <= take), '[]'),
         case when count(*) > take then (array_agg((x.e).seq::text order by x.rn))[take] end
    into list, audit_page.next
    from (select e, row_number() over (order by e.seq desc) as rn from audit_event e
          where (a is null or e.action = a) and (o is null or e.object = o) and (nullif(after, '') is null or e.seq < after::bigint)
          order by e.seq desc limit take + 1) as x;
  select max(e.seq) into top from audit_event e;
  audit_page.body := jsonb_build_object('items', list, 'actions', choices(audit_actions(), a), 'object', o, 'last', top, 'filtered', a is not null or o is not null);
  if verify = 'on' then
    bad := audit_first_bad(greatest(1, top - 4999), top);
    audit_page.body := audit_page.body || jsonb_build_object('verified', jsonb_build_object('from', greatest(1, top - 4999), 'to', top, 'good', bad is null, 'bad', bad));
  end if;
  return next;
end $$;

-- A piece of the chain, complete enough to be checked with no database. The first hash it stands on is in the first event.
create or replace function audit_export(after bigint, most int) returns jsonb language sql stable as $$
  select jsonb_build_object('format', 'muster-audit-1', 'exported_at', iso(app_now()), 'count', count(*), 'first', min((x.e).seq), 'last', max((x.e).seq),
    'events', coalesce(jsonb_agg(audit_row(x.e) order by (x.e).seq), '[]'))
  from (select e from audit_event e where e.seq > coalesce(audit_export.after, 0) order by e.seq limit least(coalesce(most, 20000), 50000)) as x
$$;

-- What is called like `q`, a few of each kind; from one character on, two and more through the indexes.
create or replace function search_doc(q text) returns jsonb language plpgsql stable set plan_cache_mode to force_custom_plan as $$
declare w text := nullif(btrim(q), ''); g text[]; incidents jsonb; services jsonb; people jsonb; playbooks jsonb;
begin
  if w is null then return jsonb_build_object('q', null, 'empty', true, 'asked', false); end if;
  w := left(w, 100);
  g := search_grams(w);
  select jsonb_agg(jsonb_build_object('ref', x.ref, 'title', x.title, 'kind', x.kind, 'drill', x.kind = 'drill', 'severity', x.severity, 'state', x.state, 'declared_at', iso(x.declared_at)) order by x.declared_at desc) into incidents
    from (select i.* from incident i where found_in(w, i.title || ' ' || i.ref) and (length(w) = 1 or search_grams(i.title || ' ' || i.ref) @> g) order by i.declared_at desc limit 10) as x;
  select jsonb_agg(jsonb_build_object('slug', x.slug, 'name', x.name, 'kind', x.kind, 'importance', x.importance) order by service_rank(x.importance), x.slug) into services
    from (select s.* from service s where s.retired_at is null and found_in(w, search_text(s.name, s.slug)) and (length(w) = 1 or search_grams(search_text(s.name, s.slug)) @> g)
          order by service_rank(s.importance), s.slug limit 10) as x;
  select jsonb_agg(jsonb_build_object('id', x.id, 'name', x.name, 'title', x.title, 'department', x.department) order by sort_name(x.name) collate "zh-x-icu", x.id) into people
    from (select p.* from person p where p.active and found_in(w, search_text(p.name, p.login)) and (length(w) = 1 or search_grams(search_text(p.name, p.login)) @> g)
          order by sort_name(p.name) collate "zh-x-icu", p.id limit 10) as x;
  select jsonb_agg(jsonb_build_object('slug', x.slug, 'title', x.title) order by x.slug) into playbooks
    from (select distinct on (b.slug) b.slug, v.title from playbook b join playbook_version v on v.playbook_id = b.id and v.state = 'published'
          where b.archived_at is null and found_in(w, search_text(v.title, b.slug)) order by b.slug, v.version desc limit 10) as x;
  return jsonb_build_object('q', w, 'asked', true, 'incidents', coalesce(incidents, '[]'), 'services', coalesce(services, '[]'), 'people', coalesce(people, '[]'),
    'playbooks', coalesce(playbooks, '[]'), 'empty', coalesce(incidents, services, people, playbooks) is null);
end $$;
