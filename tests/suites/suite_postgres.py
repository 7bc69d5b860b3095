#!/usr/bin/python3 -B
# postgres: a cluster with checksums under several clients, pgbench, parallel queries, indexes of all kinds, dump and restore, a backend's crash, restart.
import glob
import os
import re
import shutil
import signal

from suite import LONG, Suite, need_program

BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
if not BIN or os.geteuid() != 0:
    need_program("a PostgreSQL server, and root to become the user postgres,")
BIN = BIN[-1]
ROWS = 60000 if LONG else 6000
SQL = """
CREATE EXTENSION amcheck; CREATE EXTENSION pgcrypto;
CREATE TABLE item(id int PRIMARY KEY, name text, price numeric(10, 2), tags int[], doc jsonb, place point, body tsvector);
INSERT INTO item SELECT i, 'name' || i * 7919 %% 10007, i * 31 %% 1000 / 7.0, ARRAY[i %% 7, i %% 11], jsonb_build_object('n', i, 's', repeat('x', i %% 60)), point(i %% 100, i %% 77), to_tsvector('english', 'word' || i %% 97 || ' running dogs ' || i) FROM generate_series(1, %d) i;
CREATE INDEX ON item(name); CREATE INDEX ON item USING gin(tags); CREATE INDEX ON item USING gin(body); CREATE INDEX ON item USING gist(place); CREATE INDEX ON item USING brin(price); CREATE INDEX ON item USING hash(name); CREATE INDEX ON item((doc->>'n'));
ANALYZE;
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF n > 5 THEN RAISE NOTICE 'n is %%', n; END IF; RETURN n * 2; EXCEPTION WHEN others THEN RETURN NULL; END $$;
SELECT twice(3), twice(7); SELECT count(*), sum(price), md5(string_agg(name, ',' ORDER BY id)) FROM item;
SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT tags[1], count(*), avg(price), max(doc->>'s') FROM item GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM item WHERE body @@ to_tsquery('word13 | dog') AND tags @> ARRAY[3]; SELECT count(*) FROM item WHERE place <@ box(point(10, 10), point(40, 40));
SET work_mem = '64kB'; SELECT md5(string_agg(x, '')) FROM (SELECT name || price AS x FROM item ORDER BY price DESC, id) s; SELECT count(*) FROM item a JOIN item b ON a.name = b.name; RESET work_mem;
WITH RECURSIVE up(id, n) AS (SELECT 5000, 0 UNION ALL SELECT id / 2, n + 1 FROM up WHERE id > 1) SELECT max(n) FROM up;
SELECT rank() OVER (PARTITION BY tags[2] ORDER BY price), id FROM item WHERE id < 20 ORDER BY 2; SELECT encode(digest('x', 'sha256'), 'hex'); SELECT 1 / 0; SELECT nothing; SELECT regexp_replace(repeat('ab', 500), '(a)(b)', '\\2\\1', 'g') = repeat('ba', 500);
BEGIN; DELETE FROM item WHERE id %% 3 = 0; SAVEPOINT s; UPDATE item SET name = upper(name); ROLLBACK TO s; COMMIT; SELECT count(*) FROM item; SET jit = on; SET jit_above_cost = 0; SELECT sum(id * 2 + 1) FROM item WHERE price > 3; RESET jit;
VACUUM (FULL, ANALYZE) item; REINDEX TABLE CONCURRENTLY item; SELECT bt_index_check('item_pkey', true); CHECKPOINT;
"""


def work(side):
    data = side.work + "/data"
    shutil.chown(side.work, "postgres", "postgres")
    as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
    env = {"PGHOST": side.work, "PGUSER": "postgres", "PGDATABASE": "postgres", "HOME": side.work, "LC_ALL": "C", "TZ": "UTC", "PGDATA": data}

    def tool(*words, **options):
        return side.run([BIN + "/" + words[0]] + list(words[1:]), env=env, **as_user, **options)

    def psql(text, title, database="postgres", **options):
        return tool("psql", "-X", "-q", "-a", "-d", database, input=text, title=title, **options)

    tool("initdb", "-k", "-N", "-A", "trust", "--locale=C", "-E", "UTF8", title="initdb")
    with open(data + "/postgresql.conf", "a") as file:
        file.write("listen_addresses = ''\nunix_socket_directories = '%s'\nfsync = off\nautovacuum_naptime = 1s\nshared_buffers = 16MB\nmax_wal_size = 64MB\n"
                   "log_min_messages = warning\nbgwriter_delay = 20ms\n" % side.work)
    tool("pg_ctl", "-w", "-s", "-l", side.work + "/server.log", "-t", "120", "start", title="start")
    psql(SQL % ROWS, "statements")
    tool("pgbench", "-i", "-q", "-s", "1", title="pgbench -i", status_only=True)
    tool("pgbench", "-n", "-c", "4", "-j", "2", "-t", "400" if LONG else "30", title="pgbench", status_only=True)
    tool("pgbench", "-n", "-S", "-M", "prepared", "-c", "3", "-j", "2", "-t", "1000" if LONG else "150", title="pgbench -S", status_only=True)
    psql("SELECT sum(abalance) = (SELECT sum(delta) FROM pgbench_history), (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT count(*) FROM pgbench_history) FROM pgbench_accounts;\n", "sums")
    tool("createdb", "copy")
    side.shell("%s/pg_dump -Fc -f dump.out && %s/pg_restore -j2 -d copy dump.out; %s/pg_dump -t item | sed 's/restrict .*//' | sha256sum; %s/pg_dump -d copy -t item | sed 's/restrict .*//' | sha256sum" % ((BIN,) * 4), title="dump and restore", env=env, **as_user)
    tool("pg_amcheck", "--all", "--heapallindexed", title="pg_amcheck")
    psql("SELECT pg_terminate_backend(pg_backend_pid());\n", "a backend ends itself")
    psql("LISTEN x; NOTIFY x, 'payload'; SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'; SELECT pg_reload_conf(); SELECT pg_cancel_backend(0);\n", "signals",
         normalise=lambda text: re.sub(r"PID \d+", "PID N", text))
    tool("pg_basebackup", "-D", side.work + "/backup", "-c", "fast", title="base backup")
    tool("pg_verifybackup", side.work + "/backup", title="verify the backup")
    tool("pg_ctl", "-w", "-s", "-m", "fast", "-l", side.work + "/server.log", "-t", "120", "restart", title="restart")
    psql("SELECT count(*), sum(price) FROM item; SELECT count(*) FROM pgbench_history;\n", "after the restart")
    tool("pg_ctl", "-w", "-s", "-m", "smart", "-t", "120", "stop", title="stop")
    tool("pg_checksums", "-c", title="pg_checksums", normalise=lambda text: re.sub(r"scanned: +\d+", "scanned: N", text))
    tool("pg_controldata", title="pg_controldata", normalise=lambda text: "".join(re.findall("Database cluster state.*", text)))
    with open(side.work + "/server.log") as file:
        # Whether autovacuum is in somebody's way is a matter of time.
        found = {re.sub(r"^.*(WARNING|ERROR|FATAL|PANIC):", r"\1:", l) for l in file if re.search(r"(WARNING|ERROR|FATAL|PANIC):", l)}
        side.note("warnings and worse", "".join(sorted(l for l in found if "autovacuum" not in l)))



# postgres has USR2 and URG for itself.
with Suite("postgres", signal.SIGWINCH) as suite:
    suite.both(work, same_tree=False)
