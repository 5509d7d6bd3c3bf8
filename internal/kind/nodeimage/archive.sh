# Sourced by what makes images without a registry. Both functions work below a
# directory that the caller removes.

# archive WORK NAME TREE FILE CONFIG writes FILE, an archive that `docker load` and
# `ctr images import` take: image NAME whose one layer is TREE and whose
# configuration is the JSON object CONFIG (Entrypoint, Cmd, Env, User, Labels).
# The same tree gives the same image, byte by byte.
archive() {
	local work=$1 name=$2 tree=$3 file=$4 config=$5 parts
	parts=$(mktemp -d "$work/archive.XXXXXX")
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$tree" -cf "$parts/layer.tar" .
	jq -n --argjson config "$config" --arg layer "sha256:$(sha256sum "$parts/layer.tar" | cut -d' ' -f1)" --arg architecture "$(go env GOHOSTARCH)" \
		'{architecture: $architecture, os: "linux", config: $config, rootfs: {type: "layers", diff_ids: [$layer]}}' > "$parts/config.json"
	jq -n --arg name "$name" '[{Config: "config.json", RepoTags: [$name], Layers: ["layer.tar"]}]' > "$parts/manifest.json"
	tar --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$parts" -cf "$file" manifest.json config.json layer.tar
	rm -rf "$parts"
}

# programs ROOT TREE FILE... copies FILEs (absolute, as seen in ROOT) from ROOT to
# TREE, with the libraries that they load. Links are followed.
programs() {
	local root=$1 tree=$2 lookup=(ldd); shift 2
	[[ $root == / ]] || lookup=(chroot "$root" ldd)
	{
		printf '%s\n' "$@"
		# ldd says "NAME => /FILE (0x…)", and "/FILE (0x…)" of the loader.
		"${lookup[@]}" "$@" 2> /dev/null | sed -nE 's|^\t(.* => )?(/[^ ]*) \(.*|\2|p'
	} | sort -u | sed 's|^/||' | (cd "$root" && xargs cp -L --parents -t "$tree")
}
