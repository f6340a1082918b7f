-- The list of incidents in the order it is read, so that a page of it is a walk along the index.
drop index incident_list;
create index incident_list on incident(declared_at desc, id desc);
