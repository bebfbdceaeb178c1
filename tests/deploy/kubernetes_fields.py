"""Which fields the kinds that deploy/kubernetes uses may have, and of what type: narrower than the API itself.

A field that is not here is refused: it is mistyped, or the first of its name and to be added here with its type.
"""
import re

QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")


class Optional:
    def __init__(self, kind):
        self.kind = kind


class MapOf:
    """Any names, values of one type."""

    def __init__(self, kind):
        self.kind = kind


class Either:
    def __init__(self, *kinds):
        self.kinds = kinds


def optional(**fields):
    return {name: Optional(kind) for name, kind in fields.items()}


STRINGS = MapOf(str)
LABELS = {"matchLabels": STRINGS}
PORT = Either(int, PORT_NAME)
META = {"name": NAME, **optional(namespace=NAME, labels=STRINGS, annotations=STRINGS)}
HTTP_GET = {"path": str, "port": PORT, **optional(scheme={"HTTP", "HTTPS"})}
PROBE = optional(httpGet=HTTP_GET, tcpSocket={"port": PORT}, exec={"command": [str]}, periodSeconds=int, timeoutSeconds=int,
                 failureThreshold=int, successThreshold=int, initialDelaySeconds=int)
KEY_REF = {"name": NAME, "key": str}
ENV = {"name": str, **optional(value=str, valueFrom=optional(fieldRef={"fieldPath": str}, configMapKeyRef=KEY_REF,
                                                            secretKeyRef=KEY_REF))}
SECURITY = optional(allowPrivilegeEscalation=bool, readOnlyRootFilesystem=bool, privileged=bool, runAsNonRoot=bool,
                    runAsUser=int, runAsGroup=int, capabilities=optional(drop=[str], add=[str]),
                    seccompProfile={"type": {"RuntimeDefault", "Localhost", "Unconfined"}})
CONTAINER = {
    "name": NAME, "image": str,
    **optional(command=[str], args=[str], env=[ENV], imagePullPolicy={"Always", "IfNotPresent", "Never"},
               ports=[{"name": PORT_NAME, "containerPort": int, **optional(protocol={"TCP", "UDP"})}],
               securityContext=SECURITY, startupProbe=PROBE, livenessProbe=PROBE, readinessProbe=PROBE,
               lifecycle=optional(preStop=optional(sleep={"seconds": int}, exec={"command": [str]})),
               resources=optional(requests=MapOf(QUANTITY), limits=MapOf(QUANTITY)),
               volumeMounts=[{"name": NAME, "mountPath": str, **optional(readOnly=bool, subPath=str)}])}
VOLUME = {"name": NAME, **optional(emptyDir=optional(medium=str, sizeLimit=QUANTITY),
                                   secret={"secretName": NAME, **optional(defaultMode=int)},
                                   configMap={"name": NAME, **optional(defaultMode=int)},
                                   persistentVolumeClaim={"claimName": NAME, **optional(readOnly=bool)})}
SPREAD = {"maxSkew": int, "topologyKey": str, "whenUnsatisfiable": {"ScheduleAnyway", "DoNotSchedule"}, "labelSelector": LABELS}
POD = {"containers": [CONTAINER],
       **optional(serviceAccountName=NAME, automountServiceAccountToken=bool, enableServiceLinks=bool,
                  terminationGracePeriodSeconds=int, topologySpreadConstraints=[SPREAD], volumes=[VOLUME],
                  securityContext=optional(runAsNonRoot=bool, runAsUser=int, runAsGroup=int, fsGroup=int,
                                           fsGroupChangePolicy={"OnRootMismatch", "Always"},
                                           seccompProfile={"type": {"RuntimeDefault", "Localhost", "Unconfined"}}))}
TEMPLATE = {"metadata": optional(labels=STRINGS, annotations=STRINGS), "spec": POD}
CLAIM = {"accessModes": [{"ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"}],
         "resources": {"requests": {"storage": QUANTITY}}, **optional(storageClassName=NAME)}
PEER = optional(podSelector=optional(**LABELS), namespaceSelector=optional(**LABELS),
                ipBlock={"cidr": str, **optional(**{"except": [str]})})
POLICY_PORT = optional(port=PORT, protocol={"TCP", "UDP"}, endPort=int)
TARGET = {"type": {"AverageValue", "Utilization"}, **optional(averageValue=QUANTITY, averageUtilization=int)}
SCALING = optional(stabilizationWindowSeconds=int, selectPolicy={"Max", "Min", "Disabled"},
                   policies=[{"type": {"Pods", "Percent"}, "value": int, "periodSeconds": int}])
DURATION = re.compile(r"\d+h")

