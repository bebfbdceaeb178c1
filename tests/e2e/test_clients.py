"""The mail programs that people use, unchanged: mbsync, msmtp, fetchmail, mutt, curl."""
import email
import mailbox
import os
import pty
import re
import select
import unittest

from tests.e2e.clients import (certificate_file, imap_login, inject, is_below, message, run, uids, wait_uids)
from tests.e2e.harness import SuiteCase, wait_for


class Clients(SuiteCase):
    """One suite for the file; each test has an account of its own, named after it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.certificate = certificate_file(cls.suite)

    def setUp(self):
        name = re.sub("[^a-z0-9]", "", self.id().rsplit(".", 1)[-1].removeprefix("test_"))
        self.user = f"{name}@here.test"
        self.suite.cli("add", "account", self.user, "password=secret")
        self.home = self.suite.dir / name
        self.home.mkdir()

    def file(self, name, text, mode=0o600):
        path = self.home / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def fill(self, count, first=1):
        for number in range(first, first + count):
            inject(self.suite, message(number, to=self.user), to=[self.user])

    def url(self, scheme, rest=""):
        return f"{scheme}://127.0.0.1:{self.suite.port(scheme)}/{rest}"


class Mbsync(Clients):
    def setUp(self):
        super().setUp()
        self.maildir = self.home / "mail"
        self.maildir.mkdir()
        self.config = self.file("mbsyncrc", f"""
IMAPAccount here
Host localhost
Port {self.suite.port("imap")}
User {self.user}
Pass secret
SSLType STARTTLS
CertificateFile {self.certificate}

IMAPStore far
Account here

MaildirStore near
Path {self.maildir}/
Inbox {self.maildir}/INBOX
SubFolders Verbatim

Channel both
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
""")
        self.client = imap_login(self, self.suite, self.user)

    def sync(self):
        return run("mbsync", "-c", self.config, "-a")

    def local(self, folder="INBOX"):
        """{Message-ID: path}"""
        found = {}
        for path in [*(self.maildir / folder / "cur").iterdir(), *(self.maildir / folder / "new").iterdir()]:
            found[re.search(rb"(?im)^Message-ID: <(.*)>", path.read_bytes())[1].decode()] = path
        return found

    def local_flags(self, message_id, folder="INBOX"):
        return self.local(folder)[message_id].name.partition(":2,")[2]

    def set_local_flags(self, message_id, flags, folder="INBOX"):
        path = self.local(folder)[message_id]
        path.rename(self.maildir / folder / "cur" / (path.name.partition(":2,")[0] + ":2," + flags))

    def test_both_ways(self):
        self.fill(3)
        wait_uids(self.client, 3)
        self.sync()
        local = self.local()
        self.assertEqual(sorted(local), ["m1@far.test", "m2@far.test", "m3@far.test"])
        body = re.sub(rb"X-TUID: .*\n", b"", local["m1@far.test"].read_bytes())
        self.assertTrue(is_below(body, message(1, to=self.user).replace(b"\r\n", b"\n")), body)

        self.push_flags_and_deletions()
        self.pull_flags_and_deletions()
        self.mailboxes_both_ways()
        before = sorted(path.name for path in self.maildir.rglob("cur/*"))
        self.sync()
        self.assertEqual(sorted(path.name for path in self.maildir.rglob("cur/*")), before)
        self.assertEqual(len(uids(self.client)), 3)

    def push_flags_and_deletions(self):
        """Two new local messages, one flagged, one read, one deleted: the server follows."""
        for number in (4, 5):
            path = self.maildir / "INBOX" / "new" / f"17000000{number}.1_{number}.local"
            path.write_bytes(message(number, to=self.user).replace(b"\r\n", b"\n"))
        self.set_local_flags("m1@far.test", "FS")
        self.local()["m2@far.test"].unlink()
        self.sync()
        self.assertEqual(len(uids(self.client)), 4)
        self.assertEqual(uids(self.client, "INBOX", "HEADER", "Message-ID", "m2@far.test"), [])
        self.assertEqual(uids(self.client, "INBOX", "FLAGGED", "SEEN"),
                         uids(self.client, "INBOX", "HEADER", "Message-ID", "m1@far.test"))
        pushed = uids(self.client, "INBOX", "HEADER", "Message-ID", "m4@far.test")
        data = self.client.uid("fetch", str(pushed[0]), "(BODY.PEEK[])")[1][0][1]
        self.assertTrue(re.sub(rb"X-TUID: .*\r\n", b"", data) == message(4, to=self.user), data)

    def pull_flags_and_deletions(self):
        three = uids(self.client, "INBOX", "HEADER", "Message-ID", "m3@far.test")[0]
        self.client.uid("store", str(three), "+FLAGS", r"(\Answered \Flagged)")
        five = uids(self.client, "INBOX", "HEADER", "Message-ID", "m5@far.test")[0]
        self.client.uid("store", str(five), "+FLAGS.SILENT", r"(\Deleted)")
        self.client.uid("expunge", str(five))
        one = uids(self.client, "INBOX", "HEADER", "Message-ID", "m1@far.test")[0]
        self.client.uid("store", str(one), "-FLAGS", r"(\Flagged)")
        self.sync()
        self.assertEqual(sorted(self.local()), ["m1@far.test", "m3@far.test", "m4@far.test"])
        self.assertEqual(self.local_flags("m3@far.test"), "FR")
        self.assertEqual(self.local_flags("m1@far.test"), "S")

    def mailboxes_both_ways(self):
        box = mailbox.Maildir(self.maildir / "Fotos", create=True)
        box.add(message(6, to=self.user).replace(b"\r\n", b"\n"))
        self.client.create('"Work/2026"')
        self.client.append('"Work/2026"', r"(\Seen)", None, message(7, to=self.user))
        self.sync()
        self.assertEqual(len(uids(self.client, "Fotos")), 1)
        self.assertEqual(sorted(self.local("Work/2026")), ["m7@far.test"])
        self.assertEqual(self.local_flags("m7@far.test", "Work/2026"), "S")


class Senders(Clients):
    def test_msmtp(self):
        config = self.file("msmtprc", f"""
