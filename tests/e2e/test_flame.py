#!/usr/bin/env python3
"""`heaptap flame`: the page in a real Chromium (clicked, searched, driven by keys, looked at), the picture, the JSON.

HT_SCREENSHOTS=DIR keeps the screenshots there."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

SOURCE = pathlib.Path(os.environ.get("HT_SOURCE") or pathlib.Path(__file__).resolve().parents[2])
sys.dont_write_bytecode = True
sys.path[:0] = [str(SOURCE / "tests/support"), str(SOURCE / "tests/golden")]
from chromium import Browser  # noqa: E402
from profile_writer import Profile, block  # noqa: E402

COMMAND = os.path.abspath(os.path.join(os.environ.get("HT_BUILD") or str(SOURCE / "build"), "heaptap"))
SHOTS = os.environ.get("HT_SCREENSHOTS")
TYPES = [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")]
MB = 1 << 20
HOSTILE = ["</script><script>window.hit=1</script>", "<img src=x onerror=\"window.hit=1\">", "--><svg onload='window.hit=1'>",
           "a\u202eb\u2066c\x1b[31m\x07", "\u65e5\u672c::\u0444\u0443\u043d\u043a\u0446\u0438\u044f", "&lt;b&gt; \"'`${1}\\", "]]>\u2028end"]
PROGRAM = "<title><img src=x onerror=window.hit=1>&amp;"
LONG = "std::map<std::string, std::vector<int> >::insert(std::pair<std::string const, std::vector<int> > const&) const"


class Writer(Profile):
    """A heap profile from stacks of names: "server!main" is in /srv/bin/server; "+name" is inlined into the frame before."""

    def __init__(self, program="/srv/bin/server", time_ns=1_700_000_000_000_000_000):
        super().__init__()
        for kind, unit in TYPES:
            self.sample_type(kind, unit)
        self.program, self.time_ns = program, time_ns
        self.objects, self.functions, self.places = {}, {}, {}
        self.object("server", program)

    def object(self, name, path):
        start = 0x400000 + 0x1000000 * len(self.objects)
        self.objects[name] = (self.mapping(start, start + 0x100000, 0, path, "ab" * 20 if not self.objects else "cd" * 20, "fFli"), start)

    def name(self, text):
        if text not in self.functions:
            self.functions[text] = self.function(text, file="/src/%d.c" % (len(self.functions) % 7), start_line=1)
        return self.functions[text]

    def place(self, frame):
        """Location of "object!outer+inlined+...": the innermost inlined one is the first line."""
        if frame not in self.places:
            name, rest = frame.split("!", 1) if "!" in frame else ("server", frame)
            chain = rest.split("+") if "+" in rest else [rest]
            mapping, start = self.objects[name]
            line = len(self.places) + 10
            self.places[frame] = self.location(mapping, start + 16 * (len(self.places) + 1),
                                               [(self.name(n), line + i) for i, n in enumerate(reversed(chain))])
        return self.places[frame]

    def stack(self, frames, values, labels=()):
        self.sample([self.place(f) for f in reversed(frames)], values, labels)

    def write(self, path):
        self.header(time_ns=self.time_ns, period=("space", "bytes", 524288), default="inuse_space")
        path.write_bytes(b"".join(self.parts) + b"".join(block(6, string) for string in self.strings))
        return str(path)


def plain(folder, name, growth=0, with_gone=True):
    w = Writer()
    w.object("libc", "/lib/x86_64-linux-gnu/libc.so.6")
    w.stack(["main", "serve", "parse+read_header+copy", "libc!strdup"], [100, 10 * MB, 40, 6 * MB + growth])
    w.stack(["main", "serve", "parse+read_header+copy"], [20, 2 * MB, 0, 0])
    w.stack(["main", "serve", "cache_add", LONG], [900, 30 * MB, 10, 2 * MB])
    if with_gone:
        w.stack(["main", "serve", "old_session"], [5, MB, 5, MB])
    else:
        w.stack(["main", "serve", "new_session"], [7, 3 * MB, 7, 3 * MB])
    w.stack(["main", "idle"], [1, MB, 1, MB], [("thread", "io")])
    return w.write(folder / name)


def hostile(folder):
    w = Writer(program="/srv/" + PROGRAM)
    for i, name in enumerate(HOSTILE):
        w.stack(["main", name], [1, MB, 1, MB + i])
    return w.write(folder / "hostile.pb")


def many(folder):
    """Some 50,000 frames, most of them tiny."""
    w = Writer()
    for i in range(250):
        for j in range(200):
            w.stack(["main", "group_%d" % i, "leaf_%d" % j], [1, 100 + j, 1, (250 - i) * 10 + j])
    return w.write(folder / "many.pb")


def deep(folder):
    w = Writer()
    for depth in (50, 400, 1500):
        w.stack(["main"] + ["descend_%d" % (i % 9) for i in range(depth)], [1, MB, 1, depth * 1000])
    return w.write(folder / "deep.pb")


def heaptap(*words, status=0):
    done = subprocess.run([COMMAND, *words], capture_output=True, timeout=240, env=dict(os.environ, TZ="UTC"))
    assert done.returncode == status, (words, done.returncode, done.stderr.decode())
    return done


# --- without a browser ---------------------------------------------------------------------------------------------------


def check_sums(report):
    """Every value is its frame's own, its callees' and what was cut, for each sample type and side."""
    sides = [("values", "self_values", "cut_values")]
    if report["has_base"]:
        sides.append(("base_values", "base_self_values", "base_cut_values"))
    zero = [0] * len(report["sample_types"])
    for values, own, cut in sides:
        sums = {row["id"]: [a + b for a, b in zip(row[own], row.get(cut, zero))] for row in report["rows"]}
        for row in report["rows"]:
            if "parent" in row:
                sums[row["parent"]] = [a + b for a, b in zip(sums[row["parent"]], row[values])]
        for row in report["rows"]:
            assert sums[row["id"]] == row[values], (values, row)


def test_json(files):
    report = json.loads(heaptap("flame", "--json", files["old"]).stdout)
    assert [t["sample_type"] for t in report["sample_types"]] == [t for t, _ in TYPES]
    assert report["rows"][0]["name"] == "all" and report["rows"][0]["values"] == [1026, 44 * MB, 56, 10 * MB]
    copy = next(row for row in report["rows"] if row["name"] == "copy")
    assert copy["inlined"] == "always" and copy["file"].startswith("/src/") and copy["line"] > 0, copy
    check_sums(report)
    report = json.loads(heaptap("flame", "--json", "--base", files["old"], files["new"]).stdout)
    assert report["has_base"] and report["rows"][0]["base_values"] == [1026, 44 * MB, 56, 10 * MB]
    gone = next(row for row in report["rows"] if row["name"] == "old_session")
    assert gone["values"] == [0, 0, 0, 0] and gone["base_values"] == [5, MB, 5, MB]
    check_sums(report)
    cut = json.loads(heaptap("flame", "--json", "--nodecount=500", files["many"]).stdout)
    whole = json.loads(heaptap("flame", "--json", "--no-trim", files["many"]).stdout)
    assert len(cut["rows"]) == 500 and cut["cut_frames"] == len(whole["rows"]) - 500 and whole["cut_frames"] == 0
    assert cut["rows"][0]["values"] == whole["rows"][0]["values"] and cut["cut_percent"] > 0
    check_sums(cut)
    check_sums(whole)


def test_against_top(_):
    """A function's own values in the tree add up to its flat value in `heaptap top`, and everything to the total."""
    for path in sorted((SOURCE / "tests/golden/profiles").glob("*")):
        for options in ((), ("--lines", "--noinlines"), ("--addresses",)):
            flame = heaptap("flame", "--json", "--no-trim", *options, str(path)).stdout
            top = json.loads(heaptap("top", "--json", "--no-trim", "-n0", *options, str(path)).stdout)
            flame = json.loads(flame)
            at = [t["sample_type"] for t in flame["sample_types"]].index(flame["sample_type"])
            flat, own = {}, {}
            for row in top["rows"]:
                flat[row["name"]] = flat.get(row["name"], 0) + row["flat"]
            for row in flame["rows"][1:]:
                own[row["name"]] = own.get(row["name"], 0) + row["self_values"][at]
            assert {n: v for n, v in flat.items() if v} == {n: v for n, v in own.items() if v}, (path, options)
            check_sums(flame)


