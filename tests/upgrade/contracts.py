"""The contracts of proto/ as lines of text, and what a change of them breaks for a neighbouring version.

    python3 -m tests.upgrade.contracts FOLDER [> tests/upgrade/contracts/RELEASE.txt]

FOLDER is a `proto` folder. One line for each message, field, enum, value and method; no comments, no defaults.
"""
import pathlib
import subprocess
import sys
import tempfile

SYSTEM = "/usr/include"


def parse(text):
    """protoc's text form as nested lists of (key, value); a value is a string or such a list."""
    stack = [[]]
    for line in text.splitlines():
        line = line.strip()
        if line.endswith("{"):
            block = []
            stack[-1].append((line[:-1].strip(), block))
            stack.append(block)
        elif line == "}":
            stack.pop()
        elif line:
            key, _, value = line.partition(": ")
            stack[-1].append((key, value.strip('"')))
    return stack[0]


def all_of(block, key):
    return [value for name, value in block if name == key]


def one(block, key, absent=""):
    return next(iter(all_of(block, key)), absent)


def field_line(message, owner, field):
    kind = one(field, "type_name").lstrip(".") or one(field, "type").removeprefix("TYPE_").lower()
    if one(field, "label") == "LABEL_REPEATED":
        kind = "repeated " + kind
    index = one(field, "oneof_index")
    if index and one(field, "proto3_optional") != "true":
        kind += " in oneof " + one(all_of(message, "oneof_decl")[int(index)], "name")
    return f"field {owner} {one(field, 'number')} {one(field, 'name')} {kind}"


def message_lines(message, prefix):
    owner = prefix + one(message, "name")
    yield f"message {owner}"
    for field in all_of(message, "field"):
        yield field_line(message, owner, field)
    for span in all_of(message, "reserved_range"):
        for number in range(int(one(span, "start")), int(one(span, "end"))):
            yield f"reserved {owner} {number}"
    for nested in all_of(message, "nested_type"):
        yield from message_lines(nested, owner + ".")
    for enum in all_of(message, "enum_type"):
        yield from enum_lines(enum, owner + ".")


def enum_lines(enum, prefix):
    owner = prefix + one(enum, "name")
    yield f"enum {owner}"
    for value in all_of(enum, "value"):
        yield f"value {owner} {one(value, 'number', '0')} {one(value, 'name')}"


def method_line(service, method):
    kinds = [("stream " if one(method, flag) == "true" else "") + one(method, key).lstrip(".")
             for key, flag in (("input_type", "client_streaming"), ("output_type", "server_streaming"))]
    return f"method {service} {one(method, 'name')} {kinds[0]} -> {kinds[1]}"


def file_lines(file):
    prefix = one(file, "package") + "."
    for message in all_of(file, "message_type"):
        yield from message_lines(message, prefix)
    for enum in all_of(file, "enum_type"):
        yield from enum_lines(enum, prefix)
    for service in all_of(file, "service"):
        for method in all_of(service, "method"):
            yield method_line(prefix + one(service, "name"), method)


def contract(folder):
    """All lines of a proto folder, sorted by file."""
    folder = pathlib.Path(folder)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.proto"))
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"-I{folder}", f"-I{SYSTEM}", f"--descriptor_set_out={out.name}", *files], check=True)
        text = subprocess.run(["protoc", "--decode=google.protobuf.FileDescriptorSet", f"-I{SYSTEM}",
                               "google/protobuf/descriptor.proto"], stdin=out, check=True, capture_output=True,
                              text=True).stdout
    return [line for file in all_of(parse(text), "file") for line in file_lines(file)]


def index(lines):
    """{(kind, owner, number or name): the rest}; for fields and values the number, for methods the name is the key."""
    entries = {}
    for line in lines:
        kind, owner, *rest = line.split(" ")
        entries[(kind, owner, rest[0] if rest else "")] = rest[1:]
    return entries


def breaks(old_lines, new_lines):
    """What a program built with `old_lines` and one built with `new_lines` would misunderstand, one sentence each."""
    old, new = index(old_lines), index(new_lines)
    names = {(owner, rest[0]): number for (kind, owner, number), rest in new.items() if kind == "field"}
    found = []
    for (kind, owner, key), before in old.items():
        if kind in ("message", "enum") and (kind, owner, key) not in new:
            found.append(f"{kind} {owner} is gone: keep it until no supported release sends it")
        if ("message", owner, "") not in new and ("enum", owner, "") not in new and kind != "method":
            continue
        after = new.get((kind, owner, key))
        if kind == "field":
            found += field_breaks(owner, key, before, after, new, names)
        elif kind == "value" and after != before:
            found.append(f"{owner}: value {key} was {before[0]}, now {after[0] if after else 'it is gone'}: enum values stay; "
                         "add another number")
        elif kind == "reserved" and after is None:
            found.append(f"{owner}: number {key} is no longer reserved: an older release knows it as something else")
        elif kind == "method" and after is None:
            found.append(f"{owner}.{key} is gone: the neighbouring release still calls it; serve it for one release more")
        elif kind == "method" and after != before:
            found.append(f"{owner}.{key} was ({' '.join(before)}), now ({' '.join(after)}): add a method instead")
    return found + reused(old, new)


def field_breaks(owner, number, before, after, new, names):
    name, kind = before[0], " ".join(before[1:])
    if after is None:
        moved = names.get((owner, name))
        if moved:
            return [f"{owner}.{name} was number {number}, now {moved}: numbers are for ever; add a field instead"]
        if ("reserved", owner, number) not in new:
            return [f"{owner}.{name} = {number} is gone and its number is free: `reserved {number};`, and only once no "
                    "supported release reads or writes it"]
        return []
    if " ".join(after[1:]) != kind:
        return [f"{owner}: field {number} was {kind} ({name}), now {' '.join(after[1:])} ({after[0]}): a number never "
                "changes its type; add a field with a new number, write both, read both"]
    if after[0] != name:
        return [f"{owner}: field {number} was {name}, now {after[0]}: exported configuration and patches use the names"]
    return []


def reused(old, new):
    return [f"{owner}: field {number} uses a number that is reserved for what an older release knew"
            for kind, owner, number in new if kind == "field" and ("reserved", owner, number) in old]


if __name__ == "__main__":
    print("\n".join(contract(sys.argv[1])))
