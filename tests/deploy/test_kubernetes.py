"""deploy/kubernetes, rendered and held against the API's fields, against itself and against the programs.

No API server is asked: what a cluster does with it is not tested here."""
import copy
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

from tests.deploy.flags import BIN, deadlines
from tests.deploy.kubernetes_rules import container, pod, problems
from tests.deploy.machine import ROOT, run

FOLDER = ROOT / "deploy" / "kubernetes"
SECRETS = ("database-password", "directory.key", "s3", "database-ca.crt")


def renderer():
    """The command that renders a folder; none when there is no kustomize that knows components."""
    for words, version in ((("kubectl", "kustomize"), ("kubectl", "version", "--client")), (("kustomize", "build"), ("kustomize", "version"))):
        if shutil.which(words[0]) is None:
            continue
        said = run(*version, check=False).stdout
        if "Kustomize Version: v5" in said or (words[0] == "kustomize" and "v" in said):
            return words
    return None


def render(folder, words):
    result = subprocess.run([*words, folder], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [one for one in yaml.safe_load_all(result.stdout) if one]


def change(path, value):
    """A mistake: sets what `path` (kind, name, keys…) leads to; None removes it."""
    def apply(documents):
        kind, name, *keys, last = path
        here = next(one for one in documents if one["kind"] == kind and one["metadata"]["name"] == name)
        for key in keys:
            here = here[key]
        if value is None:
            del here[last]
        else:
            here[last] = value
    return apply


def argument(kind, name, old, new):
    def apply(documents):
        each = container(next(one for one in documents if one["kind"] == kind and one["metadata"]["name"] == name))
        assert old in each["args"]
        each["args"] = [new if word == old else word for word in each["args"] if word != old or new]
    return apply


def without(kind, name):
    def apply(documents):
        documents[:] = [one for one in documents if (one["kind"], one["metadata"]["name"]) != (kind, name)]
    return apply


def volume(documents, workload, name):
    one = next(one for one in documents if one["kind"] in ("Deployment", "StatefulSet") and one["metadata"]["name"] == workload)
    return next(each for each in pod(one)["volumes"] if each["name"] == name)


POD = ("spec", "template", "spec")
FIRST = (*POD, "containers", 0)
IMAP, SMTP, STORE, QUEUE = (("Deployment", "imap-gateway"), ("Deployment", "smtp-gateway"), ("StatefulSet", "store-service"),
                            ("StatefulSet", "delivery-queue"))
COMPONENT = "app.kubernetes.io/component"
# What was done wrong, and a word of what must be said about it; in the overlay production.
MISTAKES = [
    ("a mistyped field", change((*IMAP, *FIRST, "livenessprobe"), {}), "livenessprobe: unknown field"),
    ("a field of the wrong type", change((*IMAP, *POD, "terminationGracePeriodSeconds"), "60"), "is no int"),
    ("a required field left out", change(("Service", "imap-gateway", "spec", "ports", 0, "name"), None), "name: missing"),
    ("a quantity that is none", change((*IMAP, *FIRST, "resources", "limits", "memory"), "2Gib"), "not formed"),
    ("a kind nobody knows", change((*IMAP, "apiVersion"), "extensions/v1beta1"), "unknown kind"),
    ("a selector that does not match", change((*IMAP, "spec", "selector", "matchLabels", COMPONENT), "imap"), "own pods"),
    ("a service without pods", change(("Service", "imap-gateway", "spec", "selector", COMPONENT), "imap"), "finds 0 workloads"),
    ("a port that nobody opens", change(("Service", "imap-gateway", "spec", "ports", 0, "targetPort"), "imap4"), "has no port imap4"),
    ("a wrong container port", change((*IMAP, *FIRST, "ports", 1, "containerPort"), 143), "imap is 2000 + 143"),
    ("a service that is not headless", change(("Service", "store-service", "spec", "clusterIP"), None), "no headless service"),
    ("a target that leads nowhere", argument(*IMAP, "--store=dns:///store-service:7001", "--store=dns:///store:7001"), "leads nowhere"),
    ("a wrong port in a target", argument(*SMTP, "--spam=dns:///spam-service:7003", "--spam=dns:///spam-service:7004"), "leads nowhere"),
    ("another's name in --advertise", argument(*QUEUE, "--advertise=$(POD_NAME).delivery-queue:7002",
                                               "--advertise=$(POD_NAME).store-service:7002"), "is not this pod"),
    ("a flag that is not there", argument(*IMAP, "--port-base=2000", "--ports=2000"), "has no flag --ports"),
    ("a variable that is set nowhere", argument(*IMAP, "--name=$(POD_NAME)", "--name=$(NAME)"), "$(NAME) is set nowhere"),
    ("a lost secret", without("Secret", "database-password"), "no secret database-password"),
    ("a lost certificate", without("Certificate", "imap-gateway"), "no secret tls-imap-gateway"),
    ("a lost key of a config map", change(("ConfigMap", "posthorn", "data", "database"), None), "posthorn.database"),
    ("a file that the secret lacks", argument(*STORE, "--key-file=/secrets/key/directory.key", "--key-file=/secrets/key/key"), "has no key"),
    ("a file on the read-only root", argument(*IMAP, "--data=/var/lib/posthorn", "--data=/data"), "is on no volume"),
    ("a volume that is not mounted", change((*IMAP, *FIRST, "volumeMounts", 0), {"name": "other", "mountPath": "/o"}), "volume other is not declared"),
    ("a secret for all to read", lambda all_: volume(all_, "imap-gateway", "tls")["secret"].update(defaultMode=0o444), "readable by all"),
    ("another's certificate", lambda all_: volume(all_, "imap-gateway", "tls")["secret"].update(secretName="tls-admin-service"), "is another's"),
    ("the database's password for a gateway", lambda all_: volume(all_, "imap-gateway", "tls")["secret"].update(secretName="database-password"),
     "is the store's alone"),
    ("a certificate with another's name", change(("Certificate", "imap-gateway", "spec", "dnsNames"), ["admin-service.posthorn"]), "is not named"),
    ("a lost issuer", without("Issuer", "posthorn"), "no issuer posthorn"),
    ("no certificates at all", argument(*IMAP, "--tls-cert=/tls/tls.crt", ""), "speaks without certificates"),
    ("no disruption budget", without("PodDisruptionBudget", "store-service"), "no disruption budget"),
    ("a budget that lets none go", change(("PodDisruptionBudget", "store-service", "spec", "maxUnavailable"), 0), "exactly one"),
    ("liveness that asks readiness", change((*IMAP, *FIRST, "livenessProbe", "httpGet", "path"), "/readyz"), "livenessProbe does not ask /livez"),
    ("no readiness", change((*IMAP, *FIRST, "readinessProbe"), None), "readinessProbe does not ask"),
    ("a grace below the deadlines", change((*QUEUE, *POD, "terminationGracePeriodSeconds"), 45), "shorter than its deadlines"),
    ("no preStop", change((*IMAP, *FIRST, "lifecycle"), None), "no preStop"),
    ("root", change((*IMAP, *POD, "securityContext", "runAsNonRoot"), False), "may run as root"),
    ("a capability", change((*IMAP, *FIRST, "securityContext", "capabilities"), {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}), "not restricted"),
    ("a root that can be written", change((*IMAP, *FIRST, "securityContext", "readOnlyRootFilesystem"), False), "can be written"),
    ("no limits", change((*IMAP, *FIRST, "resources"), {}), "has no limits"),
    ("two images", change((*IMAP, *FIRST, "image"), "registry.example.org/posthorn:0.0.1"), "images differ"),
    ("the wrong program", change((*IMAP, *FIRST, "command"), ["posthorn-pop3-gateway"]), "runs ['posthorn-pop3-gateway']"),
    ("a process left out", without("Deployment", "spam-service"), "not all seven"),
    ("replicas beside an autoscaler", change((*IMAP, "spec", "replicas"), 3), "replicas is set"),
    ("an autoscaler of nothing", change(("HorizontalPodAutoscaler", "imap-gateway", "spec", "scaleTargetRef", "name"), "imap"), "there is no Deployment/imap"),
    ("a policy left out", without("NetworkPolicy", "smtp-gateway"), "lets it not reach store-service"),
    ("a policy that is too wide", change(("NetworkPolicy", "delivery-queue", "spec", "ingress"), [{"ports": [{"port": 7002}]}]), "which it does not call"),
    ("a policy that keeps clients away", change(("NetworkPolicy", "imap-gateway", "spec", "ingress"), []), "keeps clients from imap"),
    ("pods that are not spread", change((*IMAP, *POD, "topologySpreadConstraints"), []), "not spread"),
    ("a namespace without the standard", change(("Namespace", "posthorn", "metadata", "labels"), {}), "restricted pod security"),
    ("an object of another namespace", change((*IMAP, "metadata", "namespace"), "default"), "not in the namespace"),
]


class Manifests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        words = renderer()
        if words is None:
            raise unittest.SkipTest("neither kubectl nor kustomize of version 5 is installed")
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthorn-kubernetes-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory, True)
        shutil.copytree(FOLDER, cls.directory / "kubernetes", ignore=shutil.ignore_patterns("secrets", "certs"))
        overlays = cls.directory / "kubernetes" / "overlays"
        run(overlays / "dev" / "prepare", env={"POSTHORN": str(BIN / "posthorn"), "PATH": "/usr/bin:/bin"})
        (overlays / "production" / "secrets").mkdir()
        for name in SECRETS:
            (overlays / "production" / "secrets" / name).write_text("secret", encoding="ascii")
        cls.rendered = {name: render(overlays / name, words) for name in ("dev", "production")}

    def test_both_overlays_are_right(self):
        for name, documents in self.rendered.items():
            self.assertEqual(problems(documents, deadlines()), [], name)

    def test_seeded_mistakes_are_found(self):
        for what, mistake, said in MISTAKES:
            with self.subTest(what):
                documents = copy.deepcopy(self.rendered["production"])
                mistake(documents)
                found = problems(documents, deadlines())
                self.assertTrue(any(said in problem for problem in found), f"{said!r} is not in {found}")

    def test_production_needs_no_shared_volume_and_dev_no_operators(self):
        kinds = {name: {one["kind"] for one in documents} for name, documents in self.rendered.items()}
        self.assertNotIn("PersistentVolumeClaim", kinds["production"])
        self.assertLessEqual({"Certificate", "NetworkPolicy", "HorizontalPodAutoscaler", "PodMonitor", "PrometheusRule"}, kinds["production"])
        self.assertFalse({"Certificate", "PodMonitor", "HorizontalPodAutoscaler"} & kinds["dev"])
        self.assertGreaterEqual(next(one for one in self.rendered["production"] if one["metadata"]["name"] == "store-service"
                                     and one["kind"] == "StatefulSet")["spec"]["replicas"], 3)

    def test_the_alert_rules_are_those_of_deploy_monitoring(self):
        made = run(FOLDER / "components" / "monitoring" / "make_rules").stdout
        self.assertEqual((FOLDER / "components" / "monitoring" / "rules.yaml").read_text(encoding="utf-8"), made)

    def test_what_scales_is_a_metric_that_the_programs_have(self):
        sources = "".join(path.read_text(encoding="utf-8") for folder in ("lib", "imap-gateway", "smtp-gateway", "pop3-gateway", "delivery-queue")
                          for path in (ROOT / folder).rglob("*.cc"))
        adapter = yaml.safe_load((FOLDER / "components" / "monitoring" / "adapter-rules.yaml").read_text(encoding="utf-8"))
        served = re.compile(re.search(r'__name__=~"(.*?)"', adapter["rules"][0]["seriesQuery"])[1])
        scaled = [one for one in self.rendered["production"] if one["kind"] == "HorizontalPodAutoscaler"]
        self.assertIn("delivery-queue", [one["metadata"]["name"] for one in scaled])
        for name in {metric["pods"]["metric"]["name"] for one in scaled for metric in one["spec"]["metrics"] if metric["type"] == "Pods"}:
            self.assertIn(f'"{name}"', sources)
            self.assertRegex(name, served)


if __name__ == "__main__":
    sys.exit(unittest.main())
