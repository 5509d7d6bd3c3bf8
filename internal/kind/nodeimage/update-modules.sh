#!/bin/bash
# Writes the go.mod files anew: ./update-modules.sh [KUBERNETES_VERSION]. build.sh does not need it.
set -euo pipefail
cd "$(dirname "$0")"
kubernetes=${1:-v1.37.2} containerd=v2.3.4 crictl=v1.36.0 cni=v1.9.1 kind=v0.33.0
staging=v0${kubernetes#v1}
download() { (cd / && go mod download -json "$1"); } # outside any module
field() { sed -n "s/^\t\"$1\": \"\(.*\)\",\$/\1/p"; }
source=$(download "k8s.io/kubernetes@$kubernetes" | field Dir)
constant() { sed -n "s/^\t$1 = \"\(.*\)\"/\1/p" "$source/cmd/kubeadm/app/constants/constants.go"; }
etcd=v$(constant DefaultEtcdVersion); etcd=${etcd%-*} # 3.7.0-0 → v3.7.0
coredns=$(constant CoreDNSVersion)

{ # Kubernetes as a requirement: its staging modules by version, not by path.
	echo "module github.com/wiemu/wiemu/internal/kind/nodeimage/kubernetes"; echo
	grep -E '^(go|godebug) ' "$source/go.mod"
	echo "replace ("
	sed -n "s|^\t\(k8s.io/[a-z-]*\) => ./staging/.*|\t\1 => \1 $staging|p" "$source/go.mod"
	echo ")"
} > kubernetes/go.mod
(cd kubernetes && go get -tool \
	k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy,kubeadm,kubelet,kubectl}@"$kubernetes" \
	go.etcd.io/etcd/server/v3@"$etcd" sigs.k8s.io/kind@"$kind" sigs.k8s.io/cri-tools/cmd/crictl@"$crictl" \
	github.com/containernetworking/plugins/plugins/{ipam/host-local,main/loopback,main/ptp,meta/portmap}@"$cni" &&
	go get github.com/coredns/coredns@"$coredns" && go mod tidy)

printf 'module github.com/wiemu/wiemu/internal/kind/nodeimage/containerd\n\ngo 1.26.0\n' > containerd/go.mod
(cd containerd && go get -tool github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr}@"$containerd" && go mod tidy)
