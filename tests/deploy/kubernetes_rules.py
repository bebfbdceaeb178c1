"""What must hold between the rendered objects of deploy/kubernetes, and between them and the programs."""
import re

from tests.deploy.flags import flags_of
from tests.deploy.kubernetes_fields import check_object

WORKLOADS = ("Deployment", "StatefulSet")
PORTS = {"store-service": 7001, "delivery-queue": 7002, "spam-service": 7003, "admin-service": 7004}
WORDS = {"store": "store-service", "queue": "delivery-queue", "spam": "spam-service", "admin": "admin-service"}
SECRETS_OF_STORE = {"database-password", "directory-key", "object-storage", "database-ca"}
VOLUME_KINDS = {"emptyDir", "secret", "configMap", "persistentVolumeClaim"}
# The last events of the trace are flushed, and the runtime takes its time.
MARGIN = 10


class Cluster:
    """The rendered objects, by kind and name."""

    def __init__(self, documents, limits):
        """`limits`: the programs' own deadlines in seconds, {"drain": …, "finish": …}."""
        self.documents = documents
        self.limits = limits

    def kind(self, *names):
        return [one for one in self.documents if one["kind"] in names]

    def get(self, kind, name):
        return next((one for one in self.kind(kind) if one["metadata"]["name"] == name), None)

    def workloads(self):
        return self.kind(*WORKLOADS)

    def ours(self):
        return [one for one in self.workloads() if labels(one).get("app.kubernetes.io/name") == "posthorn"]

    def selected(self, selector):
        return [one for one in self.workloads() if selector and selector.items() <= labels(one).items()]


def name_of(document):
    return f"{document['kind']}/{document['metadata']['name']}"


def pod(workload):
    return workload["spec"]["template"]["spec"]


def labels(workload):
    return workload["spec"]["template"]["metadata"].get("labels", {})


def component(workload):
    return labels(workload).get("app.kubernetes.io/component", "")


def container(workload):
    return pod(workload)["containers"][0]


def arguments(workload):
    return dict(word[2:].partition("=")[::2] for word in container(workload).get("args", []))


def ports(workload):
    return {port["name"]: port["containerPort"] for one in pod(workload)["containers"] for port in one.get("ports", [])}


def check_names(cluster):
    seen = set()
    for one in cluster.documents:
        key = (one["kind"], one["metadata"]["name"])
        if key in seen:
            yield f"{name_of(one)}: twice"
        seen.add(key)
        if one["kind"] != "Namespace" and one["metadata"].get("namespace") != "posthorn":
            yield f"{name_of(one)}: not in the namespace posthorn"
    space = cluster.get("Namespace", "posthorn")
    if not space or space["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "Namespace/posthorn: does not enforce the restricted pod security standard"


def check_selectors(cluster):
    for one in cluster.workloads():
        if not one["spec"]["selector"]["matchLabels"].items() <= labels(one).items():
            yield f"{name_of(one)}: its selector does not match its own pods"
        for spread in pod(one).get("topologySpreadConstraints", []):
            if cluster.selected(spread["labelSelector"]["matchLabels"]) != [one]:
                yield f"{name_of(one)}: spreads other pods than its own"
    for one in cluster.ours():
        keys = {spread["topologyKey"] for spread in pod(one).get("topologySpreadConstraints", [])}
        if keys != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{name_of(one)}: is not spread over zones and nodes"
    for one in cluster.kind("PodMonitor"):
        if cluster.selected(one["spec"]["selector"]["matchLabels"]) != cluster.ours():
            yield f"{name_of(one)}: does not watch all processes"


def check_services(cluster):
    for service in cluster.kind("Service"):
        chosen = cluster.selected(service["spec"]["selector"])
        if len(chosen) != 1:
            yield f"{name_of(service)}: its selector finds {len(chosen)} workloads"
            continue
        open_ports = ports(chosen[0])
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in open_ports and port["targetPort"] not in open_ports.values():
                yield f"{name_of(service)}: {name_of(chosen[0])} has no port {port['targetPort']}"
    for one in cluster.kind("StatefulSet"):
        service = cluster.get("Service", one["spec"]["serviceName"])
        if service is None or service["spec"].get("clusterIP") != "None":
            yield f"{name_of(one)}: {one['spec']['serviceName']} is no headless service"


def check_listening(cluster):
    """Ports that containers declare are those their programs listen on, and targets are services that lead there."""
    for one in cluster.ours():
        flags, declared = arguments(one), ports(one)
        if "listen" in flags and declared.get("grpc") != int(flags["listen"].rpartition(":")[2]):
            yield f"{name_of(one)}: listens on {flags['listen']}, which is not its port grpc"
        if declared.get("health") != int(flags.get("health", ":0").rpartition(":")[2]):
            yield f"{name_of(one)}: --health is not its port health"
        base = int(flags.get("port-base", 0))
        standard = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}
        for name, number in declared.items():
            if name in standard and number != base + standard[name]:
                yield f"{name_of(one)}: {name} is {base} + {standard[name]}, not {number}"
        for word, process in WORDS.items():
            if word not in flags:
                continue
            host, _, number = flags[word].removeprefix("dns:///").rpartition(":")
            service = cluster.get("Service", host)
            if host != process or service is None or int(number) not in [p["port"] for p in service["spec"]["ports"]]:
                yield f"{name_of(one)}: --{word} {flags[word]} leads nowhere"
        if "advertise" in flags and flags["advertise"] != f"$(POD_NAME).{component(one)}:{PORTS[component(one)]}":
            yield f"{name_of(one)}: --advertise is not this pod"


