#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Bootstraps the build system and, with a word, does the rest too: see usage.
set -eu

usage()
{
	cat <<'END'
usage: ./autogen.sh              make ./configure; installs nothing
       sudo ./autogen.sh demo    show the main job in a lab of network namespaces
       sudo ./autogen.sh check   build and run every test (what .ci/run does)
       sudo ./autogen.sh check-full
                                 check, and distcheck, clang, the layout of the code, a
                                 browser, large clients and those from npm, the life of
                                 a Debian package, and check once more in a Debian 13
                                 that it makes
       sudo ./autogen.sh bench   measure against miniupnpd
       sudo ./autogen.sh install [CONFIGURE-OPTION...]
                                 build and install into /usr, /etc, /var and /run
       ./autogen.sh help         this

All but the first and the last install Debian packages that are missing, without starting
any service, create the system users portreeve and portreeve-net, and build in build/.
END
}

# "a|b": the first of them that this release has
build_packages="autoconf automake gcc libc6-dev make pkgconf libmnl-dev libnftnl-dev
	libevent-dev libconfuse-dev libjansson-dev libsqlite3-dev libnatpmp-dev libseccomp-dev
	libcap-dev libupnp-dev libxml2-dev libcmocka-dev"
lab_packages="iproute2 nftables iptables conntrack tcpdump socat procps sqlite3 python3
	python3-pytest python3-pytest-xdist python3-prometheus-client python3-jsonschema python3-libtorrent python3-miniupnpc transmission-daemon strace miniupnpc natpmpc gssdp-tools
	gupnp-tools coturn"
check_packages="cppcheck binutils xz-utils systemd util-linux mandoc
	clang libclang-rt-dev|libclang-rt-19-dev|libclang-rt-14-dev"
full_packages="golang-go varlink-go golang-github-varlink-go-dev
	build-essential clang-format shellcheck debootstrap debhelper lintian firewalld ufw dbus chromium
	fonts-dejavu-core qbittorrent-nox prometheus"
bench_packages="miniupnpd-nftables"

say()
{
	printf '==> %s\n' "$*"
}

die() # STATUS TEXT...
{
	status=$1
	shift
	printf 'autogen.sh: %s\n' "$*" >&2
	exit "$status"
}

need_root() # COMMAND
{
	[ "$(id -u)" = 0 ] || die 77 "$1 needs root (packages, namespaces): sudo ./autogen.sh $1"
}

# What runs beside this script: programs in sessions of their own, so that one signal ends all of
# their processes, and Ctrl-C, which a shell's background jobs do not hear, is passed on.

running=

begin() # COMMAND... (a function that ends in "exec setsid")
{
	"$@" &
	running="$running $!"
}

# Waits for one of them: its status.
finished() # PID
{
	status=0
	wait "$1" || status=$?
	left=
	for pid in $running; do
		[ "$pid" = "$1" ] || left="$left $pid"
	done
	running=$left
	return $status
}

attended() # COMMAND...
{
	begin "$@"
	finished $!
}

clean_up()
{
	trap '' INT TERM HUP
	for pid in $running; do
		kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null || :
	done
	for pid in $running; do
		wait "$pid" 2>/dev/null || :
	done
	allow_services
}

trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Packages

installed() # PACKAGE
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Which of the packages, or of all alternatives of one, are not installed.
missing_of() # PACKAGE...
{
	for entry; do
		found=no
		for name in $(printf %s "$entry" | tr '|' ' '); do
			if installed "$name"; then
				found=yes
			fi
		done
		[ $found = yes ] || printf '%s ' "$entry"
	done
}

# The first alternative that apt can install.
choose() # PACKAGE...
{
	for entry; do
		for name in $(printf %s "$entry" | tr '|' ' '); do
			case $(apt-cache policy "$name" 2>/dev/null | sed -n 's/^ *Candidate: //p') in
			'' | '(none)') ;;
			*) printf '%s ' "$name"; break ;;
			esac
		done
	done
}

policy=/usr/sbin/policy-rc.d
our_policy=no

