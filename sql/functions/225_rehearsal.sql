-- What a rehearsal needs to know: the version, who fills its roles, the profiles it names, and the playbooks it may call, each in the
-- version that a run would take today.
drop function if exists playbook_rehearsal(text, int);
create function playbook_rehearsal(slug text, wanted int) returns table(body jsonb, document jsonb, around jsonb) language plpgsql stable as $$
#variable_conflict use_column
declare v playbook_version%rowtype;
begin
  select x.* into v from playbook_version x join playbook p on p.id = x.playbook_id where p.slug = playbook_rehearsal.slug and x.version = wanted;
  if not found then perform refuse('MU404', 'error.playbook.version'); end if;
  return query
    with recursive called(slug, body) as (
      select playbook_rehearsal.slug, v.body
      union
      select p.slug, x.body from called c
        cross join lateral (select distinct split_part(n #>> '{}', '@', 1) as slug from jsonb_path_query(c.body, '$.**.playbook') n where jsonb_typeof(n) = 'string') n
        join playbook p on p.slug = n.slug
        join lateral (select y.body from playbook_version y where y.playbook_id = p.id and y.state = 'published' order by y.version desc limit 1) x on true)
    select jsonb_build_object('slug', playbook_rehearsal.slug, 'version', v.version, 'title', v.title, 'state', v.state), v.body, jsonb_build_object(
      'roles', (select coalesce(jsonb_object_agg(r.role, r.people), '{}') from (
        select k as role, (select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'name', person_label(p.id)) order by h.deputy, h.position, p.id), '[]')
          from role_holder h join person p on p.id = h.person_id and p.active where h.role = k) as people
        from jsonb_object_keys(case when jsonb_typeof(v.body -> 'roles') = 'object' then v.body -> 'roles' else '{}' end) k) r),
      'facts', coalesce(setting_get('org_facts', '{}'), '{}'),
      'profiles', (select coalesce(jsonb_agg(f.body), '[]') from (
        select distinct on (f.id) f.body from report_profile f where f.id in (select n #>> '{}' from called c, jsonb_path_query(c.body, '$.**.profile') n where jsonb_typeof(n) = 'string')
        order by f.id, f.version desc) f),
      'playbooks', (select coalesce(jsonb_object_agg(c.slug, c.body), '{}') from called c));
end $$;
