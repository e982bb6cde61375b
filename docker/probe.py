"""What docker/try.sh asks of the running stack: images, load, Prometheus' answers. Python's standard library alone.

probe.py ready SECONDS | page PATH | image IMAGE [KEY] | load IMAGE KEY CLIENTS SECONDS | scraped SECONDS |
value QUERY | wait QUERY SECONDS | dashboard JSON. Addresses come from APP and PROMETHEUS. Exit status 1: not so.
"""

import collections
import json
import os
import re
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

NOT_YET = (OSError, urllib.error.URLError)


def get(url):
    """The body of a 200. Raises URLError."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()


def post(image, key):
    """Status and answer of one image."""
    headers = {"Content-Type": "application/octet-stream"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(os.environ["APP"] + "/parse", image, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def query(expression):
    """Samples [(labels, value)] of an instant query. Raises HTTPError where it does not parse."""
    url = f"{os.environ['PROMETHEUS']}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    return [(s["metric"], float(s["value"][1])) for s in json.loads(get(url))["data"]["result"]]


def until(condition, seconds):
    """Seconds waited for the condition; None where that is not soon enough."""
    start = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - start
        except NOT_YET:
            pass
        if time.monotonic() - start > seconds:
            return None
        time.sleep(0.2)


def ready(seconds):
    """Wait for /readyz."""
    return waited(until(lambda: get(os.environ["APP"] + "/readyz"), float(seconds)))


def wait(expression, seconds):
    """Wait for a query to return a series."""
    return waited(until(lambda: query(expression), float(seconds)))


def scraped(seconds):
    """Wait for Prometheus to know of every image answered so far."""
    answered = re.search(
        r'humanparse_requests_total\{outcome="ok"\} (\S+)', get(os.environ["APP"] + "/metrics").decode()
    )
    return wait(f'humanparse_requests_total{{outcome="ok"}} >= {answered[1]}', seconds)


def waited(seconds):
    """Say so."""
    print("not in time" if seconds is None else f"{seconds:.1f} s")
    return seconds is not None


def page(path):
    """Get a page; say how large it is and whether it loads anything from elsewhere."""
    text = get(os.environ["APP"] + path).decode()
    foreign = re.findall(r"""(?:src|<link[^>]*href)=["']?((?:https?:)?//[^"'>\s]+)""", text)
    print(f"{len(text)} bytes, from elsewhere: {foreign or 'nothing'}")
    return not foreign


def image(path, key=""):
    """Post one image; what is printed begins with the status."""
    with open(path, "rb") as file:
        status, answer = post(file.read(), key)
    said = f"{len(answer['people'])} people, {answer['timings_ms']}" if status == 200 else answer["title"]
    print(f"{status}: {said}")
    return True


def load(path, key, clients, seconds):
    """Clients that post one image after another; print how many of each status came back."""
    with open(path, "rb") as file:
        data = file.read()
    end, statuses = time.monotonic() + float(seconds), collections.Counter()

    def client():
        while time.monotonic() < end:
            statuses[post(data, key)[0]] += 1

    threads = [threading.Thread(target=client) for _ in range(int(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(", ".join(f"{count} x {status}" for status, count in sorted(statuses.items())))
    return bool(statuses[200])


def value(expression):
    """Print the only sample of a query."""
    samples = query(expression)
    print(*(f"{number:.4g}" for _, number in samples))
    return len(samples) == 1


def dashboard(path):
    """Ask every query of a dashboard; name those that return nothing."""
    with open(path) as file:
        panels = json.load(file)["panels"]
    queries = [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]
    empty = [q for q in queries if not query(q[1].replace("$__rate_interval", "1m"))]
    print(f"{len(queries)} queries of {len(panels)} panels, without a series: {empty or 'none'}")
    return not empty


if __name__ == "__main__":
    commands = {f.__name__: f for f in (ready, page, image, load, scraped, value, wait, dashboard)}
    sys.exit(not commands[sys.argv[1]](*sys.argv[2:]))
