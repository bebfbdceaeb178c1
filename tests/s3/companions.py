"""Real S3 servers that the store's tests are run against: s3rver (npm) and OpenStack Swift with s3api (Debian)."""

import contextlib
import hashlib
import hmac
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

from tests.e2e.harness import free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
S3RVER = "3.7.1"


class Missing(Exception):
    """A companion cannot be had here, and why."""


def wait_for_port(port, process, seconds=60):
    def listens():
        if process.poll() is not None:
            raise Missing(f"{process.args[0]} ended with {process.returncode}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    try:
        wait_for(listens, f"{process.args[0]} listens", seconds)
    except AssertionError as error:
        raise Missing(str(error)) from None


class Companion:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.processes = []

    def run(self, arguments, port, log):
        with open(self.folder / log, "wb") as out:
            process = subprocess.Popen([str(a) for a in arguments], stdout=out, stderr=out, cwd=self.folder,
                                       start_new_session=True)
        self.processes.append(process)
        wait_for_port(port, process)

    def stop(self):
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class S3rver(Companion):
    """Checks signatures as well, but only of requests that have one."""

    def start(self):
        if shutil.which("npm") is None:
            raise Missing("npm is not installed")
        home = ROOT / "build" / "companions" / f"s3rver-{S3RVER}"
        program = home / "node_modules" / "s3rver" / "bin" / "s3rver.js"
        if not program.exists():
            home.mkdir(parents=True, exist_ok=True)
            got = subprocess.run(["npm", "install", "--no-audit", "--no-fund", f"s3rver@{S3RVER}"], cwd=home,
                                 capture_output=True, text=True, timeout=300, check=False)
            if got.returncode != 0 or not program.exists():
                raise Missing(f"npm cannot fetch s3rver: {got.stderr.strip()[-200:]}")
        port = free_port()
        self.run(["node", program, "--directory", self.folder / "objects", "--address", "127.0.0.1",
                  "--port", port, "--silent", "--configure-bucket", "mail"], port, "s3rver.log")
        return f"http://127.0.0.1:{port} us-east-1 mail S3RVER S3RVER"


BACKEND = """[DEFAULT]
devices = {folder}/devices
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
log_address = {folder}/no-log
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
allow_versions = false
"""
PROXY = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
log_address = {folder}/no-log
[pipeline:main]
pipeline = catch_errors cache listing_formats s3api tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
# There is none; tempauth only wants to know one by name.
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:9
connect_timeout = 0.1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:tempauth]
use = egg:swift#tempauth
user_test_mail = secret .admin
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
"""
SWIFT = """[swift-hash]
swift_hash_path_suffix = tests
[storage-policy:0]
name = Policy-0
default = yes
"""


class Swift(Companion):
    """Refuses whatever is not signed as it should be."""

    def start(self):
        if shutil.which("swift-proxy-server") is None:
            raise Missing("swift-proxy and its servers are not installed")
        self.check_attributes()
        (self.folder / "devices" / "disk").mkdir(parents=True)
        (self.folder / "swift.conf").write_text(SWIFT)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        for kind in ("account", "container", "object"):
            port = free_port()
            self.build_ring(kind, port)
            conf = self.folder / f"{kind}.conf"
            conf.write_text(BACKEND.format(folder=self.folder, port=port, kind=kind, user=user))
            self.run([f"swift-{kind}-server", conf], port, f"{kind}.log")
        port = free_port()
        conf = self.folder / "proxy.conf"
        conf.write_text(PROXY.format(folder=self.folder, port=port, user=user))
        self.run(["swift-proxy-server", conf, "-v"], port, "proxy.log")
        self.make_bucket(port)
        return f"http://127.0.0.1:{port} us-east-1 mail test:mail secret"

    def check_attributes(self):
        probe = self.folder / "probe"
        probe.touch()
        try:
            os.setxattr(probe, b"user.swift", b"x")
        except OSError as error:
            raise Missing(f"{self.folder} has no extended attributes: {error}") from error

    def build_ring(self, kind, port):
        builder = self.folder / f"{kind}.builder"
        for step in (["create", "4", "1", "0"], ["add", f"r1z1-127.0.0.1:{port}/disk", "1"], ["rebalance"]):
            subprocess.run(["swift-ring-builder", builder, *step], check=True, capture_output=True)

    def make_bucket(self, port):
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
        empty = hashlib.sha256(b"").hexdigest()
        names = "host;x-amz-content-sha256;x-amz-date"
        request = (f"PUT\n/mail\n\nhost:127.0.0.1:{port}\nx-amz-content-sha256:{empty}\nx-amz-date:{stamp}\n\n"
                   f"{names}\n{empty}")
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = b"AWS4secret"
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers = {"X-Amz-Date": stamp, "X-Amz-Content-Sha256": empty,
                   "Authorization": f"AWS4-HMAC-SHA256 Credential=test:mail/{scope}, SignedHeaders={names}, "
                                    f"Signature={signature}"}
        put = urllib.request.Request(f"http://127.0.0.1:{port}/mail", method="PUT", headers=headers)
        urllib.request.urlopen(put, timeout=30).close()
