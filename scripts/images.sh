#!/usr/bin/env bash
# Builds the images that templates and tests need, as archives in target/images that `univrs image import` and
# `univrs up --image-dir` read. No Docker and no image registry: an image is the files of Debian packages, without
# what a server does not need, and the scripts beside this one. Packages come through apt, which checks them. Some hold
# programs that Go builds from pinned modules, whose sums lie beside them; those take minutes and are built when named:
# scripts/images.sh kubo ipfs-cluster s3 balancer (make images-ipfs).
#
# An image is built again only when its packages, modules or scripts changed. Archives are reproducible: sorted, one
# date, one version of Go.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
out=${UNIVRS_IMAGES_OUT:-${CARGO_TARGET_DIR:-$root/target}/images}
definitions=$root/scripts/images
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1735689600} LC_ALL=C
mkdir -p "$out/.cache/debs"
out=$(cd "$out" && pwd)
work=$(mktemp -d "$out/.build.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Packages that come along only for maintainer scripts, interpreters and features that are turned off.
unwanted='^(adduser|debconf|dpkg|gcc-12-base|init-system-helpers|libaudit-common|libc-l10n|libgdbm.*|libllvm14|libpam-.*|libperl.*|libsemanage.*|libsepol2|libz3-4|locales|lsb-base|netbase|passwd|perl.*|.*-perl|postgresql-client-common|postgresql-common|readline-common|sensible-utils|ssl-cert|sysvinit-utils|tar|ucf|usrmerge|redis-tools-.*)$'

# The compiler of Go programs: the same everywhere, so that its output is. Any Go can fetch it, also Debian's, which is
# too old to build with.
go_version=1.25.8

go_toolchain() {
  [ -x "$out/.cache/go-$go_version/bin/go" ] && return
  local go dir
  go=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null || true)
  if [ -z "$go" ]; then
    [ "$(id -u)" = 0 ] || { echo "missing: Go; install it with: sudo apt-get install golang-go" >&2; exit 1; }
    echo "installing: golang-go" >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends golang-go >/dev/null
    go=$(command -v go)
  fi
  dir=$(cd "$work" && GOFLAGS='' GOTOOLCHAIN=local "$go" mod download -json \
    "golang.org/toolchain@v0.0.1-go$go_version.linux-$(dpkg --print-architecture)" | jq -r .Dir)
  cp -r "$dir" "$work/go"
  chmod -R u+w,+X "$work/go" && chmod +x "$work"/go/bin/* "$work"/go/pkg/tool/*/*
  rm -rf "$out/.cache/go-$go_version" && mv "$work/go" "$out/.cache/go-$go_version"
}

# Programs of pinned modules, the same bytes wherever they are built. The sums of all modules are in go.sum.
go_programs() { # directory, definition, packages...
  local into=$1 definition=$2 package; shift 2
  go_toolchain
  mkdir -p "$into/usr/local/bin"
  for package in "$@"; do
    (cd "$definition" && GOROOT='' GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 "$out/.cache/go-$go_version/bin/go" build \
      -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o "$into/usr/local/bin/" "$package")
  done
}

refresh_lists() {
  apt-cache show postgresql-15 pgbouncer redis-server >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] || { echo "apt knows no packages; run: sudo apt-get update" >&2; exit 1; }
  echo "apt-get update" >&2
  apt-get update -qq
}

# The packages that these need, as name=version, on a machine that has none.
resolve() {
  # A list first: the end of the pipe must not hide a failure of apt.
  apt-get -s -o Dir::State::status=/dev/null -o APT::Install-Recommends=false -o Debug::NoLocking=1 \
    install "$@" >"$work/resolved"
  sed -nE 's/^Inst ([^ ]+) \(([^ ]+) .*/\1=\2/p' "$work/resolved" |
    while IFS== read -r name version; do
      [[ "$name" =~ $unwanted ]] || echo "$name=$version"
    done | sort
}

