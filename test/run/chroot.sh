# Chroots of other Debians, which stay for the next time in cache_dir: source it, after lib.sh.

# A chroot of a Debian suite in the directory, ready for packages.
have_chroot()
{
	bootstrap "$1" "$2" || fail "could not make the chroot $2"
	configure "$1" "$2"
}

# The smallest Debian, from the mirror that this machine uses itself.
bootstrap()
{
	local suite=$1 root=$2 script=()

	[ ! -f "$root/.complete" ] || return 0
	rm -rf --one-file-system "$root"
	mkdir -p "$root"
	[ -e "/usr/share/debootstrap/scripts/$suite" ] || script=(/usr/share/debootstrap/scripts/sid)
	if ! debootstrap --variant=minbase "$suite" "$root" "$(mirror)" "${script[@]}" >"$root/bootstrap.log" 2>&1; then
		tail -20 "$root/bootstrap.log" >&2
		return 1
	fi
	touch "$root/.complete"
}

mirror()
{
	local uri

	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 'Label: Debian' | head -1)
	[ -n "$uri" ] || uri=$(sed -nE 's/^(URIs:|deb) .*(https?:[^ ]+\/debian\/?)( .*|$)/\2/p' \
		/etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1)
	[ -n "$uri" ] || fail "apt's sources name no mirror of Debian"
	echo "$uri"
}

# No server starts by being installed; apt reaches its mirror as on this machine.
configure()
{
	local suite=$1 root=$2

	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	apt-config dump | grep -E '^Acquire::(http|https|Check-Valid-Until|Retries)\b' >"$root/etc/apt/apt.conf.d/90machine" || true
	if [ "$suite" = forky ]; then
		# its Release file is allowed to be old
		echo 'Acquire::Check-Valid-Until "false";' >>"$root/etc/apt/apt.conf.d/90machine"
	fi
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

# Mounts live in a namespace of their own: nothing stays mounted.
inside()
{
	local root=$1
	shift

	unshare --mount --pid --fork --propagation private bash -c '
		set -e
		root=$1
		shift
		mount -t proc proc "$root/proc"
		mount -t tmpfs tmpfs "$root/dev/shm"
		exec chroot "$root" env -i PATH="$PATH" HOME=/root LC_ALL=C.UTF-8 CI="${CI:-}" "$@"' \
		bash "$root" env "http_proxy=${http_proxy:-}" "https_proxy=${https_proxy:-}" "$@"
}
