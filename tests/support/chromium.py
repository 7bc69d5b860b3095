"""A headless Chromium for tests: its DevTools protocol over a pair of pipes, screenshots as pixels. Standard library alone."""
import base64
import json
import os
import select
import shutil
import struct
import subprocess
import tempfile
import time
import zlib


class Picture:
    """The pixels of a PNG as Chromium writes it: 8 bits a channel, RGB or RGBA, not interlaced."""

    def __init__(self, png):
        at, packed = 8, b""
        while at < len(png):
            length, kind = struct.unpack(">I4s", png[at:at + 8])
            body = png[at + 8:at + 8 + length]
            if kind == b"IHDR":
                self.width, self.height, depth, colour = struct.unpack(">IIBB", body[:10])
                assert depth == 8 and colour in (2, 6), (depth, colour)
                self.channels = 3 if colour == 2 else 4
            elif kind == b"IDAT":
                packed += body
            at += 12 + length
        self.rows = self._unfilter(zlib.decompress(packed))

    def _unfilter(self, raw):
        step, length = self.channels, self.width * self.channels
        above, rows = bytearray(length), []
        for y in range(self.height):
            kind = raw[y * (length + 1)]
            row = bytearray(raw[y * (length + 1) + 1:(y + 1) * (length + 1)])
            if kind == 1:
                for i in range(step, length):
                    row[i] = row[i] + row[i - step] & 255
            elif kind == 2:
                row = bytearray(a + b & 255 for a, b in zip(row, above))
            elif kind == 3:
                for i in range(length):
                    row[i] = row[i] + ((row[i - step] if i >= step else 0) + above[i] >> 1) & 255
            elif kind == 4:
                for i in range(length):
                    left, up, corner = (row[i - step] if i >= step else 0), above[i], (above[i - step] if i >= step else 0)
                    guess = left + up - corner
                    a, b, c = abs(guess - left), abs(guess - up), abs(guess - corner)
                    row[i] = row[i] + (left if a <= b and a <= c else up if b <= c else corner) & 255
            rows.append(row)
            above = row
        return rows

    def at(self, x, y):
        x, y = int(x), int(y)
        return tuple(self.rows[y][x * self.channels:x * self.channels + 3])

    def colours(self, left, top, width, height):
        """How often each colour stands in a rectangle."""
        found = {}
        for y in range(max(0, int(top)), min(self.height, int(top + height))):
            for x in range(max(0, int(left)), min(self.width, int(left + width))):
                pixel = self.at(x, y)
                found[pixel] = found.get(pixel, 0) + 1
        return found


class Browser:
    """One headless Chromium with one page. Requests that are not for files, console output and exceptions are kept."""

    def __init__(self, width=1280, height=800, dark=False, seconds=60):
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        self.folder = tempfile.mkdtemp(prefix="heaptap-chromium.")
        self.seconds = seconds
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()
        words = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-extensions", "--disable-background-networking", "--disable-component-update",
                 "--hide-scrollbars", "--mute-audio", "--force-color-profile=srgb", "--remote-debugging-pipe",
                 "--user-data-dir=" + self.folder, "--window-size=%d,%d" % (width, height), "about:blank"]

        def pipes():  # Chromium reads from descriptor 3 and writes to 4
            high = [os.dup(commands), os.dup(answers)]
            while min(high) < 5:
                high = [os.dup(fd) for fd in high]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(words, preexec_fn=pipes, close_fds=False, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=dict(os.environ, HOME=self.folder, XDG_CONFIG_HOME=self.folder))
        os.close(commands)
        os.close(answers)
        self.rest, self.number, self.session = b"", 0, None
        self.errors, self.requests, self.events = [], [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.size(width, height)
        self.scheme(dark)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(10)
        except Exception:  # it is gone or hangs: either way it must not stay
            self.process.kill()
            self.process.wait()
        os.close(self.commands)
        os.close(self.answers)
        shutil.rmtree(self.folder, True)

    def _message(self, deadline):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.answers], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("chromium does not answer")
            more = os.read(self.answers, 1 << 20)
            if not more:
                raise EOFError("chromium is gone")
            self.rest += more
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            detail = params["exceptionDetails"]
            self.errors.append(detail.get("exception", {}).get("description") or detail["text"])
        elif method == "Runtime.consoleAPICalled":
            self.errors.append("console: %s" % [a.get("value", a.get("description")) for a in params["args"]])
        elif method == "Log.entryAdded":
            self.errors.append("log: " + params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith("file:"):
                self.requests.append(url)
        self.events.append(method)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        deadline = time.monotonic() + self.seconds
        while True:
            answer = self._message(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError("%s: %s" % (method, answer["error"]))
                return answer["result"]
            self._note(answer)

    def open(self, path):
        self.events.clear()
        self.call("Page.navigate", url="file://" + os.path.abspath(path))
        deadline = time.monotonic() + self.seconds
        while "Page.loadEventFired" not in self.events:
            self._note(self._message(deadline))

    def run(self, expression):
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError("%s: %s" % (expression, answer["exceptionDetails"]))
        return answer["result"].get("value")

    def until(self, expression, seconds=20):
        """Waits until the expression is true; returns its value."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.run(expression)
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError("never true: " + expression)
            time.sleep(0.05)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, dark, calm=False):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"}])

    def click(self, x, y):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, clickCount=0 if kind == "mouseMoved" else 1,
                      button="none" if kind == "mouseMoved" else "left")

    def hover(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def key(self, name):
        """A key by its DOM name: "ArrowUp", "Enter", "/" ..."""
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
                 "Home": 36}
        text = {"text": name} if len(name) == 1 else {"text": "\r"} if name == "Enter" else {}
        code = codes.get(name, ord(name[0].upper()))
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, windowsVirtualKeyCode=code)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def screenshot(self, path=None):
        png = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path:
            with open(path, "wb") as file:
                file.write(png)
        return Picture(png)