def test_options(files):
    names = lambda *words: [row["name"] for row in json.loads(heaptap("flame", "--json", *words).stdout)["rows"]]
    assert names("--focus=cache", "--demangle=full", files["old"])[1:] == ["main", "serve", "cache_add", LONG]
    assert "serve" not in names("--ignore=serve", files["old"])
    assert "copy" not in names("--noinlines", files["old"])
    assert any(re.fullmatch(r"main /src/\d.c:\d+", name) for name in names("--lines", files["old"]))
    assert names("--tagfocus=thread=io", files["old"]) == ["all", "main", "idle"]
    assert names("--tagroot=thread", files["old"])[1:3] == ["<unknown>", "main"] or "io" in names("--tagroot=thread", files["old"])
    assert heaptap("flame", "--mean", "--json", files["old"], status=1).stderr.count(b"\n") == 1
    assert heaptap("top", "--svg", files["old"], status=2).stderr.count(b"\n") == 1


def svg(*words):
    text = heaptap("flame", "--svg", *words).stdout.decode()
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    frames = [(g.find(space + "title").text, g.find(space + "rect").attrib) for g in root.iter(space + "g")]
    return text, frames


def test_svg(files):
    text, frames = svg(files["old"])
    widths = {title.split(": ")[0]: float(rect["width"]) for title, rect in frames}
    assert abs(widths["all"] - 1180) < 1 and abs(widths["idle"] - 118) < 1, widths
    assert "copy (inlined)" in widths and "server" in text and "inuse_space" in text
    text, frames = svg("--base", files["old"], "--sample-index=alloc_space", files["new"])
    assert "more than doubled, or new" in text and len({rect["fill"] for _, rect in frames}) > 1
    text, frames = svg("--demangle=none", files["hostile"])
    assert len(frames) == 2 + len(HOSTILE) and "window.hit" in text and "<script" not in text
    text, frames = svg("--nodecount=50", files["many"])
    assert re.search(r"\d+ frames were left out: [\d.]+MB, [\d.]+% in all", text), text[-500:]
    svg(files["empty"])


