#!/usr/bin/python3 -B
# sqlite3: tables, full text, trees, JSON, windows, triggers, WAL with two writers, backup, recovery, vacuum; equal files and integrity checks.
from suite import LONG, Suite, need_program

SQLITE, = need_program("sqlite3")
ROWS = 40000 if LONG else 6000
FILL = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, data BLOB, parent REFERENCES item);
CREATE INDEX item_name ON item(name); CREATE INDEX item_price ON item(price, name) WHERE price > 10;
CREATE TABLE log(at INTEGER, what TEXT) STRICT;
CREATE TRIGGER item_gone AFTER DELETE ON item BEGIN INSERT INTO log VALUES(old.id, 'gone ' || old.name); END;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO item SELECT i, 'name' || (i * 7919 % 10007), (i * 31 % 1000) / 7.0, zeroblob(i % 300), i / 2 FROM n;
DELETE FROM item WHERE id % 11 = 3; UPDATE item SET name = upper(name) WHERE id % 5 = 0;
CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words SELECT name || ' ' || hex(id) || ' word' || (id % 97) FROM item;
CREATE VIRTUAL TABLE box USING rtree(id, x0, x1, y0, y1);
INSERT INTO box SELECT id, id % 100, id % 100 + 5, id % 77, id % 77 + 3 FROM item WHERE id < 3000;
ANALYZE;
"""
ASK = """
.headers on
SELECT count(*), sum(price), avg(length(data)), min(name), max(name) FROM item;
SELECT count(*) FROM words WHERE words MATCH 'word13 OR word4*'; INSERT INTO words(words) VALUES('integrity-check');
SELECT count(*) FROM box WHERE x0 > 20 AND x1 < 60 AND y0 > 10; SELECT rtreecheck('box');
WITH RECURSIVE up(id, depth) AS (SELECT 4999, 0 UNION ALL SELECT item.parent, depth + 1 FROM up JOIN item USING(id) WHERE parent > 0)
SELECT max(depth) FROM up;
SELECT name, n, rank() OVER (ORDER BY n DESC, name) FROM (SELECT name, count(*) n FROM item GROUP BY name) LIMIT 8;
SELECT json_extract(json_group_array(json_object('id', id, 'name', name)), '$[17]') FROM item WHERE id < 900;
SELECT count(DISTINCT a.name) FROM item a JOIN item b ON a.price = b.price AND a.id < b.id WHERE a.id < 400;
EXPLAIN QUERY PLAN SELECT * FROM item WHERE price > 20 ORDER BY name;
.sha3sum
PRAGMA foreign_key_check; PRAGMA integrity_check; PRAGMA quick_check; SELECT nothing FROM nowhere;
.selftest
"""


def work(side):
    def sqlite(title, text, *options, **rest):
        return side.run([SQLITE] + list(options), title=title, input=text, **rest)

    for mode in ("delete", "wal"):
        sqlite("fill " + mode, "PRAGMA journal_mode=%s;\n" % mode + FILL.format(rows=ROWS), mode + ".db")
        sqlite("ask " + mode, ASK, mode + ".db")
    sqlite("settings", "PRAGMA threads=4; PRAGMA cache_size=-200; PRAGMA temp_store=2;\n"
           "CREATE TEMP TABLE t AS SELECT name, price FROM item ORDER BY price, name; SELECT count(*), min(name) FROM t;\n"
           "CREATE INDEX big ON item(data, name); DROP INDEX big; REINDEX;", "delete.db")
    sqlite("dump", ".dump\n", "delete.db")
    side.shell("sqlite3 delete.db .dump | sqlite3 again.db && sqlite3 again.db 'PRAGMA integrity_check' .sha3sum")
    side.shell("sqlite3 wal.db '.backup copy.db' && sqlite3 copy.db 'VACUUM; PRAGMA integrity_check' .sha3sum")
    side.shell("sqlite3 delete.db \"VACUUM INTO 'small.db'\" && sqlite3 small.db 'PRAGMA integrity_check'")
    side.shell("sqlite3 copy.db .recover | sqlite3 recovered.db; sqlite3 recovered.db 'SELECT count(*) FROM item'")
    sqlite("import", ".mode csv\n.import lines.csv lines\nSELECT count(*), sum(b) FROM lines;\n.output out.csv\nSELECT * FROM item;\n"
           ".output stdout\n.mode json\nSELECT id, name FROM item LIMIT 3;\n", "csv.db") if side.shell(
               "seq 1 3000 | sed 's/.*/a&,&,\"x,y\"/' | sed '1i a,b,c' > lines.csv").returncode == 0 else None
    # Two writers at once: the order of their rows is their own, the sums are not.
    side.shell("""
for writer in 1 2; do
    for i in $(seq 20); do echo "INSERT INTO log SELECT value, 'w$writer' FROM generate_series($i, $((i + 20)));"; done |
        sqlite3 -cmd '.timeout 60000' wal.db &
done; wait; wait
sqlite3 wal.db "SELECT what, count(*), sum(at) FROM log WHERE what LIKE 'w%' GROUP BY what ORDER BY what; PRAGMA integrity_check"
""", title="two writers")


# The shell execs its last command; see SETTLED_SECONDS.
with Suite("sqlite", spare=lambda name, arguments: name != "sqlite3") as suite:
    suite.both(work, ignore=lambda path: path.startswith("wal.db"))