def certificate_secrets(cluster):
    return {one["spec"]["secretName"]: one for one in cluster.kind("Certificate")}


def secret_keys(cluster, name):
    """The keys of a secret, or None when nothing makes it."""
    if name in certificate_secrets(cluster):
        return {"tls.crt", "tls.key", "ca.crt"}
    secret = cluster.get("Secret", name)
    return None if secret is None else set(secret["data"])


def check_references(cluster):
    for one in cluster.workloads():
        spec = pod(one)
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        claims = {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", [])}
        mounted = {mount["name"] for each in spec["containers"] for mount in each.get("volumeMounts", [])}
        for name in sorted(mounted ^ (set(volumes) | claims)):
            yield f"{name_of(one)}: volume {name} is {'not declared' if name in mounted else 'never mounted'}"
        account = spec.get("serviceAccountName")
        if account and cluster.get("ServiceAccount", account) is None:
            yield f"{name_of(one)}: there is no service account {account}"
        for volume in volumes.values():
            yield from check_volume(cluster, one, volume)
        for each in spec["containers"]:
            for variable in each.get("env", []):
                reference = variable.get("valueFrom", {}).get("configMapKeyRef")
                found = reference and cluster.get("ConfigMap", reference["name"])
                if reference and (not found or reference["key"] not in found["data"]):
                    yield f"{name_of(one)}: {variable['name']} comes from {reference['name']}.{reference['key']}, which is not there"
            known = {variable["name"] for variable in each.get("env", [])}
            for word in re.findall(r"\$\((\w+)\)", " ".join(each.get("args", []))):
                if word not in known:
                    yield f"{name_of(one)}: $({word}) is set nowhere"


def check_volume(cluster, workload, volume):
    claim = volume.get("persistentVolumeClaim")
    if claim and cluster.get("PersistentVolumeClaim", claim["claimName"]) is None:
        yield f"{name_of(workload)}: there is no claim {claim['claimName']}"
    config = volume.get("configMap")
    if config and cluster.get("ConfigMap", config["name"]) is None:
        yield f"{name_of(workload)}: there is no config map {config['name']}"
    if "secret" in volume:
        name = volume["secret"]["secretName"]
        keys = secret_keys(cluster, name)
        if keys is None:
            yield f"{name_of(workload)}: there is no secret {name}"
            return
        if volume["secret"].get("defaultMode", 0o644) & 0o007:
            yield f"{name_of(workload)}: secret {name} is readable by all"
        mounts = [mount["mountPath"] for mount in container(workload)["volumeMounts"] if mount["name"] == volume["name"]]
        for value in arguments(workload).values():
            for path in mounts:
                if value.startswith(f"{path}/") and value.removeprefix(f"{path}/") not in keys:
                    yield f"{name_of(workload)}: secret {name} has no {value.removeprefix(path + '/')}"


def check_files(cluster):
    """Files named by flags lie on a volume: the root is read-only."""
    for one in cluster.ours():
        mounts = [mount["mountPath"] for mount in container(one).get("volumeMounts", [])]
        for flag, value in arguments(one).items():
            if value.startswith("/") and not any(value == path or value.startswith(f"{path}/") for path in mounts):
                yield f"{name_of(one)}: --{flag} {value} is on no volume"


def check_secrecy(cluster):
    for one in cluster.ours():
        for volume in pod(one).get("volumes", []):
            name = volume.get("secret", {}).get("secretName", "")
            if name.startswith("tls-") and name != f"tls-{component(one)}":
                yield f"{name_of(one)}: mounts {name}, which is another's"
            if name in SECRETS_OF_STORE and component(one) != "store-service":
                yield f"{name_of(one)}: mounts {name}, which is the store's alone"
        if not {"tls-cert", "tls-key", "tls-ca"} <= set(arguments(one)):
            yield f"{name_of(one)}: speaks without certificates"
    for secret, one in certificate_secrets(cluster).items():
        if secret.startswith("tls-") and one["spec"].get("dnsNames") != [f"{secret[4:]}.posthorn"]:
            yield f"{name_of(one)}: {secret} is not named {secret[4:]}.posthorn"
        if cluster.get("Issuer", one["spec"]["issuerRef"]["name"]) is None:
            yield f"{name_of(one)}: there is no issuer {one['spec']['issuerRef']['name']}"


def check_disruption(cluster):
    for one in cluster.ours():
        budget = cluster.get("PodDisruptionBudget", one["metadata"]["name"])
        if budget is None or cluster.selected(budget["spec"]["selector"]["matchLabels"]) != [one]:
            yield f"{name_of(one)}: no disruption budget"
        elif budget["spec"].get("maxUnavailable") != 1:
            yield f"{name_of(budget)}: does not let exactly one go at a time"


def check_probes(cluster):
    for one in cluster.ours():
        each = container(one)
        for name, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            found = each.get(name, {}).get("httpGet", {})
            if (found.get("path"), found.get("port")) != (path, "health"):
                yield f"{name_of(one)}: {name} does not ask {path} of the port health"


def check_grace(cluster):
    for one in cluster.ours():
        wait = container(one).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if not wait:
            yield f"{name_of(one)}: no preStop: clients still come when it stops accepting"
        finish = cluster.limits["finish"] if component(one) == "delivery-queue" else 0
        needed = wait + cluster.limits["drain"] + finish + MARGIN
        if pod(one).get("terminationGracePeriodSeconds", 30) < needed:
            yield f"{name_of(one)}: its grace is shorter than its deadlines, {needed} s"


def check_security(cluster):
    """The restricted pod security standard, and a read-only root for ours."""
    for one in cluster.workloads():
        spec, outer = pod(one), pod(one).get("securityContext", {})
        if outer.get("runAsNonRoot") is not True or outer.get("runAsUser", 0) == 0:
            yield f"{name_of(one)}: may run as root"
        if outer.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name_of(one)}: no seccomp profile"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name_of(one)}: mounts a token of the API server"
        for volume in spec.get("volumes", []):
            if len(volume) != 2 or not set(volume) - {"name"} <= VOLUME_KINDS:
                yield f"{name_of(one)}: volume {volume['name']} is of a kind that is not allowed"
        for each in spec["containers"]:
            inner = each.get("securityContext", {})
            if inner.get("allowPrivilegeEscalation") is not False or inner.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{name_of(one)}: {each['name']} is not restricted"
            if one in cluster.ours() and inner.get("readOnlyRootFilesystem") is not True:
                yield f"{name_of(one)}: its root can be written"
            if "memory" not in each.get("resources", {}).get("limits", {}) or "requests" not in each.get("resources", {}):
                yield f"{name_of(one)}: {each['name']} has no limits"