KINDS = {
    ("v1", "Namespace"): {"metadata": META},
    ("v1", "ServiceAccount"): {"metadata": META, **optional(automountServiceAccountToken=bool)},
    ("v1", "ConfigMap"): {"metadata": META, "data": STRINGS},
    ("v1", "Secret"): {"metadata": META, "data": STRINGS, **optional(type={"Opaque", "kubernetes.io/tls"})},
    ("v1", "PersistentVolumeClaim"): {"metadata": META, "spec": CLAIM},
    ("v1", "Service"): {"metadata": META, "spec": {
        "selector": STRINGS, "ports": [{"name": PORT_NAME, "port": int, "targetPort": PORT,
                                        **optional(protocol={"TCP", "UDP"})}],
        **optional(clusterIP={"None"}, publishNotReadyAddresses=bool, type={"ClusterIP", "LoadBalancer", "NodePort"},
                   externalTrafficPolicy={"Local", "Cluster"})}},
    ("apps/v1", "Deployment"): {"metadata": META, "spec": {
        "selector": LABELS, "template": TEMPLATE,
        **optional(replicas=int, strategy={"type": {"RollingUpdate", "Recreate"},
                                           **optional(rollingUpdate={"maxUnavailable": int, "maxSurge": int})})}},
    ("apps/v1", "StatefulSet"): {"metadata": META, "spec": {
        "selector": LABELS, "template": TEMPLATE, "serviceName": NAME,
        **optional(replicas=int, podManagementPolicy={"Parallel", "OrderedReady"},
                   updateStrategy={"type": {"RollingUpdate", "OnDelete"}},
                   volumeClaimTemplates=[{"metadata": {"name": NAME}, "spec": CLAIM}])}},
    ("policy/v1", "PodDisruptionBudget"): {"metadata": META, "spec": {
        "selector": LABELS, **optional(maxUnavailable=int, minAvailable=int)}},
    ("networking.k8s.io/v1", "NetworkPolicy"): {"metadata": META, "spec": {
        "podSelector": optional(**LABELS), "policyTypes": [{"Ingress", "Egress"}],
        **optional(ingress=[optional(**{"from": [PEER]}, ports=[POLICY_PORT])],
                   egress=[optional(to=[PEER], ports=[POLICY_PORT])])}},
    ("autoscaling/v2", "HorizontalPodAutoscaler"): {"metadata": META, "spec": {
        "scaleTargetRef": {"apiVersion": str, "kind": str, "name": NAME}, "minReplicas": int, "maxReplicas": int,
        "metrics": [{"type": {"Pods", "Resource"}, **optional(pods={"metric": {"name": str}, "target": TARGET},
                                                              resource={"name": {"cpu", "memory"}, "target": TARGET})}],
        **optional(behavior=optional(scaleDown=SCALING, scaleUp=SCALING))}},
    ("cert-manager.io/v1", "Issuer"): {"metadata": META, "spec": optional(selfSigned={}, ca={"secretName": NAME})},
    ("cert-manager.io/v1", "Certificate"): {"metadata": META, "spec": {
        "secretName": NAME, "issuerRef": {"name": NAME, "kind": {"Issuer", "ClusterIssuer"}},
        **optional(isCA=bool, commonName=str, dnsNames=[str], duration=DURATION, renewBefore=DURATION, usages=[str],
                   privateKey=optional(algorithm={"ECDSA", "RSA", "Ed25519"}, size=int,
                                       rotationPolicy={"Always", "Never"}))}},
    ("monitoring.coreos.com/v1", "PodMonitor"): {"metadata": META, "spec": {
        "selector": LABELS, "podMetricsEndpoints": [{"port": PORT_NAME, **optional(
            path=str, interval=str, relabelings=[optional(sourceLabels=[str], targetLabel=str, replacement=str, regex=str,
                                                          action=str)])}]}},
    ("monitoring.coreos.com/v1", "PrometheusRule"): {"metadata": META, "spec": {"groups": [{
        "name": str, "rules": [{"expr": Either(str, int), **optional(record=str, alert=str, labels=STRINGS, annotations=STRINGS,
                                                                    **{"for": str, "keep_firing_for": str})}],
        **optional(interval=str)}]}},
}


def check_type(where, value, kind):
    """Yields what is wrong with one value."""
    if isinstance(kind, Either):
        if not any(not list(check_type(where, value, one)) for one in kind.kinds):
            yield f"{where}: {value!r} is neither"
    elif isinstance(kind, MapOf):
        if not isinstance(value, dict):
            yield f"{where}: not a map"
            return
        for name, one in value.items():
            yield from check_type(f"{where}.{name}", one, kind.kind)
    elif isinstance(kind, dict):
        yield from check_fields(where, value, kind)
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield f"{where}: not a list"
            return
        for number, one in enumerate(value):
            yield from check_type(f"{where}[{number}]", one, kind[0])
    elif isinstance(kind, set):
        if value not in kind:
            yield f"{where}: {value!r} is none of {sorted(kind)}"
    elif isinstance(kind, re.Pattern):
        if not isinstance(value, (str, int)) or isinstance(value, bool) or not kind.fullmatch(str(value)):
            yield f"{where}: {value!r} is not formed as {kind.pattern}"
    elif type(value) is not kind:  # bool is an int elsewhere
        yield f"{where}: {value!r} is no {kind.__name__}"


def check_fields(where, value, fields):
    if not isinstance(value, dict):
        yield f"{where}: not an object"
        return
    for name, one in value.items():
        if name not in fields:
            yield f"{where}.{name}: unknown field"
            continue
        kind = fields[name]
        yield from check_type(f"{where}.{name}", one, kind.kind if isinstance(kind, Optional) else kind)
    for name, kind in fields.items():
        if name not in value and not isinstance(kind, Optional):
            yield f"{where}.{name}: missing"


def check_object(document):
    """Yields what is wrong with one rendered object by itself."""
    kind = (document.get("apiVersion"), document.get("kind"))
    where = f"{kind[1]}/{document.get('metadata', {}).get('name')}"
    if kind not in KINDS:
        yield f"{where}: unknown kind {kind}"
        return
    body = {name: value for name, value in document.items() if name not in ("apiVersion", "kind")}
    yield from check_fields(where, body, KINDS[kind])
