"""`posthorn up` as root: each process binds its ports and is its own user from then on, with files and sockets to match."""
import grp
import os
import pathlib
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

from tests.e2e.clients import imap_login, inject, message, run, wait_uids
from tests.e2e.harness import BIN, PROCESSES, TIMEOUT, Suite, free_port_base, wait_for
from tests.e2e.test_up import alive, listens

WORDS = {"store-service": "store", "admin-service": "admin", "delivery-queue": "queue", "spam-service": "spam",
         "smtp-gateway": "smtp", "imap-gateway": "imap", "pop3-gateway": "pop3"}
USERS = {process: f"posthorn-{word}" for process, word in WORDS.items()}
BIND_LOW_PORTS = 1 << 10  # CAP_NET_BIND_SERVICE
CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def missing_users():
    known = {entry.pw_name for entry in pwd.getpwall()}
    return [user for user in USERS.values() if user not in known]


def remove_users(names):
    for name in names:
        subprocess.run(["userdel", name], capture_output=True, check=False)


def as_user(name, *command):
    user = pwd.getpwnam(name)
    return subprocess.run(command, user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True, cwd="/",
                          timeout=TIMEOUT, check=False).returncode


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


def up(directory, *options):
    return subprocess.run([BIN / "posthorn", "up", "--dir", directory, *map(str, options)], capture_output=True, text=True,
                          timeout=TIMEOUT * 2, check=False)