def test_without_npm(folder):
    """The build goes on without npm, and the command then says what is missing."""
    out = folder / "page.c"
    web = SOURCE / "tools/heaptap/web"
    words = ["cmake", "-DSOURCE=%s" % web, "-DWORK=%s" % (folder / "web"), "-DOUT=%s" % out, "-P", str(web / "build.cmake")]
    subprocess.run(words, check=True, capture_output=True, env=dict(os.environ, HEAPTAP_NPM="none"))
    text = out.read_text()
    assert 'ht_flame_web_page[] = ""' in text and "HEAPTAP_NPM" in text
    stamp = out.stat().st_mtime_ns
    subprocess.run(words, check=True, capture_output=True, env=dict(os.environ, HEAPTAP_NPM="none"))
    assert out.stat().st_mtime_ns == stamp  # nothing to compile again


# --- with a browser ------------------------------------------------------------------------------------------------------

FRAME = "Array.from(document.querySelectorAll('#chart g.frame')).find(g => g.querySelector('title').textContent.startsWith(%s))"


def settle(browser):
    """Waits until nothing moves any more."""
    every = """Array.from(document.querySelectorAll('#chart g.frame rect')).map(e => e.getBoundingClientRect())
        .map(r => [r.x, r.y, r.width].join()).join(' ') + document.getElementById('box').scrollTop"""
    browser.run("""(async () => {
        let last = '', same = 0
        for (let i = 0; i < 200 && same < 2; i++) {
            await new Promise(done => setTimeout(done, 50))
            const now = %s
            same = now === last ? same + 1 : 0
            last = now
        }
    })()""" % every)


def box(browser, name):
    """Left, top, width, height of a frame, after its movement has ended."""
    settle(browser)
    return browser.run("(g => g && (r => [r.x, r.y, r.width, r.height])(g.querySelector('rect').getBoundingClientRect()))(%s)" % (
        FRAME % json.dumps(name)))


def center(browser, name):
    x, y, width, height = box(browser, name)
    return x + min(width, 1000) / 2, y + height / 2


def details(browser):
    return browser.run("document.getElementById('details').innerText")


def choose(browser, group, words):
    browser.run("Array.from(document.querySelectorAll('#%s button')).find(b => b.textContent === %s).click()" % (
        group, json.dumps(words)))


def shot(browser, name):
    settle(browser)
    return browser.screenshot(os.path.join(SHOTS, name + ".png") if SHOTS else None)


