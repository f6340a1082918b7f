-- What the checker may know of the house around a playbook (engine/README.md, "Surroundings"), as far as this database tells.

-- What callers must know of a document; the same as mu_playbook_summary() in C.
create or replace function playbook_summary(document jsonb) returns jsonb language sql immutable as $$
  select jsonb_strip_nulls(jsonb_build_object('params', case when jsonb_typeof(document -> 'params') = 'object' then document -> 'params' end,
      'vars', case when jsonb_typeof(document -> 'vars') = 'object' then document -> 'vars' end))
    || jsonb_build_object(
      'calls', (select coalesce(jsonb_agg(distinct c), '[]')
        from jsonb_path_query(document, 'strict $.** ? (@.call.type() == "string" && @.playbook.type() == "string").playbook', '{}', true) c),
      'outside', jsonb_path_exists(document, 'strict $.** ? ((@.http.type() == "string" && !(@.request.method == "GET" || @.request.method == "HEAD")) || @.status.type() == "string"
        || (@.notify.type() == "string" && exists(@.to[*] ? (@ starts with "contact."))))', '{}', true))
$$;

-- Ids and kinds of all steps of a document, wherever they stand.
create or replace function playbook_steps(document jsonb) returns table(id text, kind text) language sql immutable as $$
  select distinct on (e.value #>> '{}') e.value #>> '{}', e.key
  from jsonb_path_query(document, 'strict $.** ? (@.type() == "array")[*] ? (@.type() == "object")', '{}', true) o, jsonb_each(o) e
  where jsonb_typeof(e.value) = 'string' and e.key = any('{task,checklist,decide,approve,notify,http,status,report,wait,set,if,switch,while,for_each,parallel,call,inject,milestone,end}'::text[])
$$;

-- `slug` null: of no playbook in particular. Roles are counted as a run would fill them from the register of role holders.
create or replace function playbook_around(slug text, publishing boolean) returns jsonb language sql stable as $$
  with p as (select x.id from playbook x where x.slug = playbook_around.slug),
  published as (select v.body from p join playbook_version v on v.playbook_id = p.id and v.state = 'published' order by v.version desc limit 1),
  walked as (select r.id, r.incident_id, r.finished_at from p join run r on r.playbook_id = p.id and r.kind = 'drill' and r.finished_at is not null)
  select jsonb_build_object('publishing', coalesce(publishing, false), 'now', iso(app_now()), 'closed', true,
    'groups', (select coalesce(jsonb_object_agg(t.slug, (select count(*) from team_member m join person q on q.id = m.person_id and q.active where m.team_id = t.id)), '{}') from team t),
    'users', (select coalesce(jsonb_agg(q.login), '[]') from person q where q.active),
    'contacts', (select coalesce(jsonb_agg(e.slug), '[]') from endpoint e where e.slug is not null and e.disabled_at is null),
    'channels', (select coalesce(jsonb_agg('webhook.' || e.slug), '[]') from endpoint e where e.kind = 'webhook' and e.slug is not null and e.disabled_at is null),
    'connections', (select coalesce(jsonb_object_agg(c.slug, to_jsonb(c.methods)), '{}') from connection c where c.disabled_at is null),
    'secrets', (select coalesce(jsonb_agg(distinct s.name), '[]') from secret s),
    'components', (select coalesce(jsonb_agg(c.slug), '[]') from component c where not c.is_group),
    'profiles', (select coalesce(jsonb_object_agg(f.id, (select coalesce(jsonb_agg(s ->> 'id'), '[]') from jsonb_array_elements(json_list(f.body -> 'stages')) s)), '{}')
      from (select distinct on (x.id) x.id, x.body from report_profile x order by x.id, x.version desc) f),
    'roles', (select coalesce(jsonb_object_agg(h.role, h.n), '{}')
      from (select x.role, count(*) as n from role_holder x join person q on q.id = x.person_id and q.active group by x.role) h),
    'playbooks', (select coalesce(jsonb_object_agg(b.slug, b.doc), '{}') from (
      select x.slug, jsonb_build_object('latest', max(v.version) filter (where v.state = 'published'),
        'versions', jsonb_object_agg(v.version, playbook_summary(v.body))) as doc
      from playbook x join playbook_version v on v.playbook_id = x.id and v.state in ('published','retired') where x.archived_at is null group by x.slug) b),
    'policy', playbook_policy())
    || coalesce((select jsonb_build_object('kinds', coalesce(jsonb_object_agg(s.id, s.kind), '{}')) from published w, playbook_steps(w.body) s), '{}')
    || case when exists (select 1 from published) then jsonb_build_object('drilled', jsonb_build_object('at', (select iso(max(w.finished_at)) from walked w),
        'roles', (select coalesce(jsonb_agg(distinct i.role), '[]') from walked w join incident_role i on i.incident_id = w.incident_id))) else '{}' end
$$;
