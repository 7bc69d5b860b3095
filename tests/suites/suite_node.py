#!/usr/bin/python3 -B
# node: code compiled at run time, garbage collection, worker threads, child processes, streams, servers, crypto, zlib, WebAssembly, its own test runner.
import os
import re

from suite import LONG, Suite, need_program

need_program("node")
ROUNDS = 20 if LONG else 3
PROGRAM = r"""
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const cp = require('child_process'), crypto = require('crypto'), zlib = require('zlib'), fs = require('fs'), http = require('http'), net = require('net'), path = require('path'), vm = require('vm'), os = require('os');
const { pipeline } = require('stream/promises'), { Readable } = require('stream'), { once } = require('events'), util = require('util');
const ROUNDS = +process.env.ROUNDS, sha = (x) => crypto.createHash('sha256').update(x).digest('hex').slice(0, 16);
function work(n) { class Point { constructor(x, y) { this.x = x; this.y = y; } plus(o) { return new Point(this.x + o.x, this.y + o.y); } } let p = new Point(0, 0), map = new Map(), text = ''; for (let i = 0; i < n; i++) { p = p.plus(new Point(i, i % 7)); map.set('k' + i % 997, [i, { v: i }]); if (i % 100 === 0) text += JSON.stringify([...map].slice(0, 5)); } return `${p.x} ${p.y} ${map.size} ${sha(text)}`; }
if (!isMainThread) { const b = Buffer.alloc(1 << 20, workerData.n); parentPort.postMessage({ n: workerData.n, work: work(workerData.size), sum: b.reduce((a, c) => a + c, 0), f: eval('(function f(n){return n<2?n:f(n-1)+f(n-2)})')(18) }); return; }
if (process.argv[2] === 'child') { process.on('message', (m) => { process.send({ back: m.text.toUpperCase(), work: work(3000) }); if (m.last) process.disconnect(); }); return; }
async function main() {
  for (let i = 0; i < ROUNDS; i++) console.log('work', i, work(30000));
  const deep = (n) => n ? 1 + deep(n - 1) : 0; console.log('deep', deep(5000)); try { (function forever() { forever(); })(); } catch (e) { console.log(e.constructor.name); }
  for (let i = 0; i < 40; i++) { const f = new Function('a', 'b', `let s = 0; for (let i = 0; i < 3000; i++) s += a * i + b ^ ${i}; return s;`); f(1, 2); f(1.5, 2); if (i % 20 === 0) console.log('made', f(i, 3)); }
  if (global.gc) for (let i = 0; i < 3; i++) { let keep = []; for (let k = 0; k < 3000; k++) keep.push({ k, s: 'x'.repeat(k % 50), b: Buffer.allocUnsafe(k % 300) }); global.gc(); keep = null; global.gc(); }
  const results = await Promise.all(Array.from({ length: 4 }, async (_, n) => { const w = new Worker(__filename, { workerData: { n, size: 20000 } }); const left = once(w, 'exit'); const [m] = await once(w, 'message'); const [code] = await left; return JSON.stringify(m) + code; })); console.log(results.join('\n'));
  const stuck = new Worker('for(;;);', { eval: true }); await once(stuck, 'online'); console.log('stopped', await stuck.terminate());
  const shared = new Int32Array(new SharedArrayBuffer(8)); const adders = Array.from({ length: 3 }, () => new Worker("const{workerData:s}=require('worker_threads');for(let i=0;i<5000;i++)Atomics.add(s,0,1)", { eval: true, workerData: shared })); await Promise.all(adders.map((w) => once(w, 'exit'))); console.log('shared', shared[0]);
  const kid = cp.fork(__filename, ['child']); kid.send({ text: 'hello' }); console.log((await once(kid, 'message'))[0]); const gone = once(kid, 'exit'); kid.send({ text: 'bye', last: true }); console.log((await once(kid, 'message'))[0].back, await gone);
  console.log(await Promise.all(['echo one', 'echo two >&2; exit 3', 'cat /proc/self/comm', 'kill -9 $$'].map((c) => new Promise((r) => cp.exec(c, (e, out, err) => r([e && (e.code || e.signal), out, err]))))));
  console.log(cp.spawnSync('wc', ['-c'], { input: 'x'.repeat(200000) }).stdout.toString().trim(), cp.execFileSync(process.execPath, ['-p', '6*7']).toString().trim());
  const long = cp.spawn('sleep', ['100']); long.kill('SIGTERM'); console.log(await once(long, 'exit'));
  const data = Buffer.from(Array.from({ length: 300000 }, (_, i) => i * 31 % 256)); for (const [c, d] of [['gzipSync', 'gunzipSync'], ['brotliCompressSync', 'brotliDecompressSync'], ['deflateRawSync', 'inflateRawSync']]) console.log(c, sha(zlib[d](zlib[c](data, c[0] === 'b' ? { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 3 } } : {}))) === sha(data));
  fs.writeFileSync('data.bin', data); await pipeline(fs.createReadStream('data.bin'), zlib.createGzip(), zlib.createGunzip(), fs.createWriteStream('data.out')); console.log('stream', sha(fs.readFileSync('data.out')) === sha(data), fs.readdirSync('.').sort().join());
  console.log(sha(crypto.pbkdf2Sync('p', 's', 5000, 32, 'sha512')), sha(await util.promisify(crypto.scrypt)('p', 's', 32))); const { publicKey, privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }); console.log('signed', crypto.verify('sha256', data, publicKey, crypto.sign('sha256', data, privateKey)));
  const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]); const { instance } = await WebAssembly.instantiate(wasm); console.log('wasm', instance.exports.add(40, 2)); new WebAssembly.Memory({ initial: 10 }).grow(20);
  const server = http.createServer((q, a) => { let n = 0; q.on('data', (d) => { n += d.length; }).on('end', () => { a.setHeader('x-n', n); a.end('x'.repeat(n % 5000) + q.url); }); }); server.listen(0, '127.0.0.1'); await once(server, 'listening'); const agent = new http.Agent({ keepAlive: true, maxSockets: 5 });
  const ask = (i) => new Promise((r, f) => { const q = http.request({ port: server.address().port, host: '127.0.0.1', method: 'POST', path: '/' + i, agent }, (a) => { let t = ''; a.on('data', (d) => { t += d; }).on('end', () => r(t.length)); }); q.on('error', f); q.end(Buffer.alloc(i * 997 % 70000)); }); console.log('http', (await Promise.all(Array.from({ length: 60 * ROUNDS }, (_, i) => ask(i)))).reduce((a, b) => a + b)); agent.destroy(); server.close();
  const script = new vm.Script('x = (typeof x === "undefined" ? 0 : x) + 1; x'); const contexts = Array.from({ length: 8 }, () => vm.createContext({})); console.log('vm', contexts.map((c) => { script.runInContext(c); return script.runInContext(c); }).join());
  const dns = await require('dns').promises.lookup('localhost', 4); console.log(dns.address); for await (const x of Readable.from([1, 2, 3])) console.log('read', x); const t0 = Date.now(); await new Promise((r) => setTimeout(r, 150)); console.log('timer', Date.now() - t0 >= 149);
  let hups = 0; process.on('SIGHUP', () => hups++); process.kill(process.pid, 'SIGHUP'); await new Promise((r) => setTimeout(r, 100)); console.log('own signal', hups); try { await Promise.reject(new Error('rejected')); } catch (e) { console.log(e.message); }
  process.on('exit', (c) => console.log('exit', c)); console.error('to stderr'); process.exitCode = 5;
}
main();
"""
TESTS = r"""
const test = require('node:test'), assert = require('node:assert');
for (let i = 0; i < 20; i++) test('number ' + i, async (t) => { await t.test('inner', () => assert.deepStrictEqual({ a: [i] }, { a: [i] })); });
test('fails', () => { assert.strictEqual(1, 2); }); test('skipped', { skip: true }, () => {});
"""