def is_reddish(c):
    return c[0] > c[1] + 40 and c[0] > c[2] + 40 and abs(c[1] - c[2]) < 60


def is_bluish(c):
    return c[2] > c[0] + 30 and c[2] > c[1]


def open_page(browser, folder, *words):
    page = str(folder / "page.html")
    heaptap("flame", "-o", page, *words)
    browser.open(page)
    browser.until("document.querySelectorAll('#chart g.frame').length > 0")


def check_quiet(browser):
    assert not browser.errors, browser.errors
    assert not browser.requests, browser.requests
    assert not browser.run("window.hit"), "a name was run as a script"


def test_first_sight(browser, folder, files):
    open_page(browser, folder, files["old"])
    assert browser.run("document.title") == "server: inuse_space, heaptap flame"
    header = browser.run("document.querySelector('header').innerText")
    assert "server" in header and "inuse_space: 10MB" in header and "Nov 14, 2023" in header and "abababab" in header, header
    whole, main, idle, strdup = (box(browser, name) for name in ("all", "main", "idle", "strdup"))
    assert abs(main[2] - whole[2]) < 1 and abs(idle[2] / whole[2] - 0.1) < 0.01 and abs(strdup[2] / whole[2] - 0.6) < 0.01
    assert main[1] < whole[1] and strdup[1] < main[1], "the root is not at the bottom"
    picture = shot(browser, "light")
    assert picture.at(2, 2) == (255, 255, 255)
    program, library = (picture.at(b[0] + b[2] / 2, b[1] + 4) for b in (main, strdup))
    assert program[0] > program[2] + 40, ("the program is not orange", program)
    assert library[2] > library[0] + 20, ("libc is not blue", library)
    assert "libc.so.6" in browser.run("document.getElementById('legend').innerText")
    assert "Nothing was left out" in browser.run("document.getElementById('cut').innerText")
    assert "italic" in browser.run("getComputedStyle(%s.querySelector('div')).fontStyle" % (FRAME % '"copy"'))
    browser.hover(*center(browser, "cache_add"))
    text = details(browser)
    assert "cache_add" in text and "2MB" in text and "20% of all" in text and "/src/" in text, text
    browser.hover(*center(browser, "copy"))
    assert "inlined" in details(browser)
    check_quiet(browser)


def test_zoom(browser, folder, files):
    open_page(browser, folder, "--demangle=full", files["old"])
    whole = box(browser, "all")
    assert browser.run("document.getElementById('reset').disabled")
    browser.click(*center(browser, "cache_add"))
    browser.until("!document.getElementById('reset').disabled")
    assert abs(box(browser, "cache_add")[2] - whole[2]) < 1 and not browser.run("Boolean(%s)" % (FRAME % '"idle"'))
    shot(browser, "zoomed")
    browser.run("document.getElementById('reset').click()")
    assert abs(box(browser, "cache_add")[2] / whole[2] - 0.2) < 0.01 and box(browser, "idle")
    # a name that does not fit is shortened, not only cut
    assert browser.run("%s.querySelector('div').textContent" % (FRAME % json.dumps(LONG))) in (
        "std::map::insert", "std::map<std::string, std::vector<int> >::insert", "insert")
    check_quiet(browser)


def test_search(browser, folder, files):
    open_page(browser, folder, files["old"])
    browser.key("/")
    assert browser.run("document.activeElement.id") == "search"
    browser.type("^(cache|STRDUP)".lower())
    found = browser.until("document.getElementById('found').textContent")
    assert found.startswith("80% of all: 8MB in 2 frames"), found
    area = box(browser, "strdup")
    picture = shot(browser, "search")
    pixel = picture.at(area[0] + area[2] - 20, area[1] + 4)
    assert pixel[0] > pixel[1] + 60 and pixel[2] > pixel[1] + 60, ("a match is not marked", pixel)
    browser.key("Enter")
    assert browser.run("document.activeElement.closest('g.frame').classList.contains('match')")
    browser.key("n")
    browser.key("Escape")
    browser.run("document.getElementById('search').value = '('; document.getElementById('search').dispatchEvent(new Event('input'))")
    assert browser.run("document.getElementById('search').getAttribute('aria-invalid')") == "true"
    browser.run("document.getElementById('clear').click()")
    assert browser.run("document.getElementById('found').textContent") == ""
    assert browser.run("document.querySelectorAll('#chart g.match').length") == 0
    check_quiet(browser)