@unittest.skipUnless(os.geteuid() == 0, "processes can become their own users only when root starts them")
class OwnUsers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = missing_users()
        if not missing:
            return
        # What `up` says is what makes them.
        with tempfile.TemporaryDirectory(prefix="posthorn-e2e-") as directory:
            refused = up(directory, "--users", "yes", "--port-base", free_port_base())
            assert refused.returncode == 1, refused
            command = next(line for line in refused.stdout.splitlines() if "useradd" in line)
        cls.addClassCleanup(remove_users, missing)
        run("sh", "-c", command)
        assert not missing_users(), command

    def suite(self, *options):
        suite = Suite(up_options=options or ("--users", "yes"))
        self.addCleanup(suite.__exit__)
        suite.start()
        return suite

    def assert_own_users(self, suite):
        for process, name in USERS.items():
            user = pwd.getpwnam(name)
            status = status_of(suite.pid(process))
            self.assertEqual(status["Uid"], [str(user.pw_uid)] * 4, process)
            self.assertEqual(status["Gid"], [str(user.pw_gid)] * 4, process)
            self.assertEqual(status["Groups"], [str(user.pw_gid)], f"{process} is in nobody else's group")
            self.assertEqual(status["NoNewPrivs"], ["1"], process)
            allowed = BIND_LOW_PORTS if process.endswith("-gateway") else 0
            self.assertEqual([int(status[name][0], 16) for name in ("CapEff", "CapPrm")], [allowed] * 2, process)

    def send_and_read(self, suite, number):
        def sent():
            try:
                return inject(suite, message(number)) == {}
            except Exception:  # 451 until all have found each other
                return False
        wait_for(sent, "mail is accepted")
        reader = imap_login(self, suite)
        uid = wait_uids(reader, 1, "INBOX", "SUBJECT", f'"message {number}"')[0]
        self.assertTrue(reader.uid("fetch", str(uid), "(BODY.PEEK[])")[1][0][1].endswith(message(number)))

    def test_each_process_is_its_own_user_and_mail_flows(self):
        suite = self.suite()
        suite.add_accounts("here.test", "alice")
        self.assert_own_users(suite)
        self.send_and_read(suite, 1)
        listing = run("curl", "-s", f"pop3://127.0.0.1:{suite.port('pop3')}/", "-u", "alice@here.test:secret").stdout
        self.assertRegex(listing, rb"^1 \d+")
        for process in PROCESSES:
            suite.wait_restarted(process, suite.kill(process))
        self.assert_own_users(suite)
        self.send_and_read(suite, 2)
        password = (suite.dir / "admin.password").stat()
        self.assertEqual((password.st_uid, stat.S_IMODE(password.st_mode)), (pwd.getpwnam("posthorn-admin").pw_uid, 0o600))
        self.assertEqual(suite.error_lines(), [])

    def test_files_belong_to_the_process_that_uses_them_and_to_nobody_else(self):
        suite = self.suite()
        for process, name in USERS.items():
            folder = suite.dir / "data" / process
            uid = pwd.getpwnam(name).pw_uid
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
            self.assertEqual({path.lstat().st_uid for path in (folder, *folder.rglob("*"))}, {uid}, process)
            for other in USERS.values():
                self.assertEqual(as_user(other, "ls", folder) == 0, other == name, f"{other} in {folder}")
        for other in USERS.values():
            self.assertNotEqual(as_user(other, "touch", suite.dir / "run" / "mine"), 0)
            self.assertNotEqual(as_user(other, "touch", suite.dir / "mine"), 0)

    def test_a_socket_is_reached_by_its_role_alone(self):
        suite = self.suite()
        seen = set()
        owners = {word: USERS[process] for process, word in WORDS.items()}
        for folder in (suite.dir / "run").iterdir():
            word, _, role = folder.name.partition(".")
            caller = USERS.get(role, "root")
            seen.add((word, role))
            info = folder.stat()
            self.assertEqual((pwd.getpwuid(info.st_uid).pw_name, grp.getgrgid(info.st_gid).gr_name,
                              stat.S_IMODE(info.st_mode)), (owners[word], caller, 0o2750), folder.name)
            for user in USERS.values():
                reached = as_user(user, "/usr/bin/python3", "-c", CONNECT, folder / "sock") == 0
                self.assertEqual(reached, user in (caller, owners[word]), f"{user} at {folder.name}")
        self.assertLessEqual({("store", "imap-gateway"), ("queue", "smtp-gateway"), ("admin", "cli")}, seen)

    def test_ports_below_1024(self):
        taken = [port for port in (25, 587, 465, 143, 993, 110, 995, 9080, *range(9901, 9908)) if listens(port)]
        if taken:
            self.skipTest(f"somebody else listens on the standard ports {taken}")
        directory = tempfile.mkdtemp(prefix="posthorn-e2e-")
        self.addCleanup(shutil.rmtree, directory, True)
        started = up(directory, "--users", "yes", "--bind", "127.0.0.1", "--detach")
        self.addCleanup(run, BIN / "posthorn", "down", "--dir", directory)
        self.assertEqual(started.returncode, 0, started.stdout + started.stderr)
        for port in (25, 587, 465, 143, 993, 110, 995):
            self.assertTrue(listens(port), port)
        pid = re.search(r"PID_IMAP_GATEWAY=(\d+)", (pathlib.Path(directory) / "endpoints.env").read_text()).group(1)
        self.assertEqual(status_of(pid)["Uid"][0], str(pwd.getpwnam("posthorn-imap").pw_uid))

    def test_an_installation_of_root_is_handed_over_and_back(self):
        suite = self.suite("--users", "no")
        suite.add_accounts("here.test", "alice")
        self.assertEqual(status_of(suite.pid("store-service"))["Uid"][0], "0")
        self.send_and_read(suite, 1)
        for number, users in ((2, "yes"), (3, "no"), (4, "yes")):
            suite.stop()
            suite.up_options = ("--users", users)
            suite.start()
            self.assertEqual(status_of(suite.pid("store-service"))["Uid"][0] != "0", users == "yes")
            self.send_and_read(suite, number)
        self.assertEqual(len(wait_uids(imap_login(self, suite), 4)), 4)

    def test_processes_end_with_a_supervisor_that_was_killed(self):
        suite = self.suite()
        pids = [suite.pid(process) for process in PROCESSES]
        os.kill(int(suite.endpoints["PID"]), signal.SIGKILL)
        wait_for(lambda: not any(map(alive, pids)), "all have ended")

    def test_a_folder_that_users_cannot_enter(self):
        above = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-e2e-"))  # mode 0700
        self.addCleanup(shutil.rmtree, above, True)
        refused = up(above / "dir", "--users", "yes", "--port-base", free_port_base(), "--detach")
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(len(refused.stdout.splitlines()), 1, refused.stdout)
        self.assertIn(f"posthorn-store may not enter {above}/dir", refused.stdout)
        suite = Suite(up_options=())
        outer, suite.dir = suite.dir, suite.dir / "dir"
        self.addCleanup(shutil.rmtree, outer, True)
        self.addCleanup(suite.__exit__)  # before its folder goes
        self.assertIn("All processes run as root: posthorn-store may not enter", suite.start())
        self.assertEqual(status_of(suite.pid("imap-gateway"))["Uid"][0], "0")
        self.assertTrue(listens(suite.port("imap")))


if __name__ == "__main__":
    sys.exit(unittest.main())
