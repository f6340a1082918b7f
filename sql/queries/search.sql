-- name: search(q text) -> one
select search_doc($1::text) as body;
