-- Report profiles, as the program loads them.

-- name: profile_store(profile jsonb) -> one
select profile_store($1::jsonb) as version;
