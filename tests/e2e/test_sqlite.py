#!/usr/bin/python3 -B
# sqlite3: a script with tables, indices, sorts and joins; figures against the exact count, sqlite3's own beside them.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from e2e import Test, clean_environment, judge_program, need_program  # noqa: E402

SCRIPT = """
create table item(id integer primary key, name text, price real, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000)
insert into item select i, 'item ' || (i * 7919 % 30011), i * 0.25, hex(zeroblob(i % 60)) from n;
create index by_name on item(name);
create table sale(item integer, day integer, amount integer);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000)
insert into sale select i * 31 % 30000 + 1, i % 365, i % 13 from n;
create index by_item on sale(item, day);
select count(*), sum(price), max(length(note)) from item;
select name, sum(amount * price) as total from item join sale on sale.item = item.id
    group by item.id order by total desc, name limit 10;
select day, group_concat(substr(name, 1, 8)) from (select day, name from sale join item on item = id
    order by day, name limit 200) group by day;
update item set note = note || name where id % 3 = 0;
delete from sale where day > 300;
select json_group_array(json_object('id', id, 'n', name)) from item where id < 100;
pragma integrity_check;
"""
SQLITE, = need_program("sqlite3")


def run(env, script=SCRIPT):
    return test.run([SQLITE, "-batch", ":memory:"], env, input=script)


with Test("sqlite3") as test:
    judge_program(test, run)
    own = run(clean_environment(), SCRIPT + ".stats on\nselect 1;\n")
    print("  sqlite3's own accounting:", *[l for l in own.output.splitlines() if l.startswith("Memory Used")])
