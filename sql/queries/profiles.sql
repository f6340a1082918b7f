-- Report profiles, as the program loads them.

-- name: profile_store(profile jsonb) -> one
select profile_store($1::jsonb) as version;

-- name: profile_get(profile text) -> one
select body, version from report_profile where id = $1::text order by version desc limit 1;