def without_times(text):
    return re.sub(r"(?m)(duration_ms:?) [\d.]+", r"\1 T", re.sub(r"(?m)^.*(ExperimentalWarning|--trace-warnings).*\n", "", text))


def work(side):
    for name, text in (("program.js", PROGRAM), ("some.test.js", TESTS)):
        with open(side.work + "/" + name, "w") as file:
            file.write(text)
    home = {"ROUNDS": str(ROUNDS), "HOME": side.work, "NO_COLOR": "1", "npm_config_cache": side.work + "/cache", "npm_config_update_notifier": "false"}
    side.run(["node", "--expose-gc", "program.js"], env=home)
    if LONG:
        for option in ("--max-lazy", "--always-sparkplug", "--no-opt", "--interpreted-frames-native-stack", "--jitless"):
            side.run(["node", "--expose-gc", option] + ["program.js"], env=home, normalise=lambda text: re.sub("(?m)^.*wasm.*$", "", text))
    side.run(["node", "--test", "--test-reporter=tap", "some.test.js"], env=home, normalise=without_times)
    side.run(["node", "-e", "process.abort()"], status_only=True)
    side.run(["node", "-e", "throw new Error('uncaught')"], env=home)
    side.run(["node", "-e", "process.kill(process.pid, 'SIGUSR2'); setTimeout(() => {}, 20000)"], env=home)
    side.run(["node", "-e", "process.on('SIGUSR2', () => { console.log('mine'); process.exit(4) }); process.kill(process.pid, 'SIGUSR2'); setTimeout(() => {}, 20000)"], env=home)
    side.run(["node", "-"], input="console.log(process.argv.length, typeof require)", env=home)
    if LONG:
        side.shell("mkdir pkg && cd pkg && npm init -y >/dev/null && npm pack --silent && cd .. && mkdir app && cd app && npm init -y > /dev/null && npm install --offline --no-audit --no-fund ../pkg/pkg-1.0.0.tgz && npm ls", env=home,
                   normalise=lambda text: re.sub(r"(?m)^(added .* in) [\d.]+m?s$", r"\1 T", text))
    server = side.start(["node", "-e", "require('http').createServer((q,a)=>a.end('x')).listen(0,'127.0.0.1',function(){const f=require('fs');f.writeFileSync('port.new',''+this.address().port);f.renameSync('port.new','port')})"], env=home)
    suite.wait_for(lambda: os.path.exists(side.work + "/port"), "the server listens", 60)
    side.shell("for i in 1 2 3 4 5; do exec 3<>/dev/tcp/127.0.0.1/$(cat port); printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; tail -n1 <&3; exec 3>&-; done", title="requests")
    side.idle("server at rest", server.pid)
    server.terminate()
    side.note("the server's status", server.wait(60))


def has_the_signal_for_itself(name, arguments):
    """npm listens for SIGUSR2 while it writes package.json, and ends itself with it: so it does bare."""
    return name != "node" or any("SIGUSR2" in a or "npm" in a for a in arguments)


with Suite("node", spare=has_the_signal_for_itself) as suite:
    suite.both(work, ignore=lambda path: path == "port" or path.startswith(("cache", ".npm")))
