"""The text of kube-apiserver.yaml as kubeadm writes it with no extra arguments (held to `golden/kubeadm` by a test).

Source: cmd/kubeadm/app/phases/controlplane/manifests.go GetStaticPodSpecs; differences by version are two:
`creationTimestamp: null` up to 1.33, a named probe port from 1.34 on.
"""

from __future__ import annotations

NAMED_PROBE_PORT = (1, 34)

_HEAD = """\
apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: {address}:{port}
{created}  labels:
    component: kube-apiserver
    tier: control-plane
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address={address}
    - --allow-privileged=true
    - --authorization-mode=Node,RBAC
    - --client-ca-file=/etc/kubernetes/pki/ca.crt
    - --enable-admission-plugins=NodeRestriction
    - --enable-bootstrap-token-auth=true
    - --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt
    - --etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt
    - --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key
    - --etcd-servers=https://127.0.0.1:2379
    - --kubelet-client-certificate=/etc/kubernetes/pki/apiserver-kubelet-client.crt
    - --kubelet-client-key=/etc/kubernetes/pki/apiserver-kubelet-client.key
    - --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname
    - --proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt
    - --proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key
    - --requestheader-allowed-names=front-proxy-client
    - --requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt
    - --requestheader-extra-headers-prefix=X-Remote-Extra-
    - --requestheader-group-headers=X-Remote-Group
    - --requestheader-username-headers=X-Remote-User
    - --secure-port={port}
    - --service-account-issuer=https://kubernetes.default.svc.cluster.local
    - --service-account-key-file=/etc/kubernetes/pki/sa.pub
    - --service-account-signing-key-file=/etc/kubernetes/pki/sa.key
    - --service-cluster-ip-range=10.96.0.0/12
    - --tls-cert-file=/etc/kubernetes/pki/apiserver.crt
    - --tls-private-key-file=/etc/kubernetes/pki/apiserver.key
    image: registry.k8s.io/kube-apiserver:v{kubernetes}
    imagePullPolicy: IfNotPresent
    livenessProbe:
      failureThreshold: 8
      httpGet:
        host: {address}
        path: /livez
        port: {probe_port}
        scheme: HTTPS
      initialDelaySeconds: 10
      periodSeconds: 10
      timeoutSeconds: 15
    name: kube-apiserver
{ports}    readinessProbe:
      failureThreshold: 3
      httpGet:
        host: {address}
        path: /readyz
        port: {probe_port}
        scheme: HTTPS
      periodSeconds: 1
      timeoutSeconds: 15
    resources:
      requests:
        cpu: 250m
    startupProbe:
      failureThreshold: 24
      httpGet:
        host: {address}
        path: /livez
        port: {probe_port}
        scheme: HTTPS
      initialDelaySeconds: 10
      periodSeconds: 10
      timeoutSeconds: 15
"""

_TAIL = """\
    volumeMounts:
    - mountPath: /etc/ssl/certs
      name: ca-certs
      readOnly: true
    - mountPath: /etc/kubernetes/pki
      name: k8s-certs
      readOnly: true
  hostNetwork: true
  priority: 2000001000
  priorityClassName: system-node-critical
  securityContext:
    seccompProfile:
      type: RuntimeDefault
  volumes:
  - hostPath:
      path: /etc/ssl/certs
      type: DirectoryOrCreate
    name: ca-certs
  - hostPath:
      path: /etc/kubernetes/pki
      type: DirectoryOrCreate
    name: k8s-certs
status: {}
"""

_PORTS = """\
    ports:
    - containerPort: {port}
      name: probe-port
      protocol: TCP
"""

KUBELET_CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
# auditctl-lab: a stand-in for the kubelet reads this; 0s (20 s) on a node that kubeadm made
fileCheckFrequency: {listing:g}s
staticPodPath: /etc/kubernetes/manifests
"""


_CLUSTER_CONFIGURATION = """\
apiServer: {{}}
apiVersion: kubeadm.k8s.io/v1beta4
caCertificateValidityPeriod: 87600h0m0s
certificateValidityPeriod: 8760h0m0s
certificatesDir: /etc/kubernetes/pki
clusterName: kubernetes
controllerManager: {{}}
dns: {{}}
encryptionAlgorithm: RSA-2048
etcd:
  local:
    dataDir: /var/lib/etcd
imageRepository: registry.k8s.io
kind: ClusterConfiguration
kubernetesVersion: v{kubernetes}
networking:
  dnsDomain: cluster.local
  serviceSubnet: 10.96.0.0/12
proxy: {{}}
scheduler: {{}}
"""


def minor(kubernetes: str) -> tuple[int, int]:
    """Return (1, 36) of "1.36.2"."""
    major, second, *_ = kubernetes.removeprefix("v").split(".")
    return int(major), int(second)


def manifest(kubernetes: str, address: str, port: int) -> str:
    """Return the manifest of an IPv4 control plane; ``kubernetes`` is the version, as "1.36.2"."""
    named = minor(kubernetes) >= NAMED_PROBE_PORT
    head = _HEAD.format(
        kubernetes=kubernetes,
        address=address,
        port=port,
        created="" if named else "  creationTimestamp: null\n",
        probe_port="probe-port" if named else port,
        ports=_PORTS.format(port=port) if named else "",
    )
    return head + _TAIL


def cluster_configuration(kubernetes: str) -> str:
    """Return the ClusterConfiguration that `kubeadm init` uploads with no configuration file (v1beta4, from 1.31 on)."""
    return _CLUSTER_CONFIGURATION.format(kubernetes=kubernetes)