def test_types(browser, folder, files):
    open_page(browser, folder, files["old"])
    assert browser.run("Array.from(document.querySelectorAll('#types button')).map(b => b.textContent)") == [t for t, _ in TYPES]
    whole = box(browser, "all")[2]
    for kind, share, total in (("alloc_space", 30 / 44, "44MB"), ("alloc_objects", 900 / 1026, "1,026"),
                               ("inuse_objects", 10 / 56, "56"), ("inuse_space", 0.2, "10MB")):
        choose(browser, "types", kind)
        browser.until("document.getElementById('summary').textContent.startsWith(%s)" % json.dumps(kind + ": " + total))
        assert abs(box(browser, "cache_add")[2] / whole - share) < 0.01, kind
        assert browser.run("document.querySelector('#types [aria-checked=true]').textContent") == kind
    check_quiet(browser)


def test_keys(browser, folder, files):
    open_page(browser, folder, files["old"])
    for _ in range(12):
        browser.key("Tab")
        if browser.run("Boolean(document.activeElement.closest('#chart'))"):
            break
    current = lambda: browser.run("document.activeElement.querySelector('title').textContent.split('\\n')[0]")
    assert current() == "all"
    browser.key("ArrowUp")
    assert current() == "main" and "main" in details(browser)
    browser.key("ArrowUp")
    browser.key("ArrowRight")
    assert current() == "idle"
    browser.key("ArrowLeft")
    browser.key("ArrowUp")
    assert current() == "parse"
    browser.key("ArrowRight")
    assert current() == "cache_add"
    whole = box(browser, "all")[2]
    browser.key("Enter")
    assert abs(box(browser, "cache_add")[2] - whole) < 1 and current() == "cache_add"
    browser.key("ArrowDown")
    assert current() == "serve"
    browser.key("Escape")
    assert abs(box(browser, "cache_add")[2] / whole - 0.2) < 0.01
    top = box(browser, "strdup")[1]
    browser.key("l")
    assert box(browser, "strdup")[1] > box(browser, "main")[1] > box(browser, "all")[1], "not an icicle"
    assert top != box(browser, "strdup")[1]
    browser.run("%s.focus()" % (FRAME % '"main"'))
    browser.key("ArrowDown")
    assert current() == "serve"
    shot(browser, "icicle")
    choose(browser, "layouts", "Flame")
    assert box(browser, "main")[1] < box(browser, "all")[1]
    check_quiet(browser)


def test_themes(browser, folder, files):
    open_page(browser, folder, files["old"])
    browser.scheme(dark=True, calm=True)
    assert max(shot(browser, "dark").at(2, 2)) < 50
    area = box(browser, "main")
    dark = browser.screenshot().at(area[0] + area[2] / 2, area[1] + 4)
    browser.key("t")  # light, whatever the system says
    assert browser.run("document.documentElement.dataset.theme") == "light"
    assert min(browser.screenshot().at(2, 2)) > 240
    browser.key("t")
    browser.scheme(dark=False, calm=True)
    picture = browser.screenshot()
    assert max(picture.at(2, 2)) < 50 and picture.at(area[0] + area[2] / 2, area[1] + 4) == dark
    # text on frames is readable: at least 4.5 to 1
    for name in ("main", "strdup", "all"):
        area = box(browser, name)
        fill = picture.at(area[0] + area[2] - 12, area[1] + 4)
        light = lambda c: sum(w * ((v / 255 + 0.055) / 1.055) ** 2.4 for w, v in zip((0.2126, 0.7152, 0.0722), c))
        assert (light((0xf4, 0xf4, 0xf4)) + 0.05) / (light(fill) + 0.05) > 4.5, (name, fill)
    browser.run("localStorage.removeItem('heaptap-theme')")
    check_quiet(browser)