def check_programs(cluster):
    images = {container(one)["image"] for one in cluster.ours()}
    if len(images) != 1 or not re.fullmatch(r"\S+:[^:/]+", min(images)) or min(images).endswith(":latest"):
        yield f"images differ or have no fixed tag: {sorted(images)}"
    if {component(one) for one in cluster.ours()} != set(PORTS) | {"smtp-gateway", "imap-gateway", "pop3-gateway"}:
        yield "not all seven processes are there"
    for one in cluster.ours():
        if container(one).get("command") != [f"posthorn-{component(one)}"]:
            yield f"{name_of(one)}: runs {container(one).get('command')}"
        known = flags_of(component(one))
        for flag in arguments(one):
            if f"--{flag}" not in known:
                yield f"{name_of(one)}: posthorn-{component(one)} has no flag --{flag}"


def check_scaling(cluster):
    for scaler in cluster.kind("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        one = cluster.get(target["kind"], target["name"])
        if one is None:
            yield f"{name_of(scaler)}: there is no {target['kind']}/{target['name']}"
            continue
        if "replicas" in one["spec"]:
            yield f"{name_of(one)}: replicas is set, though {name_of(scaler)} decides it"
        if scaler["spec"]["minReplicas"] < 2 or scaler["spec"]["minReplicas"] > scaler["spec"]["maxReplicas"]:
            yield f"{name_of(scaler)}: minReplicas"


def allows(rules, direction, other, number):
    """True when one of a policy's rules lets connections with pods of that workload through."""
    for rule in rules:
        wanted = [port.get("port") for port in rule.get("ports", [])]
        peers = rule.get(direction)
        reaches = peers is None or any(
            "podSelector" in peer and "namespaceSelector" not in peer
            and peer["podSelector"].get("matchLabels", {}).items() <= labels(other).items() for peer in peers)
        if reaches and (not wanted or number in wanted):
            return True
    return False


def policies_of(cluster, workload):
    return [one["spec"] for one in cluster.kind("NetworkPolicy")
            if one["spec"]["podSelector"].get("matchLabels", {}).items() <= labels(workload).items()]


def check_network(cluster):
    by_name = {component(one): one for one in cluster.ours()}
    if not cluster.kind("NetworkPolicy") or not set(PORTS) <= set(by_name):
        return
    for one in cluster.ours():
        outward = [rule for policy in policies_of(cluster, one) for rule in policy.get("egress", [])]
        calls = {process for word, process in WORDS.items() if word in arguments(one)}
        for process, number in PORTS.items():
            inward = [rule for policy in policies_of(cluster, by_name[process]) for rule in policy.get("ingress", [])]
            may = allows(outward, "to", by_name[process], number) and allows(inward, "from", one, number)
            if (process in calls) and not may:
                yield f"{name_of(one)}: the network lets it not reach {process}"
            if process not in calls and process != component(one) and allows(inward, "from", one, number):
                yield f"{name_of(one)}: the network lets it reach {process}, which it does not call"
        inward = [rule for policy in policies_of(cluster, one) for rule in policy.get("ingress", [])]
        for name, number in ports(one).items():
            if name not in ("grpc", "health") and not allows(inward, "from", by_name["spam-service"], number):
                yield f"{name_of(one)}: the network keeps clients from {name}"


CHECKS = (check_names, check_selectors, check_services, check_listening, check_references, check_files, check_secrecy,
          check_disruption, check_probes, check_grace, check_security, check_programs, check_scaling, check_network)


def problems(documents, limits):
    """Everything that is wrong; what is malformed is not looked at further."""
    malformed = [problem for one in documents for problem in check_object(one)]
    if malformed:
        return malformed
    cluster = Cluster(documents, limits)
    return [problem for check in CHECKS for problem in check(cluster)]