# invoke-rc.d asks this file; without it some packages start a service at once.
forbid_services()
{
	[ -e $policy ] && return
	our_policy=yes
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
}

allow_services()
{
	[ $our_policy = no ] || rm -f $policy
	our_policy=no
}

need_packages() # PACKAGE...
{
	if ! command -v apt-get >/dev/null 2>&1; then
		say "not a Debian system: what Debian calls these is expected to be installed: $*"
		return
	fi
	missing=$(missing_of "$@")
	[ -n "$missing" ] || return 0
	say "installing Debian packages: $missing"
	export DEBIAN_FRONTEND=noninteractive
	forbid_services
	apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update
	# shellcheck disable=SC2046,SC2086 # lists of words
	set -- $(choose $missing)
	apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
		-o Acquire::Retries=3 install "$@" >"$build/packages.log" 2>&1 </dev/null ||
		{ tail -n 20 "$build/packages.log"; die 1 "apt-get install failed"; }
	allow_services
	for service in transmission-daemon miniupnpd firewalld coturn; do
		case " $* " in
		*" $service"[\ -]*)
			systemctl disable "$service" >/dev/null 2>&1 || : ;;
		esac
	done
}

# Build

bootstrap()
{
	lacking=
	for pair in autoreconf:autoconf automake:automake pkg-config:pkgconf; do
		command -v "${pair%:*}" >/dev/null 2>&1 || lacking="$lacking ${pair#*:}"
	done
	[ -z "$lacking" ] || die 1 "missing:$lacking; on Debian: apt-get install$lacking"
	(cd "$top" && autoreconf -fi)
}

# Runs a command into a log and shows its end only if it failed.
quietly() # LOG COMMAND...
{
	log=$1
	shift
	if ! "$@" >"$log" 2>&1; then
		tail -n 60 "$log"
		printf 'autogen.sh: failed: %s (all of it: %s)\n' "$*" "$log" >&2
		return 1
	fi
}

# Builds in build/NAME and installs there, in root/, unless a prefix is given: the lab
# runs the programs from where their compiled-in paths say.
build() # NAME CONFIGURE-OPTION...
{
	name=$1
	dir=$build/$1
	shift
	[ ! -e "$top/config.status" ] ||
		die 1 "this checkout is configured in place: run make distclean first"
	if [ ! -e "$top/configure" ]; then
		say "bootstrapping"
		quietly "$build/bootstrap.log" bootstrap || return 1
	fi
	mkdir -p "$dir"
	if [ ! -e "$dir/Makefile" ] || [ "$*" != "$(cat "$dir/options" 2>/dev/null)" ]; then
		say "configuring build/$name: $*"
		rm -f "$dir/options"
		(cd "$dir" && quietly configure.log "$top/configure" "$@") || return 1
		printf '%s\n' "$*" >"$dir/options"
	fi
	say "building build/$name"
	quietly "$dir/make.log" make -C "$dir" -j"$jobs"
}

build_lab() # NAME CONFIGURE-OPTION...
{
	build "$@" --prefix="$build/$1/root" || return 1
	quietly "$build/$1/install.log" env PORTREEVE_USERS=yes make -C "$build/$1" install || return 1
	grep '^created the system users' "$build/$1/install.log" || :
}

# Checks: each stage runs, whatever became of those before it, and the end names what failed.

failed=
chaos=
stage() # NAME COMMAND...
{
	stage=$1
	shift
	say "$stage"
	began=$(date +%s)
	"$@" || failed="$failed $stage,"
	say "$stage: $(($(date +%s) - began)) s"
}