def test_difference(browser, folder, files):
    open_page(browser, folder, "--base", files["old"], files["new"])
    legend = browser.run("document.getElementById('legend').innerText")
    assert "red grew, blue shrank, grey is the same" in legend and "more than doubled, or new" in legend, legend
    picture = shot(browser, "difference")
    at = lambda name: (lambda b: picture.at(b[0] + b[2] - 12, b[1] + 4))(box(browser, name))
    assert is_reddish(at("new_session")) and is_reddish(at("strdup")), (at("new_session"), at("strdup"))
    grey = at("cache_add")
    assert max(grey) - min(grey) < 12, grey
    assert not browser.run("Boolean(%s)" % (FRAME % '"old_session"')), "what is gone has no width now"
    assert "1 frame (1MB before) is gone" in browser.run("document.getElementById('cut').innerText")
    browser.hover(*center(browser, "new_session"))
    assert "0 before, 3MB now: +3MB, new" in details(browser), details(browser)
    choose(browser, "modes", "before")
    picture = shot(browser, "difference-before")
    assert is_bluish(at("old_session")), at("old_session")
    assert abs(box(browser, "old_session")[2] / box(browser, "all")[2] - 0.1) < 0.01
    choose(browser, "modes", "change")
    whole = box(browser, "all")[2]
    picture = shot(browser, "difference-change")
    # +12 of strdup, -1 of old_session, +3 of new_session
    assert abs(box(browser, "strdup")[2] / whole - 12 / 16) < 0.01 and abs(box(browser, "old_session")[2] / whole - 1 / 16) < 0.01
    assert not browser.run("Boolean(%s)" % (FRAME % '"cache_add"'))
    browser.scheme(dark=True, calm=True)
    picture = shot(browser, "difference-dark")
    assert is_reddish(at("strdup")) and is_bluish(at("old_session"))
    browser.scheme(dark=False, calm=True)
    # a difference that was written as a profile: sums with signs
    difference = str(folder / "difference.pb.gz")
    heaptap("proto", "--base", files["old"], "-o", difference, files["new"])
    open_page(browser, folder, difference)
    assert "mostly above zero" in browser.run("document.getElementById('legend').innerText")
    picture = shot(browser, "signed")
    assert is_reddish(at("strdup")) and is_bluish(at("old_session"))
    assert abs(box(browser, "old_session")[2] / box(browser, "all")[2] - 1 / 16) < 0.01
    check_quiet(browser)


def test_hostile(browser, folder, files):
    open_page(browser, folder, "--demangle=none", files["hostile"])
    shown = browser.run("Array.from(document.querySelectorAll('#chart g.frame title')).map(t => t.textContent.split('\\n')[0])")
    written = lambda name: re.sub("[\x00-\x1f\u202e\u2066\u2028]", lambda c: "\\u%04x" % ord(c.group()), name)
    assert sorted(shown) == sorted(["all", "main"] + [written(name) for name in HOSTILE]), shown
    assert browser.run("document.querySelectorAll('img, svg svg, script').length") == 2  # the data and the page's own script
    assert browser.run("document.getElementById('program').textContent") == PROGRAM
    assert browser.run("document.title").startswith(PROGRAM + ": ")
    policy = browser.run("document.querySelector('meta[http-equiv]').content")
    assert "default-src 'none'" in policy and "unsafe" not in policy, policy
    browser.run("(s => { s.textContent = 'window.hit = 1'; document.body.append(s) })(document.createElement('script'))")
    assert not browser.run("window.hit") and any("Content Security Policy" in e for e in browser.errors), "the policy is not in force"
    browser.errors.clear()
    shot(browser, "hostile")
    check_quiet(browser)


def test_many(browser, folder, files):
    open_page(browser, folder, files["many"])
    size = (folder / "page.html").stat().st_size
    assert size < 2_000_000, size
    words = browser.run("document.getElementById('cut').innerText")
    assert re.search(r"30,252 frames left out \(each with at most 0\.\d+% of any sample type\): [\d.]+MB in total, [\d.]+% of all", words), words
    assert "too narrow to be drawn" in words and "19,999 frames" in words, words
    browser.run("document.querySelector('#cut details').open = true")
    assert "called by group_" in browser.run("document.querySelector('#cut li').textContent")
    assert browser.run("document.querySelectorAll('#chart g.frame').length") < 5000
    browser.click(*center(browser, "group_0"))
    browser.until("!document.getElementById('reset').disabled")
    assert box(browser, "leaf_199")[2] > 3
    assert browser.run("document.querySelectorAll('#chart g.cut').length") <= 1
    shot(browser, "many")
    check_quiet(browser)


