"""IMAP, POP3 and SMTP as Python's libraries and a raw connection see them, extension by extension."""
import imaplib
import poplib
import re
import smtplib
import time
import unittest

from tests.e2e.clients import Raw, imap_login, inject, is_below, message, raw_imap, uids, unverified, wait_uids
from tests.e2e.harness import TIMEOUT, SuiteCase, wait_for


class Protocols(SuiteCase):
    def setUp(self):
        self.user = re.sub("[^a-z0-9]", "", self.id().rsplit(".", 1)[-1].removeprefix("test_")) + "@here.test"
        self.suite.cli("add", "account", self.user, "password=secret")

    def raw(self, mailbox=None):
        return raw_imap(self, self.suite, self.user, mailbox=mailbox)

    def append(self, client, count, mailbox="INBOX", first=1, flags=""):
        """Fills a mailbox through a raw session, without asking; the last tagged reply."""
        tagged = None
        for number in range(first, first + count):
            data = message(number, to=self.user)
            tagged = client.ok(f"APPEND {mailbox} ({flags}) {{{len(data)}+}}\r\n".encode() + data)[1]
        return tagged


class Imap(Protocols):
    def test_idle_tells_news_flags_and_expunges(self):
        watcher, other = self.raw("INBOX"), self.raw("INBOX")
        watcher.send("i1 IDLE\r\n")
        self.assertTrue(watcher.line().startswith(b"+"))
        inject(self.suite, message(1, to=self.user), to=[self.user])
        self.assertEqual(watcher.response(), b"* 1 EXISTS")
        other.ok("NOOP")
        other.ok(r"STORE 1 +FLAGS (\Flagged)")
        response = wait_for(lambda: (line := watcher.response()) and b"FETCH" in line and line, "flags in IDLE")
        self.assertIn(b"\\Flagged", response)
        other.ok(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        other.ok("EXPUNGE")
        wait_for(lambda: watcher.response() == b"* 1 EXPUNGE", "the expunge in IDLE")
        watcher.send("DONE\r\n")
        self.assertTrue(watcher.until_tagged("i1")[1].startswith("OK"))

    def test_append_answers_appenduid_and_keeps_flags_and_date(self):
        client = imap_login(self, self.suite, self.user)
        data = message(1)
        answer = client.append("INBOX", r"(\Seen \Draft keyword)", '"02-Jan-2020 03:04:05 +0100"', data)
        found = re.fullmatch(rb"\[APPENDUID (\d+) (\d+)\] .*", answer[1][0])
        self.assertIsNotNone(found, answer)
        client.select()
        self.assertEqual(client.response("UIDVALIDITY")[1], [found[1]])
        fetched = client.uid("fetch", found[2].decode(), "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")[1]
        self.assertEqual(fetched[0][1], data)
        flat = fetched[0][0] + (fetched[1] if isinstance(fetched[1], bytes) else b"")
        self.assertIn(f"RFC822.SIZE {len(data)}".encode(), flat)
        self.assertRegex(flat, rb'INTERNALDATE "[ 0]2-Jan-2020 03:04:05 \+0100"')
        for flag in (b"\\Seen", b"\\Draft", b"keyword"):
            self.assertIn(flag, flat)
        self.assertEqual(client.append("Nowhere", None, None, data)[0], "NO")

    def test_copy_and_move_answer_copyuid(self):
        client = self.raw()
        self.append(client, 4)
        client.ok("CREATE Box")
        client.ok("SELECT INBOX")
        self.assertRegex(client.ok("COPY 1:2 Box")[1], r"OK \[COPYUID \d+ 1:2 1:2\]")
        untagged, tagged = client.ok("UID MOVE 3:4 Box")
        self.assertTrue(any(re.match(rb"\* OK \[COPYUID \d+ 3:4 3:4\]", line) for line in untagged)
                        or "COPYUID" in tagged, (untagged, tagged))
        self.assertEqual([line for line in untagged if b"EXPUNGE" in line], [b"* 4 EXPUNGE", b"* 3 EXPUNGE"]
                         if b"* 4 EXPUNGE" in untagged else [b"* 3 EXPUNGE", b"* 3 EXPUNGE"])
        self.assertIn(b"* STATUS Box (MESSAGES 4 UIDNEXT 5)", client.ok("STATUS Box (MESSAGES UIDNEXT)")[0])
        self.assertTrue(client.imap("COPY 1 Nowhere")[1].startswith("NO [TRYCREATE]"))

    def test_uid_expunge_touches_only_what_is_named(self):
        client = self.raw()
        self.append(client, 3, flags="\\Deleted")
        client.ok("SELECT INBOX")
        self.assertEqual([line for line in client.ok("UID EXPUNGE 2")[0] if b"EXPUNGE" in line], [b"* 2 EXPUNGE"])
        self.assertIn(b"* SEARCH 1 3", client.ok("UID SEARCH ALL")[0])
        client.ok("CLOSE")
        client.ok("SELECT INBOX")
        self.assertIn(b"* SEARCH", client.ok("UID SEARCH ALL")[0])

    def test_condstore(self):
        client, other = self.raw(), self.raw()
        self.append(client, 3)
        untagged = client.ok("SELECT INBOX (CONDSTORE)")[0]
        before = int(re.search(rb"HIGHESTMODSEQ (\d+)", b" ".join(untagged))[1])
        other.ok("SELECT INBOX")
        other.ok(r"STORE 2 +FLAGS (\Flagged)")
        client.ok("NOOP")
        changed = client.ok(f"FETCH 1:* (FLAGS) (CHANGEDSINCE {before})")[0]
        self.assertEqual(len([line for line in changed if b" FETCH " in line]), 1)
        modseq = int(re.search(rb"MODSEQ \((\d+)\)", b" ".join(changed))[1])
        self.assertGreater(modseq, before)
        self.assertIn("MODIFIED 2", client.ok(rf"STORE 1:3 (UNCHANGEDSINCE {before}) +FLAGS (\Seen)")[1])
        self.assertIn(b"* SEARCH 2", b" ".join(client.ok(f"SEARCH MODSEQ {modseq} FLAGGED")[0]))
        status = client.ok("STATUS INBOX (HIGHESTMODSEQ)")[0][0]
        self.assertGreater(int(re.search(rb"HIGHESTMODSEQ (\d+)", status)[1]), modseq)

    def test_list_namespace_id_and_special_use(self):
        client = self.raw()
        self.assertIn(b'* NAMESPACE (("" "/")) NIL NIL', client.ok("NAMESPACE")[0])
        self.assertTrue(client.ok('ID ("name" "test")')[0][0].startswith(b"* ID ("))
        client.ok('CREATE "Work/Open items"')
        listed = b"\n".join(client.ok('LIST "" "*"')[0])
        self.assertIn(b'"/" "Work/Open items"', listed)
        special = client.ok('LIST (SPECIAL-USE) "" "*"')[0]
        found = {use.decode() for use in re.findall(rb"\\(Sent|Drafts|Trash|Junk|Archive)\b", b" ".join(special))}
        self.assertLessEqual({"Sent", "Drafts", "Trash", "Junk"}, found, special)
        one_level = b"\n".join(client.ok('LIST "" "%"')[0])
        self.assertNotIn(b"Open items", one_level)
        client.ok("SUBSCRIBE Work")
        self.assertIn(b"Work", b" ".join(client.ok('LSUB "" "*"')[0]))
        client.ok("UNSUBSCRIBE Work")
        client.ok('RENAME "Work/Open items" Done')
        client.ok("DELETE Done")
        self.assertNotIn(b"Done", b" ".join(client.ok('LIST "" "*"')[0]))
        self.assertTrue(client.imap("DELETE INBOX")[1].startswith("NO"))

    def test_mailbox_names_outside_ascii(self):
        client = self.raw()
        client.ok("CREATE Entw&APw-rfe")
        self.assertTrue(any(b"Entw&APw-rfe" in line for line in client.ok('LIST "" "*"')[0]))
        self.append(client, 1, "Entw&APw-rfe")
        self.assertIn(b"(MESSAGES 1)", client.ok("STATUS Entw&APw-rfe (MESSAGES)")[0][0])

    def test_status_and_search(self):
        client = self.raw()
        self.append(client, 2)
        self.append(client, 1, first=3, flags="\\Seen \\Answered red")
        size = 3 * len(message(1, to=self.user))
        self.assertIn(b"MESSAGES 3", client.ok("STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)")[0][0])
        self.assertIn(b"UNSEEN 2", client.ok("STATUS INBOX (UNSEEN)")[0][0])
        client.ok("SELECT INBOX")
        for keys, expected in (("ALL", "1 2 3"), ("UNSEEN", "1 2"), ("SEEN ANSWERED", "3"), ("KEYWORD red", "3"),
                               ("UNKEYWORD red", "1 2"), ("NOT 2", "1 3"), ("OR 1 3", "1 3"), ("UID 2:*", "2 3"),
                               (f"SMALLER {size}", "1 2 3"), (f"LARGER {size}", ""), ("SUBJECT {9+}\r\nmessage 2", "2"),
                               ("FROM carol", "1 2 3"), ("TO nobody", ""), ("HEADER Message-ID m1@far", "1"),
                               ("BODY dots", "1 2 3"), ("TEXT Content-Type", "1 2 3"), ("SENTBEFORE 1-Jan-2020", ""),
                               ("SENTON 21-Nov-2026", "1 2 3"), ("SINCE 1-Jan-2020", "1 2 3"),
                               ("CHARSET UTF-8 BODY {7+}\r\nStra\u00dfe", "1 2 3"), ("(1:2 OR 2 3) UNSEEN", "2")):
            with self.subTest(keys=keys):
                untagged = client.ok(f"SEARCH {keys}")[0]
                self.assertIn(f"* SEARCH {expected}".strip().encode(), untagged)

    def test_fetch_parts_and_structure(self):
        client = self.raw()
        data = (b"From: A <a@far.test>\r\nSubject: =?utf-8?q?=C3=BC?=\r\nMIME-Version: 1.0\r\n"
                b"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\nfirst\r\n--b\r\n"
                b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n--b--\r\n")
        client.ok(f"APPEND INBOX {{{len(data)}+}}\r\n".encode() + data)
        client.ok("SELECT INBOX")
        for item, expected in (("BODY[1]", b"first"), ("BODY[2.HEADER]", b"Subject: inner\r\n\r\n"),
                               ("BODY[2.TEXT]", b"inner text"), ("BODY[2.1]", b"inner text"),
                               ("BODY[HEADER.FIELDS (FROM)]", b"From: A <a@far.test>\r\n\r\n"),
                               ("BODY[]<5.10>", data[5:15]), ("BODY[TEXT]", data.partition(b"\r\n\r\n")[2]),
                               ("BODY[2.MIME]", b"Content-Type: message/rfc822\r\n\r\n")):
            with self.subTest(item=item):
                text = client.ok(f"FETCH 1 {item.replace('BODY', 'BODY.PEEK')}")[0][0]
                found = re.search(rb"\{(\d+)\}\r\n", text)
                value = text[found.end():found.end() + int(found[1])] if found else re.search(rb'"(.*)"', text)[1]
                self.assertEqual(value, expected)
        structure = client.ok("FETCH 1 BODYSTRUCTURE")[0][0]
        self.assertIn(b'"MIXED"', structure.upper())
        self.assertIn(b'"inner"', structure)
        self.assertIn(b'"=?utf-8?q?=C3=BC?="', client.ok("FETCH 1 ENVELOPE")[0][0])
        self.assertNotIn(b"Seen", client.ok("FETCH 1 FLAGS")[0][0])
        client.ok("FETCH 1 BODY[1]")
        self.assertIn(b"Seen", client.ok("FETCH 1 FLAGS")[0][0])

    def test_login_by_every_mechanism_and_over_tls(self):
        for mechanism, answers in (("PLAIN", [f"\0{self.user}\0secret"]), ("LOGIN", [self.user, "secret"])):
            with imaplib.IMAP4_SSL("127.0.0.1", self.suite.port("imaps"), ssl_context=unverified()) as client:
                left = list(answers)
                client.authenticate(mechanism, lambda _, left=left: left.pop(0).encode())
                client.select()
        with imaplib.IMAP4("127.0.0.1", self.suite.port("imap")) as client:
            client.starttls(unverified())
            with self.assertRaisesRegex(imaplib.IMAP4.error, "AUTHENTICATIONFAILED"):
                client.login(self.user, "wrong")
            client.login(self.user, "secret")


class Pop3(Protocols):
    def test_every_command(self):
        for number in (1, 2, 3):
            inject(self.suite, message(number, to=self.user), to=[self.user])
        client = imap_login(self, self.suite, self.user)
        wait_uids(client, 3)
        pop = poplib.POP3("127.0.0.1", self.suite.port("pop3"), timeout=TIMEOUT)
        self.assertIn("UIDL", pop.capa())
        pop.stls(unverified())
        pop.user(self.user)
        pop.pass_("secret")
        count, size = pop.stat()
        self.assertEqual(count, 3)
        self.assertEqual(sum(int(line.split()[1]) for line in pop.list()[1]), size)
        texts = {b"\r\n".join(pop.retr(number)[1]) + b"\r\n" for number in (1, 2, 3)}
        self.assertEqual(sum(map(len, texts)), size)
        self.assertTrue(any(is_below(text, message(2, to=self.user)) for text in texts))
        self.assertEqual(pop.top(1, 1)[1][-1], "Straße".encode())
        identifiers = [line.split()[1] for line in pop.uidl()[1]]
        self.assertEqual(len(set(identifiers)), 3)
        pop.dele(2)
        with self.assertRaises(poplib.error_proto):
            pop.retr(2)
        pop.rset()
        pop.dele(1)
        pop.quit()
        wait_for(lambda: len(uids(client)) == 2, "QUIT deletes")
        again = poplib.POP3_SSL("127.0.0.1", self.suite.port("pop3s"), timeout=TIMEOUT, context=unverified())
        again.user(self.user)
        again.pass_("secret")
        self.assertEqual([line.split()[1] for line in again.uidl()[1]], identifiers[1:])
        again.dele(1)
        again.close()  # no QUIT: nothing is deleted
        self.assertEqual(len(uids(client)), 2)

    def test_one_session_at_a_time(self):
        first = poplib.POP3("127.0.0.1", self.suite.port("pop3"), timeout=TIMEOUT)
        first.user(self.user)
        first.pass_("secret")
        second = poplib.POP3("127.0.0.1", self.suite.port("pop3"), timeout=TIMEOUT)
        second.user(self.user)
        with self.assertRaisesRegex(poplib.error_proto, r"\[IN-USE\]"):
            second.pass_("secret")
        second.close()
        first.quit()

        def free():
            third = poplib.POP3("127.0.0.1", self.suite.port("pop3"), timeout=TIMEOUT)
            third.user(self.user)
            try:
                third.pass_("secret")
            except poplib.error_proto:
                return False
            finally:
                third.close()
            return True
        wait_for(free, "the maildrop is free again")


class Smtp(Protocols):
    def test_extensions_are_offered_where_they_belong(self):
        with smtplib.SMTP("127.0.0.1", self.suite.port("smtp")) as client:
            client.ehlo("far.test")
            for name in ("pipelining", "8bitmime", "smtputf8", "size", "enhancedstatuscodes", "starttls"):
                self.assertTrue(client.has_extn(name), name)
            self.assertFalse(client.has_extn("auth"))
            client.starttls(context=unverified())
            client.ehlo("far.test")
            self.assertFalse(client.has_extn("starttls"))
        with smtplib.SMTP_SSL("127.0.0.1", self.suite.port("submissions"), context=unverified()) as client:
            client.ehlo()
            self.assertLessEqual({"PLAIN", "LOGIN"}, set(client.esmtp_features["auth"].split()))

    def test_submission_demands_a_login_and_the_right_one(self):
        with smtplib.SMTP("127.0.0.1", self.suite.port("submission")) as client:
            client.ehlo()
            self.assertEqual(client.mail(self.user)[0], 530)
            with self.assertRaises(smtplib.SMTPAuthenticationError) as caught:
                client.login(self.user, "wrong")
            self.assertEqual((caught.exception.smtp_code, caught.exception.smtp_error[:5]), (535, b"5.7.8"))
            client.login(self.user, "secret")
            self.assertEqual(client.mail(self.user)[0], 250)

    def test_pipelining_answers_each_command_in_order(self):
        with Raw(self.suite.port("smtp")) as client:
            client.smtp()
            client.smtp("EHLO far.test")
            data = message(1, to=self.user)
            client.send(f"MAIL FROM:<c@far.test>\r\nRCPT TO:<{self.user}>\r\nRCPT TO:<nobody@here.test>\r\nDATA\r\n")
            self.assertEqual([client.smtp()[:3] for _ in range(4)], ["250", "250", "550", "354"])
            client.send(data.replace(b"\r\n.", b"\r\n..") + b".\r\nQUIT\r\n")
            self.assertEqual([client.smtp()[:3] for _ in range(2)], ["250", "221"])
        found = imap_login(self, self.suite, self.user)
        wait_uids(found, 1)
        self.assertTrue(is_below(found.fetch("1", "(BODY[])")[1][0][1], data))

    def test_smuggling_shapes_do_not_end_a_message(self):
        for ending in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\r"):
            with self.subTest(ending=ending), Raw(self.suite.port("smtp")) as client:
                client.smtp()
                for command in ("EHLO far.test", "MAIL FROM:<c@far.test>", f"RCPT TO:<{self.user}>"):
                    client.smtp(command)
                self.assertEqual(client.smtp("DATA")[:3], "354")
                client.send(b"Subject: smuggled\r\n\r\nbody" + ending + b"MAIL FROM:<evil@far.test>\r\n\r\n.\r\n")
                self.assertRegex(client.smtp(), r"^5\d\d")
                self.assertEqual(client.smtp("NOOP")[:3], "250")
        self.assertEqual(uids(imap_login(self, self.suite, self.user)), [])

    def test_one_message_to_many_is_in_every_mailbox_once(self):
        others = [f"many{number}@here.test" for number in range(20)]
        documents = "".join(f"---\nkind: account\naddress: {other}\npassword: secret\n" for other in others)
        self.suite.cli("apply", "-f", "-", stdin=documents)
        began = time.monotonic()
        inject(self.suite, message(1), to=others + [others[0].upper(), self.user])
        for other in others[:3] + [self.user]:
            self.assertEqual(len(wait_uids(imap_login(self, self.suite, other), 1)), 1)
        self.assertLess(time.monotonic() - began, TIMEOUT)


if __name__ == "__main__":
    unittest.main()
