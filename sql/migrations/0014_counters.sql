-- What workers have done since this installation began, for /metrics of the servers: counters that outlive processes.
create table counter(name text primary key, value bigint not null);
