# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A Debian in a folder, for tests/debian13 and tests/deb, which read this file.
#
# What runs in there runs in namespaces of its own (mounts, processes): whatever becomes of
# it, its processes end and its mounts go when the script ends. The mirror is the one that
# apt uses.

top=$(cd "$(dirname "$0")/.." && pwd)
name=$(basename "$0")

die()
{
	printf '%s: %s\n' "$name" "$*" >&2
	exit 1
}

# The archive that apt takes Debian's own packages from: the first one that it lists.
mirror()
{
	# shellcheck disable=SC2016 # the words are apt's
	apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 'Created-By: Packages' |
		sed -n 's/^Debian|Debian|//p' | head -n 1
}

# What the tree consists of: what git tracks or would, or all but what was built.
list_tree()
{
	if [ -e "$top/.git" ]; then
		git -C "$top" -c "safe.directory=$top" ls-files -z --cached --others \
			--exclude-standard
	else
		find . -path ./build -prune -o -type f -print0
	fi
}

# Runs as process 1 of its own process and mount namespaces. DIR TOP COMMAND...
inside()
{
	dir=$1
	shift 1
	mount --make-rprivate /
	mount --rbind "$dir" "$dir" # ip netns wants a root that is a mount
	mount -t proc proc "$dir/proc"
	mount --rbind /sys "$dir/sys"
	mount --rbind /dev "$dir/dev"
	mount -t tmpfs -o mode=755 tmpfs "$dir/run"
	mount -t tmpfs -o mode=1777 tmpfs "$dir/tmp"
	cd "$dir" || die "$dir"
	mkdir -p .outside
	pivot_root . .outside
	umount -l /.outside
	rmdir /.outside
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		TERM="${TERM-dumb}" DEBIAN_FRONTEND=noninteractive \
		sh -c 'cd /portreeve && "$@"' sh "$@"
}

# Makes $dir a Debian system of that release, or takes the one that is there, and puts the
# tree into its /portreeve. RELEASE [PACKAGE,PACKAGE...]
make_debian()
{
	site=$(mirror)
	[ -n "$site" ] || die "apt knows no Debian archive (apt-get update?)"
	if [ ! -e "$dir/etc/debian_version" ]; then
		echo "==> Debian $1 into $dir"
		debootstrap --variant=minbase --include="${2-ca-certificates}" "$1" "$dir" "$site" \
			>"$dir/made.log" 2>&1 || { tail -n 20 "$dir/made.log"; die "debootstrap failed"; }
	fi
	cp -L /etc/resolv.conf "$dir/etc/resolv.conf"
	mkdir -p "$dir/portreeve"
	find "$dir/portreeve" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
	(cd "$top" && list_tree | tar --null --ignore-failed-read -cf - -T - 2>/dev/null) |
		tar -C "$dir/portreeve" --no-same-owner -xf -
	[ -e "$dir/portreeve/autogen.sh" ] || die "the tree was not copied"
}

# Sets $dir: a folder to keep, or one that goes with the script.
choose_dir() # KEEP
{
	[ "$(id -u)" = 0 ] || { echo "$name: needs root: sudo tests/$name" >&2; exit 77; }
	command -v debootstrap >/dev/null || die "missing: debootstrap"
	runner=
	if [ -n "$1" ]; then
		mkdir -p "$1"
		dir=$(cd "$1" && pwd)
	else
		dir=$(mktemp -d "${TMPDIR:-/var/tmp}/portreeve-$name-XXXXXX")
		chmod 755 "$dir" # its / is for every user
		# Nothing is mounted there but in the namespace, which has ended by then.
		trap 'rm -rf --one-file-system "$dir"' EXIT
	fi
	trap 'end_runner; exit 130' INT
	trap 'end_runner; exit 143' TERM HUP
}

end_runner()
{
	[ -n "$runner" ] || return 0
	kill -KILL "$runner" 2>/dev/null
	wait "$runner" || :
}

# Runs a command in $dir. In the background, so that a signal is handled at once. unshare minds
# SIGKILL alone, and by --kill-child all in there ends with it. "" or --net: a network of its
# own.
run_inside() # --net|"" COMMAND...
{
	net=$1
	shift
	# shellcheck disable=SC2086 # nothing, or one word
	unshare --mount --pid --fork --kill-child $net -- "$0" --inside "$dir" "$@" <&0 &
	runner=$!
	status=0
	wait "$runner" || status=$?
	runner=
	return $status
}

if [ "${1-}" = --inside ]; then
	shift
	inside "$@"
fi
