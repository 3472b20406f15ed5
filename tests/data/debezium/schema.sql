create extension if not exists hstore;
create type mood as enum ('sad','ok','happy');
create table public.orders(
  id int primary key,
  sku varchar(20) not null,
  qty smallint default 1,
  big bigint,
  price numeric(10,2),
  free_num numeric,
  r4 real, f8 double precision, ok boolean,
  d date, t time, t3 time(3), ttz timetz, ts timestamp, ts3 timestamp(3), tz timestamptz,
  iv interval,
  bin bytea, js json, jb jsonb, tags text[], nums int[], decs numeric(8,2)[], u uuid, m mood, h hstore,
  ip inet, bits bit(8), mon money, ch char(4), pt point, xm xml,
  big_text text
);
