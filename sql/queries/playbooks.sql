-- name: playbook_store(slug text, body jsonb, sha256 text, format text, source text, findings jsonb, state text) -> one
-- state: draft or published. Used by the import and by `muster seed`.
select playbook, version, made from playbook_store($1::text, $2::jsonb, $3::text, $4::text, $5::text, $6::jsonb, $7::text);

-- name: playbook_import_check() -> exec
select playbook_must_write();

-- name: playbooks(q text) -> one
select playbook_list(nullif($1::text, ''))::text as body;

-- name: playbook_get(playbook text, version int, lang text) -> one
select body::text as body, document::text as document, source, findings::text as findings from playbook_get($1::text, $2::int, $3::text);

-- name: playbook_lacks(needs jsonb) -> one
select playbook_lacks($1::jsonb) as lacks;

-- name: playbook_edit_get(playbook text) -> one
select body::text as body, document::text as document, source, etag from playbook_edit_get($1::text);

-- name: playbook_draft_save(playbook text, etag text, source text, body jsonb, sha256 text, format text, findings jsonb) -> one
select version, revision, changed from playbook_draft_save($1::text, $2::text, $3::text, $4::jsonb, $5::text, $6::text, $7::jsonb);

-- name: playbook_pair(playbook text, from int, to int) -> one
select body::text as body, older::text as older, newer::text as newer from playbook_pair($1::text, $2::int, $3::int);

-- name: playbook_runs(playbook text, version int, cursor text, limit int) -> one
select r.body::text as body, r.next from playbook_runs($1::text, $2::int, $3::text, $4::int) r;

-- name: playbook_submit(playbook text, version int, note text) -> one
select '{}' as body, '/playbooks/' || $1::text || '/versions/' || $2::int as location from playbook_submit($1::text, $2::int, $3::text);

-- name: playbook_withdraw(playbook text, version int) -> one
select '{}' as body, '/playbooks/' || $1::text || '/versions/' || $2::int as location from playbook_withdraw($1::text, $2::int);

-- name: playbook_return(playbook text, version int, reason text) -> one
select '{}' as body, '/playbooks/' || $1::text || '/versions/' || $2::int as location from playbook_return($1::text, $2::int, $3::text);

-- name: playbook_waive(playbook text, version int, finding text, reason text) -> one
select '{}' as body, '/playbooks/' || $1::text || '/versions/' || $2::int as location from playbook_waive($1::text, $2::int, $3::text, $4::text);

-- name: playbook_recheck(playbook text, version int) -> one
select source, document::text as document, state from playbook_recheck($1::text, $2::int);

-- name: playbook_publish(playbook text, version int, findings jsonb, note text, let_pass text) -> one
select outcome, n from playbook_publish($1::text, $2::int, $3::jsonb, $4::text, $5::text);

-- name: playbook_retire(playbook text, version int, reason text) -> one
select '{}' as body, '/playbooks/' || $1::text || '/versions/' || $2::int as location from playbook_retire($1::text, $2::int, $3::text);

-- name: playbook_whole(playbook text, version int) -> one
select body::text as body, document::text as document, source, format, sha256 from playbook_whole($1::text, $2::int);

-- name: playbook_picture(playbook text, version int, lang text, colours text) -> one
select svg, state, error, $4::text as colours from playbook_picture_get($1::text, $2::int, $3::text);

-- name: playbook_files(published boolean) -> many
-- Used by `muster playbook pull`.
select slug, version, state, sha256, format, source, document::text as document from playbook_files($1::boolean);

-- name: playbook_newest(playbook text) -> one
-- Used by `muster playbook push`; a row of nulls when there is none.
select v.version, v.state, v.body_sha256 as sha256 from (select 1) one
  left join lateral (select x.* from playbook_version x join playbook p on p.id = x.playbook_id where p.slug = $1::text order by x.version desc limit 1) v on true;

-- name: playbook_act_as(login text) -> one
-- The person whose drafts `muster playbook push` makes: whoever may run the program with the database may say who it is.
select set_config('muster.me', p.id::text, true) as me,
    set_config('muster.roles', array_to_string(roles_effective(array(select r.role from person_role r where r.person_id = p.id)), ' '), true) as roles, playbook_must_write()
from person p where p.login = $1::text and p.active;

-- name: playbook_source(slug text, version int) -> one
-- What a version was made of, for exports; without a version the published one, else the newest.
select v.body::text as document, v.source_format as format, v.source_text as source, v.version::text as version, iso(v.created_at) as modified,
  iso((select min(f.created_at) from playbook_version f where f.playbook_id = v.playbook_id)) as created
from playbook p join playbook_version v on v.playbook_id = p.id
where p.slug = $1::text and ($2::int is null or v.version = $2::int)
order by v.state = 'published' desc, v.version desc limit 1;

-- name: playbook_rehearsal(playbook text, version int) -> one
select body, document, around from playbook_rehearsal($1::text, $2::int);