account default
host localhost
port {self.suite.port("submission")}
auth plain
user {self.user}
password secret
tls on
tls_starttls on
tls_trust_file {self.certificate}
from {self.user}
""")
        data = message(1, sender=self.user, to=self.user)
        run("msmtp", "-C", config, self.user, stdin=data.replace(b"\r\n", b"\n"))
        # The other kind of TLS, and the other mechanism.
        config.write_text(config.read_text().replace("tls_starttls on", "tls_starttls off").replace("auth plain", "auth login")
                          .replace(f"port {self.suite.port('submission')}", f"port {self.suite.port('submissions')}"))
        run("msmtp", "-C", config, "-t", "--read-envelope-from", stdin=message(2, sender=self.user, to=self.user))
        client = imap_login(self, self.suite, self.user)
        found = wait_uids(client, 2)
        self.assertTrue(is_below(client.uid("fetch", str(found[0]), "(BODY.PEEK[])")[1][0][1], data))

    def test_msmtp_hears_of_a_wrong_password(self):
        result = run("msmtp", "--host=localhost", f"--port={self.suite.port('submission')}", "--auth=plain", "--tls=on",
                     f"--tls-trust-file={self.certificate}", f"--user={self.user}", "--passwordeval=echo wrong",
                     f"--from={self.user}", self.user, stdin=message(1), check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(b"535", result.stderr)

    def test_curl(self):
        data = message(1, sender=self.user, to=self.user)
        source = self.home / "one.eml"
        source.write_bytes(data)
        login = ("-sSk", "--max-time", "60", "--user", f"{self.user}:secret")
        run("curl", *login, "--mail-from", self.user, "--mail-rcpt", self.user, "-T", source, self.url("submissions")
            .replace("submissions", "smtps"))
        client = imap_login(self, self.suite, self.user)
        uid = wait_uids(client, 1)[0]
        fetched = run("curl", *login, self.url("imaps", f"INBOX;UID={uid}")).stdout
        self.assertTrue(is_below(fetched, data), fetched)
        self.assertEqual(run("curl", *login, "--ssl-reqd", self.url("pop3", "1")).stdout, fetched)
        self.assertEqual(run("curl", *login, "-X", "UIDL", self.url("pop3s")).stdout.split()[0], b"1")
        run("curl", *login, "-T", source, self.url("imap", "INBOX"))
        self.assertEqual(len(uids(client)), 2)
        self.assertIn(b"* SEARCH 1 2", run("curl", *login, self.url("imap", "INBOX?SUBJECT%20message")).stdout)
        self.assertIn(b'"/" INBOX', run("curl", *login, self.url("imap")).stdout)


class Fetchmail(Clients):
    def fetch(self, protocol, keep, server="", codes=(0,)):
        target = self.home / f"{protocol}.mbox"
        config = self.file(f"fetchmail.{protocol}", f"""
set no bouncemail
poll localhost with proto {protocol} port {self.suite.port(protocol)} {server}
  user "{self.user}" password "secret" {keep} no rewrite no mimedecode
  sslproto "auto" sslcertck sslcertfile "{self.certificate}"
  mda "cat >> {target}; echo ----- >> {target}"