unit_tests()
{
	status=0
	make -C "$build/check" -j"$jobs" check >"$build/check/check.log" 2>&1 || status=$?
	for log in "$build"/check/tests/unit/*.log; do
		[ ! -e "$log" ] || printf '%-28s %s\n' "$(basename "$log" .log)" \
			"$(grep -E '^\[  (PASSED|FAILED) +\] [0-9]+ test' "$log" | tr '\n' ' ')"
	done
	if [ $status != 0 ]; then
		tail -n 40 "$build/check/check.log"
		find "$build/check/tests/unit" -name '*.trs' -exec grep -l 'result: [FE]' {} + |
			sed 's/trs$/log/' | xargs -r tail -n 60
	fi
	grep -E '^# [A-Z]+: ' "$build/check/check.log" || :
	return $status
}

cppcheck_all()
{
	cd "$top" && quietly "$build/cppcheck.log" cppcheck --quiet -j "$jobs" --std=c11 \
		--enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem --suppress=unknownMacro \
		--suppress=checkersReport --suppress=normalCheckLevelMaxBranches -D_GNU_SOURCE -DSYSCONFDIR='"/etc"' \
		-DLOCALSTATEDIR='"/var"' -DRUNSTATEDIR='"/run"' -DPKGDATADIR='"/"' \
		-DPKGLIBEXECDIR='"/"' -DSBINDIR='"/"' -I. -I"$build/plain" \
		base lease firewall conf pcp igd trigger upstream daemon cli && echo "no findings"
}

pytest() # BUILD ARGUMENT...
{
	export PORTREEVE_BUILD="$build/$1" PYTHONDONTWRITEBYTECODE=1 ASAN_OPTIONS=detect_leaks=0
	shift
	cd "$top" && exec setsid /usr/bin/python3 -m pytest -p no:cacheprovider -q -ra \
		--basetemp="$PORTREEVE_BUILD/pytest" "$@"
}

lab() # BUILD PYTEST-ARGUMENT...
{
	attended pytest "$@"
}

# As installed, in the real sandboxes, and beside it with ASan and UBSan, where the leak
# check is left out: it would have to trace the process. Files of tests wait more than they
# work, and each makes a lab of its own: many run at a time.
lab_tests()
{
	begin pytest check -n $((2 * jobs)) --dist loadfile tests/lab >"$build/lab-check.log" 2>&1
	sanitized=$!
	result=0
	lab plain -n $((2 * jobs)) --dist loadfile tests/lab || result=$?
	say "lab tests, programs with ASan and UBSan"
	finished $sanitized || result=$?
	cat "$build/lab-check.log"
	return $result
}

chaos()
{
	export PORTREEVE_BUILD="$build/plain" PYTHONDONTWRITEBYTECODE=1
	cd "$top" && exec setsid /usr/bin/python3 tests/lab/chaos 60
}

# It waits more than it works: the compiler is at work beside it.
chaos_begins()
{
	begin chaos >"$build/chaos.log" 2>&1
	chaos=$!
}

chaos_ends()
{
	result=0
	finished "$chaos" || result=$?
	cat "$build/chaos.log"
	return $result
}

fuzzers()
{
	export PORTREEVE_BUILD="$build" PYTHONDONTWRITEBYTECODE=1
	exec setsid /usr/bin/python3 "$top/tests/fuzz/run" 60
}

fuzzing()
{
	attended fuzzers
}

distcheck()
{
	quietly "$build/distcheck.log" make -C "$build/plain" -j"$jobs" distcheck &&
		tail -n 4 "$build/distcheck.log"
}

clang_format_all()
{
	case $(clang-format --version) in
	*"version 14."*) ;;
	*) echo "left out: the layout is that of clang-format 14"; return 0 ;;
	esac
	cd "$top" && find base lease firewall conf pcp igd trigger upstream daemon cli tests -name '*.[ch]' \
		-exec clang-format --dry-run -Werror {} + 2>"$build/layout.log" && return
	cut -d: -f1 "$build/layout.log" | grep '\.[ch]$' | sort | uniq -c
	echo "mend it with: clang-format -i FILE..."
	return 1
}

shellcheck_all()
{
	cd "$top" && shellcheck --shell=bash cli/completion/portreeve &&
		shellcheck -x autogen.sh .ci/run conf/create-users tests/debian13 \
		tests/chroot.sh tests/deb packaging/debian/portreeve.prerm \
		packaging/debian/portreeve.postrm packaging/openwrt/files/uci.sh \
		packaging/openwrt/files/portreeve.hotplug tests/lab/openwrt.sh &&
		shellcheck -x --shell=dash packaging/openwrt/files/portreeve.init
}

# What test_browser.py and test_clients.py run with Node.js, in the versions of the lock file.
install_node_clients()
{
	mkdir -p "$build/node"
	cp "$top"/tests/node/*.js* "$build/node/"
	(cd "$build/node" && quietly npm.log npm ci --ignore-scripts --no-audit --no-fund)
}

full_lab()
{
	install_node_clients && PORTREEVE_NODE=$build/node lab plain tests/lab -m full
}

debian13()
{
	case $(cat /etc/debian_version 2>/dev/null) in
	13*) echo "left out: this is Debian 13"; return 0 ;;
	esac
	"$top/tests/debian13"
}

debian_package()
{
	quietly "$build/deb.log" make -C "$build/plain" deb &&
		"$top/tests/deb" "$build/plain/deb"
}

check()
{
	stage "programs, optimised, warnings are errors" build_lab plain --enable-werror
	[ -n "$failed" ] || chaos_begins
	stage "cppcheck" cppcheck_all
	stage "programs with ASan and UBSan" build_lab check --enable-werror --enable-sanitizers
	case $failed in
	*programs*) ;;
	*) stage "unit tests (ASan, UBSan)" unit_tests ;;
	esac
	[ -z "$chaos" ] || stage "chaos (60 s)" chaos_ends
	case $failed in
	*programs*) ;;
	*)
		stage "lab tests" lab_tests
		stage "lab under load" lab plain tests/lab -m alone
		;;
	esac
	stage "fuzzing (60 s)" fuzzing
}

mutations()
{
	PORTREEVE_MUTATIONS=50000 lab plain tests/lab/test_mutations.py -m "not full"
}

check_more()
{
	stage "50,000 mutated messages" mutations
	stage "distcheck" distcheck
	stage "programs by clang" build clang --enable-werror CC=clang
	stage "layout" clang_format_all
	stage "scripts" shellcheck_all
	stage "browser and large clients" full_lab
	stage "Debian package" debian_package
	stage "Debian 13" debian13
}

finish()
{
	[ -z "$failed" ] || die 1 "failed:${failed%,}"
	say "all passed"
}

top=$(cd "$(dirname "$0")" && pwd)
build=$top/build
jobs=$(nproc 2>/dev/null || echo 1)
command=${1-}
[ $# = 0 ] || shift
case $command in
install) ;;
*) [ $# = 0 ] || die 64 "$command takes no arguments: ./autogen.sh help" ;;
esac
case $command in
demo | check | check-full | bench | install)
	need_root "$command"
	mkdir -p "$build"
	;;
esac
# the package lists are words
# shellcheck disable=SC2086
case $command in
'')
	bootstrap
	echo "now: ./configure && make, or sudo ./autogen.sh install; ./autogen.sh help"
	;;
demo)
	need_packages $build_packages $lab_packages
	build_lab demo
	PORTREEVE_BUILD=$build/demo exec "$top/tests/lab/demo"
	;;
check)
	need_packages $build_packages $lab_packages $check_packages
	check
	finish
	;;
check-full)
	need_packages $build_packages $lab_packages $check_packages $full_packages
	# other builds of Node.js bring npm along
	command -v npm >/dev/null || need_packages nodejs npm
	check
	check_more
	finish
	;;
bench)
	need_packages $build_packages $lab_packages $bench_packages
	build_lab demo
	PORTREEVE_BUILD=$build/demo exec "$top/tests/bench/run"
	;;
install)
	need_packages $build_packages
	build install --prefix=/usr --sysconfdir=/etc --localstatedir=/var --runstatedir=/run "$@"
	say "installing"
	make -C "$build/install" install
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		echo "start it now and at each boot: systemctl enable --now portreeve"
	else
		echo "start it: portreeved --foreground"
	fi
	echo "it needs no configuration; to change something: /etc/portreeve/portreeve.conf"
	;;
help | --help | -h)
	usage
	;;
*)
	usage >&2
	exit 64
	;;
esac