# Where a package lies, without its architecture; apt writes the colon of an epoch as %3a.
deb() { local version=${1#*=}; echo "$out/.cache/debs/${1%%=*}_${version//:/%3a}"; }

# Unpacks packages into a directory where /bin, /lib and the like are parts of /usr.
unpack() { # directory, packages...
  local into=$1 package; shift
  local missing=()
  for package in "$@"; do ls "$(deb "$package")"_*.deb >/dev/null 2>&1 || missing+=("$package"); done
  [ "${#missing[@]}" = 0 ] ||
    (cd "$out/.cache/debs" && apt-get -qq -o APT::Sandbox::User=root -o Debug::NoLocking=1 download "${missing[@]}" >/dev/null)
  mkdir -p "$into"/usr/{bin,sbin,lib,lib64}
  for part in bin sbin lib lib64; do ln -s "usr/$part" "$into/$part"; done
  for package in "$@"; do
    dpkg-deb --fsys-tarfile "$(deb "$package")"_*.deb | tar -C "$into" -x --keep-directory-symlink --no-same-owner
  done
}

# What is for people and for building, and what only maintainer scripts use.
trim() { # directory
  (cd "$1" && rm -rf usr/share/{doc,man,info,locale,lintian,bug,doc-base,bash-completion,pixmaps,menu,apport,initramfs-tools} \
    usr/include usr/lib/*/pkgconfig usr/lib/*/gconv usr/lib/*/perl* usr/lib/*/*.a usr/lib/*/engines-3 etc/init.d etc/cron* etc/logrotate.d \
    etc/systemd lib/systemd/system usr/lib/systemd var/cache var/lib/dpkg etc/default etc/ssl/misc)
}

# Every library that a program or library of the image needs has to be in it.
check_libraries() { # directory
  local missing
  missing=$(find "$1/usr" -type f \( -perm -u+x -o -name '*.so*' \) -print0 |
    xargs -0 -n 64 file 2>/dev/null | sed -n 's/:.*ELF.*dynamically linked.*//p' |
    while read -r elf; do
      objdump -p "$elf" 2>/dev/null | sed -n 's/^  NEEDED *//p'
    done | sort -u | while read -r library; do
      [ -n "$(find "$1/usr/lib" "$1/usr/lib64" -name "$library" -print -quit)" ] || echo "$library"
    done)
  [ -z "$missing" ] || { echo "libraries are missing in the image: $missing" >&2; return 1; }
}

pack() { # name, tag, directory, config as JSON without architecture and layers
  local stage=$work/$1.stage
  mkdir -p "$stage"
  tar -C "$3" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -cf "$stage/layer.tar" .
  local layer; layer=$(sha256sum "$stage/layer.tar" | cut -d' ' -f1)
  jq -cn --arg arch "$(dpkg --print-architecture)" --arg layer "sha256:$layer" --argjson config "$4" \
    --arg created "$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)" \
    '{created: $created, architecture: $arch, os: "linux", config: $config, rootfs: {type: "layers", diff_ids: [$layer]}}' >"$stage/config.json"
  jq -cn --arg tag "$2" '[{Config: "config.json", RepoTags: [$tag], Layers: ["layer.tar"]}]' >"$stage/manifest.json"
  tar -C "$stage" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -cf "$work/$1.tar" manifest.json config.json layer.tar
  mv "$work/$1.tar" "$out/$1.tar"
  rm -rf "$stage"
}

build() { # name
  local name=$1 begun=$SECONDS
  # What a definition sets: tag, packages, config, and the function `finish` that is given the directory; the packages
  # of Go programs, if it has any; what it is based on; why it cannot be built here, if so.
  unset -f finish
  local programs='' based_on='' lacks=''
  # shellcheck source=/dev/null
  source "$definitions/$name/image.sh"
  if [ -n "$lacks" ]; then
    echo "$tag: NOT BUILT: $lacks"
    rm -f "$out/$name.tar" "$out/.cache/$name.stamp"
    return
  fi
  local wanted stamp
  # shellcheck disable=SC2086
  wanted=$(resolve busybox-static $packages)
  stamp=$( (echo "$wanted"; echo "$programs $go_version"; echo "$SOURCE_DATE_EPOCH"; cat "$root/scripts/images.sh"; find "$definitions/$name" ${based_on:+"$definitions/$based_on"} -type f -print0 | sort -z | xargs -0 cat) | sha256sum)
  if [ -f "$out/$name.tar" ] && [ "$(cat "$out/.cache/$name.stamp" 2>/dev/null)" = "$stamp" ]; then
    echo "$tag: unchanged"
    return
  fi
  local into=$work/$name
  # shellcheck disable=SC2086
  unpack "$into" $wanted
  trim "$into"
  for applet in sh cat cp mv rm mkdir ls chmod sed grep cut head tail sort sleep date wc tr test env id kill printf sha256sum touch find expr basename dirname; do
    [ -e "$into/usr/bin/$applet" ] || ln -s busybox "$into/usr/bin/$applet"
  done
  mkdir -p "$into"/{tmp,run,dev,proc,sys,etc} && chmod 1777 "$into/tmp"
  printf 'root:x:0:0:root:/:/bin/sh\n%s:x:999:999::/:/bin/sh\n' "$user" >"$into/etc/passwd"
  printf 'root:x:0:\n%s:x:999:\n' "$user" >"$into/etc/group"
  printf 'hosts: files dns\n' >"$into/etc/nsswitch.conf"
  # shellcheck disable=SC2086
  [ -z "$programs" ] || go_programs "$into" "$definitions/$name" $programs
  finish "$into"
  check_libraries "$into"
  pack "$name" "$tag" "$into" "$config"
  echo "$stamp" >"$out/.cache/$name.stamp"
  echo "$tag: built in $((SECONDS - begun)) s, $(du -h "$out/$name.tar" | cut -f1)"
  rm -rf "$into"
}

for tool in jq dpkg-deb apt-get objdump file; do
  command -v "$tool" >/dev/null && continue
  [ "$(id -u)" = 0 ] || { echo "missing: $tool; install it with: sudo apt-get install jq binutils file" >&2; exit 1; }
  echo "installing: jq binutils file" >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends jq binutils file >/dev/null
done
refresh_lists
names=("$@")
[ "${#names[@]}" -gt 0 ] || mapfile -t names < <(cd "$definitions" && grep -L '^programs=\|^# built when named' ./*/image.sh | cut -d/ -f2)
for name in "${names[@]}"; do build "$name"; done