""")
        result = run("fetchmail", "-f", config, "--idfile", self.home / f"{protocol}.ids", "--pidfile",
                     self.home / f"{protocol}.pid", "--invisible", "-v", check=False,
                     env={**os.environ, "HOME": str(self.home), "FETCHMAILHOME": str(self.home)})
        self.assertIn(result.returncode, codes, (result.stdout + result.stderr).decode(errors="replace"))
        return target.read_bytes().split(b"-----\n")[:-1] if target.exists() else []

    def filled(self, count):
        self.fill(count)
        client = imap_login(self, self.suite, self.user)
        wait_uids(client, count)
        return client

    def test_pop3_keep_with_uidl_takes_each_message_once(self):
        client = self.filled(2)
        fetched = self.fetch("pop3", "keep", "uidl")
        self.assertEqual(len(fetched), 2)
        self.assertTrue(is_below(fetched[0], message(1, to=self.user).replace(b"\r\n", b"\n")), fetched[0])
        self.assertEqual(len(self.fetch("pop3", "keep", "uidl", codes=(1,))), 2)
        self.fill(1, first=3)
        wait_uids(client, 3)
        self.assertEqual(len(self.fetch("pop3", "keep", "uidl")), 3)
        self.assertEqual(len(uids(client)), 3)

    def test_pop3_without_keep_empties_the_maildrop(self):
        client = self.filled(3)
        self.assertEqual(len(self.fetch("pop3", "nokeep")), 3)
        wait_for(lambda: uids(client) == [], "the maildrop is empty")

    def test_imap(self):
        client = self.filled(2)
        fetched = self.fetch("imap", "keep")
        self.assertEqual(len(fetched), 2)
        self.assertTrue(is_below(fetched[1], message(2, to=self.user).replace(b"\r\n", b"\n")), fetched[1])
        self.assertEqual(len(uids(client, "INBOX", "SEEN")), 2)
        self.fill(1, first=3)
        wait_uids(client, 3)
        self.assertEqual(len(self.fetch("imap", "nokeep")), 3)
        self.assertEqual(len(uids(client)), 2)


class Mutt(Clients):
    def setUp(self):
        super().setUp()
        name = self.user.replace("@", "%40")
        self.config = self.file("muttrc", f"""
set charset="utf-8" send_charset="utf-8"
set realname="M" from="{self.user}" use_from=yes use_envelope_from=yes hostname="here.test"
set smtp_url="smtp://{name}@localhost:{self.suite.port("submission")}/" smtp_pass="secret"
set imap_user="{self.user}" imap_pass="secret"
set ssl_starttls=yes ssl_force_tls=yes certificate_file="{self.certificate}"
set record="" copy=no sleep_time=0 mail_check_stats=no confirmappend=no confirmcreate=no delete=yes move=no quit=yes
set mbox_type=mbox wait_key=no header_cache="" message_cachedir="" abort_noattach=no
""")

    def batch(self, *arguments, stdin=b""):
        return run("mutt", "-n", "-F", self.config, *arguments, stdin=stdin, env={**os.environ, "HOME": str(self.home)})

    def on_a_terminal(self, *arguments):
        """Runs mutt on a pseudo terminal until it ends by itself; what it drew."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(HOME=str(self.home), TERM="xterm", LINES="40", COLUMNS="120")
            os.execvp("mutt", ["mutt", "-n", "-F", str(self.config), *arguments])
        drawn = bytearray()

        def ended():
            while select.select([terminal], [], [], 0)[0]:
                try:
                    chunk = os.read(terminal, 65536)
                except OSError:
                    chunk = b""
                if not chunk:
                    break
                drawn.extend(chunk)
            return os.waitpid(pid, os.WNOHANG)[0] == pid
        try:
            wait_for(ended, "mutt ends", timeout=60)
        except AssertionError:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise AssertionError(f"mutt hangs: {bytes(drawn)[-3000:]!r}") from None
        finally:
            os.close(terminal)
        return bytes(drawn)

    def test_sends_with_an_attachment_and_reads_over_imap(self):
        attachment = self.home / "data.bin"
        attachment.write_bytes(bytes(range(256)) * 300)
        self.batch("-s", "Grüße from mutt", "-a", attachment, "--", self.user, stdin="Schöner Text\n".encode())
        client = imap_login(self, self.suite, self.user)
        wait_uids(client, 1)
        copy = self.home / "copied"
        self.on_a_terminal("-f", f"imap://localhost:{self.suite.port('imap')}/INBOX", "-e",
                           f"push '<tag-pattern>~A<enter><tag-prefix><copy-message>{copy}<enter>"
                           "<tag-prefix><flag-message><sync-mailbox><quit>'")
        part_text, part_data = email.message_from_bytes(copy.read_bytes().partition(b"\n")[2]).get_payload()
        self.assertEqual(part_text.get_payload(decode=True).decode().strip(), "Schöner Text")
        self.assertEqual((part_data.get_filename(), part_data.get_payload(decode=True)),
                         ("data.bin", attachment.read_bytes()))
        self.assertEqual(len(uids(client, "INBOX", "FLAGGED")), 1)

    def test_deletes_and_saves_to_another_mailbox(self):
        self.fill(3)
        client = imap_login(self, self.suite, self.user)
        wait_uids(client, 3)
        url = f"imap://localhost:{self.suite.port('imap')}"
        self.on_a_terminal("-f", f"{url}/INBOX", "-e", f"set folder='{url}/'", "-e",
                           "push '<first-entry><save-message>=Saved<enter><next-undeleted><delete-message>"
                           "<sync-mailbox><quit>'")
        self.assertEqual(len(uids(client)), 1)
        self.assertEqual(len(uids(client, "Saved")), 1)


if __name__ == "__main__":
    unittest.main()
