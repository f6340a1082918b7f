-- Plans: what the tables themselves refuse, whatever the program does.
begin;
set client_min_messages = warning;
select plan(9);
insert into person(id, login, name) values ('00000000-0000-0000-0000-0000000000a1', 'ann', '"Ann"'), ('00000000-0000-0000-0000-0000000000a2', 'bob', '"Bob"');
insert into plan(id, slug, kind, owner_id, created_at) values ('00000000-0000-0000-0000-0000000000b1', 'p', 'special', '00000000-0000-0000-0000-0000000000a1', now());
insert into plan_version(plan_id, version, state, title, body, authors, created_at, changed_at, approved_at, approved_by, content_sha256, in_force)
  values ('00000000-0000-0000-0000-0000000000b1', 1, 'in_force', '"t"', '{"sections":[]}', '{00000000-0000-0000-0000-0000000000a1}', now(), now(), now(), '00000000-0000-0000-0000-0000000000a2', 'x', tstzrange(now(), null));
select throws_like($$insert into plan_version(plan_id, version, state, title, body, created_at, changed_at, approved_at, approved_by, content_sha256, in_force)
  values ('00000000-0000-0000-0000-0000000000b1', 2, 'superseded', '"t"', '{}', now(), now(), now(), '00000000-0000-0000-0000-0000000000a2', 'x', tstzrange(now() + interval '1 day', now() + interval '2 days'))$$, '%plan_one_in_force%', 'two approved versions never overlap');
select throws_like($$insert into plan_version(plan_id, version, state, title, body, created_at, changed_at, approved_at, approved_by, content_sha256, in_force)
  values ('00000000-0000-0000-0000-0000000000b1', 2, 'in_force', '"t"', '{}', now(), now(), now(), '00000000-0000-0000-0000-0000000000a2', 'x', tstzrange(now() - interval '2 days', now() - interval '1 day'))$$, '%plan_version_current%', 'one version is in force');
select throws_like($$insert into plan_version(plan_id, version, state, title, body, authors, created_at, changed_at, approved_at, approved_by, content_sha256, in_force)
  values ('00000000-0000-0000-0000-0000000000b1', 2, 'superseded', '"t"', '{}', '{00000000-0000-0000-0000-0000000000a2}', now(), now(), now(), '00000000-0000-0000-0000-0000000000a2', 'x', tstzrange(now() - interval '2 days', now() - interval '1 day'))$$, '%plan_two_people%', 'an author does not approve');
select throws_like($$update plan_version set body = '{"sections":[1]}' where version = 1$$, '%never changes%', 'an approved version is not edited');
select throws_like($$delete from plan_version where version = 1$$, '%never changed%', 'nor deleted');
insert into plan_version(plan_id, version, state, title, body, created_at, changed_at) values ('00000000-0000-0000-0000-0000000000b1', 2, 'draft', '"t"', '{}', now(), now());
select throws_like($$insert into plan_version(plan_id, version, state, title, body, created_at, changed_at) values ('00000000-0000-0000-0000-0000000000b1', 3, 'draft', '"t"', '{}', now(), now())$$, '%plan_version_open%', 'one draft at a time');
insert into plan_cited(plan_id, version, section, kind, name, fact, hash, at) values ('00000000-0000-0000-0000-0000000000b1', 1, 's', 'person', 'ann', '{}', 'x', now());
select throws_like($$update plan_cited set hash = 'y'$$, '%never changed%', 'what was cited stays as it was');
select is(plan_text('见 {{objective:a}}、{{ person:b.c }}、{{objective:d}}', '{"objective:a":{"was":{"text":{"zh":"1小时"}},"now":{"known":true,"text":{"zh":"2小时"}},"cause":"objective_changed"},"person:b.c":{"was":{"text":{"zh":"王_敏"}},"now":{"known":true,"text":{"zh":"王_敏"}},"cause":null}}', 'zh'),
  '见 1小时 → **2小时**、王\_敏、`objective:d`', 'a text shows the value at approval, and today''s where it differs');
select is(plan_slugs('"a, b b；c"'), '["a", "b", "c"]', 'short names as people type them');
select * from finish();
rollback;
