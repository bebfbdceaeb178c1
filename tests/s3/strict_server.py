#!/usr/bin/env python3
"""A small S3 server for tests that believes nothing: every request must be signed (SigV4, computed here from the
specification alone), its body must have the hash it was signed with, unknown requests are refused, and so is a name
that is there already with other bytes.

    strict_server.py ROOT [PORT]

Objects are files below ROOT, so that a killed server can come back. It prints "port N" once it listens. Faults are
ordered by lines on standard input, each answered with "ok":

    fault KIND COUNT METHOD [SECONDS]   the next COUNT requests of METHOD (or ANY) meet it
    clear
"""

import datetime
import hashlib
import hmac
import os
import re
import socket
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

ACCESS, SECRET, REGION, BUCKET = "POSTHORN", "a secret key/with+signs", "test-region-1", "mail"
EMPTY = hashlib.sha256(b"").hexdigest()


class Refused(Exception):
    def __init__(self, status, code):
        super().__init__(code)
        self.status, self.code = status, code


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.kind, self.left, self.method, self.seconds = "", 0, "ANY", 0.0

    def take(self, method):
        with self.lock:
            if self.left <= 0 or self.method not in ("ANY", method):
                return "", 0.0
            self.left -= 1
            return self.kind, self.seconds

    def obey(self):
        for line in sys.stdin:
            words = line.split()
            with self.lock:
                if words[0] == "clear":
                    self.left = 0
                else:
                    self.kind, self.left, self.method = words[1], int(words[2]), words[3]
                    self.seconds = float(words[4]) if len(words) > 4 else 0.0
            print("ok", flush=True)
        os._exit(0)


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def canonical_query(query):
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    return "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(pairs))


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # an answer is one packet: no waiting for acknowledgements
    root = ""
    faults = Faults()

    def log_message(self, *_):
        pass

    def handle_expect_100(self):
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def check_signature(self, body):
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
            self.headers.get("Authorization", ""))
        if not match:
            raise Refused(403, "AccessDenied")
        credential, names, signature = match.groups()
        access, day, region, service, end = credential.split("/")
        if access != ACCESS:
            raise Refused(403, "InvalidAccessKeyId")
        if (region, service, end) != (REGION, "s3", "aws4_request"):
            raise Refused(400, "AuthorizationHeaderMalformed")
        stamp = self.headers.get("X-Amz-Date", "")
        then = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        now = datetime.datetime.now(datetime.timezone.utc)
        if abs((now - then).total_seconds()) > 900 or not stamp.startswith(day):
            raise Refused(403, "RequestTimeTooSkewed")
        signed = names.split(";")
        if signed != sorted(signed) or not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed):
            raise Refused(403, "AccessDenied")
        if any(name not in self.headers for name in signed):
            raise Refused(403, "AccessDenied")  # signed, and not sent
        claimed = self.headers.get("X-Amz-Content-Sha256", "")
        if claimed != hashlib.sha256(body).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch")
        path, _, query = self.path.partition("?")
        headers = "".join(f"{n}:{' '.join(self.headers.get(n, '').split())}\n" for n in signed)
        request = "\n".join([self.command, quote_path(path), canonical_query(query), headers, names, claimed])
        scope = f"{day}/{region}/s3/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
        key = ("AWS4" + SECRET).encode()
        for part in (day, region, "s3", "aws4_request"):
            key = sign(key, part)
        if not hmac.compare_digest(sign(key, to_sign).hex(), signature):
            raise Refused(403, "SignatureDoesNotMatch")

    def file_of(self, key):
        return os.path.join(self.root, urllib.parse.quote(key, safe=""))

    def answer(self, status, body=b"", headers=(), cut=False):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:len(body) // 2] if cut else body)
        if cut:
            self.drop()

    def drop(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def refuse(self, status, code):
        self.answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode())

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind, seconds = self.faults.take(self.command)
        if kind == "slow":
            time.sleep(seconds)  # the fault itself
        if kind == "reset":
            return self.drop()
        if kind == "nowhere":  # a proxy that knows no way to the server, and says nothing else
            return self.answer(404)
        refusals = {"error": (500, "InternalError"), "busy": (503, "SlowDown"), "denied": (403, "AccessDenied"),
                    "full": (507, "InsufficientStorage"), "quota": (403, "QuotaExceeded")}
        if kind in refusals:
            return self.refuse(*refusals[kind])
        try:
            self.check_signature(body)
            return self.serve(body, kind)
        except Refused as refused:
            return self.refuse(refused.status, refused.code)

    def serve(self, body, kind):
        path, _, query = self.path.partition("?")
        bucket, _, key = urllib.parse.unquote(path)[1:].partition("/")
        if bucket != BUCKET:
            raise Refused(404, "NoSuchBucket")
        if not key and self.command == "GET":
            return self.answer(200, self.listing(dict(urllib.parse.parse_qsl(query))), cut=kind == "cut")
        if not key or query:
            raise Refused(400, "InvalidRequest")
        if self.command == "PUT":
            return self.put(key, body, kind)
        if self.command == "GET":
            return self.get(key, kind)
        if self.command == "DELETE":
            if os.path.exists(self.file_of(key)):
                os.unlink(self.file_of(key))
            return self.answer(204)
        raise Refused(405, "MethodNotAllowed")

    def put(self, key, body, kind):
        if os.path.exists(self.file_of(key)):
            with open(self.file_of(key), "rb") as there:
                if there.read() != body:
                    raise Refused(400, "NameWrittenWithTwoContents")
        temporary = f"{self.file_of(key)}.{threading.get_ident()}.part"
        with open(temporary, "wb") as out:
            out.write(body)
        os.rename(temporary, self.file_of(key))
        if kind == "applied":  # done, and nobody hears of it
            return self.drop()
        return self.answer(200, headers=[("ETag", f'"{hashlib.md5(body).hexdigest()}"')])

    def get(self, key, kind):
        try:
            with open(self.file_of(key), "rb") as source:
                body = source.read()
        except FileNotFoundError:
            raise Refused(404, "NoSuchKey") from None
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not wanted:
            return self.answer(200, body, cut=kind == "cut")
        first, last = int(wanted[1]), min(int(wanted[2]), len(body) - 1)
        if first >= len(body):
            raise Refused(416, "InvalidRange")
        part = body[first:last + 1]
        if kind == "rot":
            part = part[:-1] + bytes([part[-1] ^ 1])
        return self.answer(206, part, [("Content-Range", f"bytes {first}-{last}/{len(body)}")], cut=kind == "cut")

    def listing(self, query):
        if query.get("list-type") != "2":
            raise Refused(400, "InvalidRequest")
        prefix, after = query.get("prefix", ""), query.get("start-after", "")
        names = sorted(urllib.parse.unquote(n) for n in os.listdir(self.root) if not n.endswith(".part"))
        names = [n for n in names if n.startswith(prefix) and n > after]
        most = min(int(query.get("max-keys", "1000")), 7)  # less than asked for, as a server may
        items = []
        for name in names[:most]:
            try:
                info = os.stat(self.file_of(name))
            except FileNotFoundError:
                continue
            when = datetime.datetime.fromtimestamp(info.st_mtime, datetime.timezone.utc)
            items.append(f"<Contents><Key>{escape(name)}</Key><LastModified>{when:%Y-%m-%dT%H:%M:%S}.000Z"
                         f"</LastModified><Size>{info.st_size}</Size></Contents>")
        more = "true" if len(names) > most else "false"
        return (f"<?xml version='1.0'?><ListBucketResult><IsTruncated>{more}</IsTruncated>"
                f"{''.join(items)}</ListBucketResult>").encode()

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = handle_one


def quote_path(path):
    return urllib.parse.quote(urllib.parse.unquote(path), safe="/-_.~")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


def main():
    Handler.root = sys.argv[1]
    os.makedirs(Handler.root, exist_ok=True)
    server = Server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
    print("port", server.server_address[1], flush=True)
    threading.Thread(target=Handler.faults.obey, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
