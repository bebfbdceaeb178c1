"""Everything an installation holds, as plain JSON values: to write down, and to find again."""
import hashlib
import json
import re

from tests.e2e.clients import Raw

PASSWORD = "upgrade-secret"
KINDS = ("account", "administrator", "alias", "certificate", "domain", "listener", "network", "route", "settings")
ITEMS = {"uid": r"UID (\d+)", "modseq": r"MODSEQ \((\d+)\)", "flags": r"FLAGS \(([^)]*)\)",
         "date": r'INTERNALDATE "([^"]+)"', "size": r"BODY\[\] \{(\d+)\}$"}


def login(port, address, password=PASSWORD):
    client = Raw(port)
    try:
        client.line()
        client.ok(f'LOGIN "{address}" "{password}"')
    except BaseException:
        client.socket.close()
        raise
    return client


def names(client, command):
    return sorted(line.decode().split(" ", 2)[2] for line in client.ok(command)[0])


def mailbox(client, name):
    """Counters and messages of a mailbox, which is opened read-only."""
    state = client.ok(f'STATUS "{name}" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE)')[0][0].decode()
    found = {"status": re.search(r"\(([^)]*)\)$", state)[1], "messages": {}}
    client.ok(f'EXAMINE "{name}"')
    for response in client.ok("UID FETCH 1:* (UID MODSEQ FLAGS INTERNALDATE BODY.PEEK[])")[0]:
        head, _, rest = response.partition(b"\r\n")
        item = {key: re.search(pattern, head.decode())[1] for key, pattern in ITEMS.items()}
        item["flags"] = sorted(set(item["flags"].split()) - {"\\Recent"})
        item["sha256"] = hashlib.sha256(rest[:int(item["size"])]).hexdigest()
        found["messages"][item.pop("uid")] = item
    return found


def account(port, address):
    client = login(port, address)
    try:
        listed = names(client, 'LIST "" "*"')
        paths = [re.search(r'" (.+)$', line)[1].strip('"') for line in listed]
        return {"list": listed, "subscribed": names(client, 'LSUB "" "*"'),
                "mailboxes": {path: mailbox(client, path) for path in paths}}
    finally:
        client.socket.close()


def settle(value):
    """Without what a release may add: empty fields are left out."""
    return {key: text for key, text in value.items() if text not in ("", [], "0", 0, False)}


def inventory(suite, addresses):
    """What is stored: `suite` runs. Configuration by kind and name, mail by account, the queue, traces."""
    def ask(*words):
        return json.loads(suite.cli(*words, "--output", "json").stdout)

    objects = ask("export", *KINDS)
    return {
        "configuration": {f"{o['kind']} {o.get('name') or o.get('address') or o.get('domain') or 'default'}": settle(o)
                          for o in objects},
        "history": [(r["revision"], r["author"], r["reason"], r["changes"]) for r in ask("history")["revisions"]],
        "accounts": {address: account(suite.port("imap"), address) for address in addresses},
        "queue": sorted((settle(line) for line in ask("queue", "list")["lines"]), key=lambda line: line["recipient"]),
        "trace": [[event["step"], event["outcome"], event.get("recipients", []), event["message_id"]]
                  for event in ask("trace", "old@far.test", "--from", "36500d")["events"]],
    }
