#!/usr/bin/env bash
# Builds a kind node image from Go modules and Debian packages; no image registry is
# asked. `make node-image` calls it, and README.md tells how it is put together.
#
#   build.sh [IMAGE]      default: kindest/node:offline-VERSION, of Kubernetes' version
#
# What it makes on the way stays in ~/.cache/wiemu/nodeimage (XDG_CACHE_HOME).
set -euo pipefail
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin:/sbin # where debootstrap is, for whoever is not root
source ./archive.sh

suite=bookworm # its systemd, 252, still accepts cgroup v1
packages=systemd,systemd-sysv,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2,runc,e2fsprogs,bash,ca-certificates,curl,jq,procps,hostname,socat
label=dev.wiemu.nodeimage

version=$(sed -nE 's|^\tk8s.io/kubernetes (v[^ ]*).*|\1|p' kubernetes/go.mod)
image=${1:-kindest/node:offline-$version}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/wiemu/nodeimage
debian=$cache/debian-$(sha256sum <<< "$suite $packages" | cut -c1-8).tar
work= bootstrap= # a directory for what is half done; debootstrap's process group

main() {
	local inputs found
	inputs=$(find . -type f ! -name README.md ! -name update-modules.sh -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
	require_docker
	found=$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$image" 2> /dev/null || true)
	if [[ $found == "$inputs" ]]; then
		echo "$image is up to date"
		return
	fi
	require_the_rest
	mkdir -p "$cache"
	exec 9> "$cache/lock"
	flock -n 9 || { echo "another build is under way in $cache: waiting for it"; flock 9; }
	trap finish EXIT
	trap interrupted INT TERM HUP
	sweep
	work=$(mktemp -d "$cache/work.XXXXXX")

	echo "building $image: nine minutes the first time, one later"
	root_file_system & bootstrap=$!
	compile
	wait $bootstrap
	bootstrap=
	step "images of the control plane" control_plane
	step "node image" node "$inputs"
	docker image inspect -f "$image is ready: {{.Size}} bytes; kind, kubectl and crictl are in $cache/bin" "$image"
}

fail() { echo "node image: $*" >&2; exit 1; }

step() { local name=$1 start=$SECONDS; shift; "$@"; echo "  $name: $((SECONDS - start)) s"; }

# require_docker: without it nothing can be said about the image.
require_docker() {
	command -v docker > /dev/null || fail "docker is missing. Type: .ci/docker up, or see https://docs.docker.com/engine/install"
	docker version -f '{{.Server.Version}}' > /dev/null 2>&1 || fail "docker does not answer: $(docker version 2>&1 > /dev/null | tail -n 1). Type: .ci/docker up, or start it as usual"
}

# require_the_rest: what a build needs, all that is missing at once.
require_the_rest() {
	local missing=() program free
	[[ $(uname -s) == Linux ]] || fail "this builds on Linux alone, and $(uname -s) is not. Where kindest/node can be pulled, this image is not needed: leave --image out"
	command -v go > /dev/null || fail "go is missing: https://go.dev/doc/install"
	[[ $(docker version -f '{{.Server.Arch}}') == "$(go env GOHOSTARCH)" ]] || fail "docker runs on $(docker version -f '{{.Server.Arch}}') and this machine is $(go env GOHOSTARCH): build where docker is"
	for program in debootstrap:debootstrap jq:jq flock:util-linux sha256sum:coreutils; do
		command -v "${program%:*}" > /dev/null || missing+=("${program#*:}")
	done
	[[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
	[[ ${#missing[@]} == 0 ]] || fail "missing: ${missing[*]}. Type: sudo apt-get install ${missing[*]}"
	[[ $EUID == 0 ]] || fail "debootstrap needs root. Type: sudo env PATH=\"\$PATH\" make node-image"
	free=$(df --output=avail -k "$(go env GOCACHE)" 2> /dev/null | tail -n 1 || true)
	[[ -e $cache/bin.sha256 || -z $free || $free -gt 8000000 ]] || fail "the first build needs 8 GB in $(go env GOCACHE), and $((free / 1000000)) GB are free. Free some, or set GOCACHE to a directory elsewhere"
}

interrupted() { echo "interrupted: what was half done is removed, what was fetched and compiled stays in the cache" >&2; exit 130; }

# sweep removes what a build that was killed has left, and what no later one needs.
sweep() {
	local tree file
	for tree in "$cache"/work.*; do remove "$tree"; done
	for file in "$cache"/debian-*; do [[ $file == "$debian"* ]] || rm -f "$file"; done
	docker ps -aq --filter "label=$label=$cache" | xargs -r docker rm -fv > /dev/null
	docker images -q --filter dangling=true --filter "label=$label" | xargs -r docker rmi > /dev/null 2>&1 || true # what a cluster runs on stays
}

# finish leaves a whole cache and nothing else, however a build ends.
finish() {
	trap '' INT TERM HUP
	if [[ -n $bootstrap ]]; then
		kill -- $bootstrap 2> /dev/null || true
		wait $bootstrap 2> /dev/null || true
	fi
	docker ps -aq --filter "label=$label=$cache" | xargs -r docker rm -fv > /dev/null 2>&1 || true
	docker rmi -f "wiemu-nodeimage:base" > /dev/null 2>&1 || true
	[[ -z $work ]] || remove "$work"
}

# remove a directory in which debootstrap may have mounted /proc and /sys.
remove() {
	[[ -e $1 ]] || return 0
	awk -v tree="$1/" 'index($2, tree) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount
	rm -rf --one-file-system "$1"
}

# root_file_system makes Debian with systemd: $debian, and unpacked $work/debian.
root_file_system() {
	local start=$SECONDS child=
	trap '[[ -z $child ]] || kill -- -$child 2> /dev/null; wait; exit 1' TERM
	if [[ -e $debian ]] && sha256sum --check --status "$debian.sha256" 2> /dev/null; then
		mkdir "$work/debian"
		tar -C "$work/debian" -xpf "$debian"
		return
	fi
	[[ ! -e $debian ]] || echo "  $debian is damaged: made anew"
	echo "  root file system: debootstrap $suite"
	setsid debootstrap --variant=minbase --include="$packages" "$suite" "$work/debian" > "$work/debootstrap.log" 2>&1 & child=$!
	if ! wait $child; then
		tail -n 20 "$work/debootstrap.log" >&2
		fail "debootstrap $suite failed; its last lines are above. It fetches from a mirror of Debian, through http_proxy where that is set"
	fi
	(cd "$work/debian" && rm -rf var/cache/apt/archives/*.deb var/lib/apt/lists/* usr/share/{doc,man,locale,info}/* var/log/*)
	tar -C "$work/debian" -cf "$work/debian.tar" .
	mv "$work/debian.tar" "$debian"
	sha256sum "$debian" > "$debian.sha256"
	echo "  root file system: $((SECONDS - start)) s"
}

# compile builds every program into $cache/bin. Go's own cache makes it quick the
# second time. Go looks at a program's build id alone, so the sums tell what is damaged.
compile() {
	local number=${version#v1.} variables=k8s.io/component-base/version bin=$cache/bin
	if [[ -e $cache/bin.sha256 ]]; then
		(cd "$cache" && LC_ALL=C sha256sum --check --quiet bin.sha256 2> /dev/null || true) | sed -n 's/: FAILED.*//p' | while read -r file; do
			echo "  $file is damaged or missing: made anew"
			rm -f "$cache/$file"
		done
	else
		rm -rf "$bin"
	fi
	rm -f "$cache/bin.sha256"
	export CGO_ENABLED=0 GOWORK=off GOFLAGS="${GOFLAGS:-} -trimpath"
	cd kubernetes
	step "Kubernetes, etcd, CoreDNS, CNI, kind" build -ldflags "-s -w -X $variables.gitVersion=$version -X $variables.gitMajor=1 -X $variables.gitMinor=${number%.*}" tool ./...
	cd ../containerd
	step "containerd" build -ldflags "-s -w -X github.com/containerd/containerd/v2/version.Version=$(go list -m -f '{{.Version}}' github.com/containerd/containerd/v2)" tool
	cd ..
	mv "$bin/server" "$bin/etcd" # the command is go.etcd.io/etcd/server
	(cd "$cache" && sha256sum bin/* > "$work/sums")
	mv "$work/sums" "$cache/bin.sha256"
}

# build compiles into $cache/bin; every quarter of a minute it says how far it is.
build() {
	go build -v -o "$cache/bin/" "$@" 2>&1 | {
		local line fetched=0 compiled=0 said=$SECONDS
		while IFS= read -r line; do
			case $line in
			"go: downloading "*) fetched=$((fetched + 1)) ;;
			*" "*) echo "$line" >&2 ;; # what the compiler has to say
			*) compiled=$((compiled + 1)) ;;
			esac
			if ((SECONDS - said >= 15)); then
				echo "  … $fetched modules fetched, $compiled packages compiled"
				said=$SECONDS
			fi
		done
	}
}

# control_plane makes an image archive, in $work/images, for each image that kubeadm
# names, for containerd's pause (3.10), and for what stands in for kindnetd.
control_plane() {
	local name program tree=$work/tree
	mkdir "$work/images"
	for name in $("$cache/bin/kubeadm" config images list --kubernetes-version "$version") registry.k8s.io/pause:3.10 localhost/cni:1; do
		program=${name##*/}; program=${program%:*}
		mkdir -p "$tree/usr/local/bin"
		[[ $program != kube-proxy ]] || packet_filters "$tree"
		cp "$cache/bin/$program" "$tree/usr/local/bin/"
		archive "$work" "$name" "$tree" "$work/images/$program-${name##*:}.tar" "{\"Entrypoint\": [\"/usr/local/bin/$program\"]}"
		rm -rf "$tree"
	done
}

# packet_filters gives kube-proxy's tree the programs that it calls.
packet_filters() {
	local tree=$1 alias
	(cd "$work/debian" && cp -a --parents usr/lib/*/xtables "$tree/")
	programs "$work/debian" "$tree" /usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/conntrack $(cd "$work/debian" && echo /usr/lib/*/xtables/libxt_{conntrack,statistic}.so)
	for alias in {iptables,ip6tables}{,-save,-restore}; do ln -s xtables-nft-multi "$tree/usr/sbin/$alias"; done
}

# node puts everything together in a container of the root file system and commits it.
node() {
	local inputs=$1 base=wiemu-nodeimage:base container file files previous
	previous=$(docker image inspect -f '{{.Id}}' "$image" 2> /dev/null || true)
	files=$(cd kubernetes && go list -m -f '{{.Dir}}' sigs.k8s.io/kind)/images/base/files
	docker import - "$base" < "$debian" > /dev/null
	container=$(docker run -d --label "$label=$cache" --privileged --entrypoint sleep --stop-signal SIGRTMIN+3 --tmpfs /tmp "$base" infinity)
	tar -C "$files" --owner=0 --group=0 --mode=u=rwX,go=rX -c etc kind usr | docker exec -i "$container" tar -C / -x
	docker exec "$container" mkdir -p /opt/cni/bin /etc/cni/net.d /kind/manifests
	put "$container" /usr/bin kubeadm kubelet kubectl
	put "$container" /usr/local/bin containerd containerd-shim-runc-v2 ctr crictl
	put "$container" /opt/cni/bin host-local loopback ptp portmap
	docker exec -i "$container" tee /kind/manifests/default-cni.yaml > /dev/null < node/default-cni.yaml
	docker exec -i -e version="$version" "$container" bash -euo pipefail < node/install.sh
	for file in "$work"/images/*.tar; do
		docker exec -i "$container" ctr -n k8s.io images import --no-unpack --local - < "$file" > /dev/null 2> >(grep -v DEPRECATION >&2)
	done
	docker exec "$container" pkill -x containerd
	docker commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' --change 'CMD []' --change 'ENV container=docker' --change "LABEL $label=$inputs" "$container" "$image" > /dev/null
	[[ -z $previous ]] || docker rmi "$previous" > /dev/null 2>&1 || true # a cluster runs on it: the next build removes it
}

# put CONTAINER DIRECTORY PROGRAM... copies programs of $cache/bin.
put() {
	local container=$1 directory=$2; shift 2
	tar -C "$cache/bin" -c "$@" | docker exec -i "$container" tar -C "$directory" -x
}

main