def test_deep(browser, folder, files):
    open_page(browser, folder, files["deep"])
    assert box(browser, "all")[1] < 800, "the root is not in sight"
    assert "deeper than 1000 frames" in browser.run("document.getElementById('cut').innerText")
    assert browser.run("document.getElementById('box').scrollHeight") > 20000
    shot(browser, "deep")
    browser.run("%s.focus()" % (FRAME % '"main"'))
    for _ in range(40):
        browser.key("ArrowUp")
    assert browser.run("(r => r.top >= 0 && r.bottom <= innerHeight)(document.activeElement.querySelector('rect').getBoundingClientRect())")
    browser.key("Enter")
    browser.until("!document.getElementById('reset').disabled")
    browser.key("Escape")
    choose(browser, "layouts", "Icicle")
    assert 0 < box(browser, "all")[1] < 400
    check_quiet(browser)


def test_narrow(browser, folder, files):
    browser.size(420, 720)
    open_page(browser, folder, "--base", files["old"], files["new"])
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert abs(box(browser, "all")[2] - 404) < 2
    shot(browser, "narrow")
    browser.size(1280, 800)
    browser.until("Math.abs(document.querySelector('#chart svg').getBoundingClientRect().width - 1248) < 1")
    check_quiet(browser)


def test_empty(browser, folder, files):
    open_page(browser, folder, files["empty"])
    assert "inuse_space: 0" in browser.run("document.getElementById('summary').textContent")
    browser.key("/")
    browser.type("main")
    check_quiet(browser)


def test_moving(browser, folder, files):
    """Once with its animations. What is painted first stands still: only zooming and switching move."""
    browser.scheme(dark=False, calm=False)
    drawn = """JSON.stringify(Array.from(document.querySelectorAll('#chart g.frame')).map(g => [g.getAttribute('transform'),
        g.querySelector('rect').getAttribute('width'), g.querySelector('div').textContent]))"""
    early = browser.call("Page.addScriptToEvaluateOnNewDocument", source="addEventListener('DOMContentLoaded', () => { window.early = %s })" % drawn)
    open_page(browser, folder, files["old"])
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=early["identifier"])
    settle(browser)
    assert len(json.loads(browser.run(drawn))) == 11
    assert browser.run("window.early") == browser.run(drawn), browser.run("window.early")
    whole = box(browser, "all")[2]
    browser.click(*center(browser, "cache_add"))
    assert abs(box(browser, "cache_add")[2] - whole) < 1
    browser.key("Escape")
    assert abs(box(browser, "cache_add")[2] / whole - 0.2) < 0.01
    check_quiet(browser)


def test_picture_in_browser(browser, folder, files):
    path = folder / "picture.svg"
    heaptap("flame", "--svg", "--base", files["old"], "-o", str(path), files["new"])
    browser.open(str(path))
    colours = browser.screenshot(os.path.join(SHOTS, "picture.png") if SHOTS else None).colours(0, 0, 1200, 260)
    assert any(is_reddish(c) for c in colours) and colours.get((255, 255, 255), 0) > 10000
    check_quiet(browser)


def main():
    if SHOTS:
        os.makedirs(SHOTS, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="heaptap-flame.") as name:
        folder = pathlib.Path(name)
        files = {"old": plain(folder, "old.pb"), "new": plain(folder, "new.pb", growth=12 * MB, with_gone=False),
                 "hostile": hostile(folder), "many": many(folder), "deep": deep(folder), "empty": Writer().write(folder / "empty.pb")}
        for test in (test_json, test_against_top, test_options, test_svg):
            test(files)
            print("ok  ", test.__name__)
        test_without_npm(folder)
        print("ok   test_without_npm")
        done = subprocess.run([COMMAND, "flame", "-o", str(folder / "page.html"), files["old"]], capture_output=True)
        missing = b"built without the page" in done.stderr
        assert b"building it with npm failed" not in done.stderr, done.stderr
        if missing or not (shutil.which("chromium") or shutil.which("chromium-browser")):
            print("SKIPPED the browser's part: " + (done.stderr.decode() if missing else "chromium is not installed"))
            return 77
        wanted = sys.argv[1:]
        with Browser() as browser:
            browser.scheme(dark=False, calm=True)
            for test in (test_first_sight, test_zoom, test_search, test_types, test_keys, test_themes, test_difference, test_hostile,
                         test_many, test_deep, test_narrow, test_empty, test_moving, test_picture_in_browser):
                if not wanted or test.__name__ in wanted:
                    test(browser, folder, files)
                    print("ok  ", test.__name__, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
