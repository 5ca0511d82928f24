# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What of OpenWrt's /lib/functions.sh, network.sh and procd.sh our package calls, for
# test_openwrt.py. UCI_FILE is the configuration; DEVICES has "interface=device" words.

reset_cb()
{
	config_cb() { :; }
	option_cb() { :; }
	list_cb() { :; }
}
reset_cb

config()
{
	cfg_n=$((${cfg_n-0} + 1))
	section=${2:-cfg0$cfg_n}
	eval "type_$section=\$1"
	config_cb "$1" "$section"
}

option()
{
	eval "value_${section}_$1=\$2"
	option_cb "$1" "$2"
}

list()
{
	list_cb "$1" "$2"
}

# The file is sh but for its comments, which are the same.
config_load()
{
	cfg_n=0
	# shellcheck source=/dev/null
	. "$UCI_FILE"
}

config_get_bool() # VARIABLE SECTION OPTION DEFAULT
{
	eval "cfg_v=\${value_$2_$3-$4}"
	# shellcheck disable=SC2154
	case $cfg_v in
	1 | on | true | yes | enabled) eval "$1=1" ;;
	*) eval "$1=0" ;;
	esac
}

network_get_device()
{
	for pair in $DEVICES; do
		[ "${pair%%=*}" != "$2" ] || { eval "$1=\${pair#*=}"; return 0; }
	done
	return 1
}

procd_open_instance() { :; }
procd_close_instance() { :; }
procd_add_reload_trigger() { echo "trigger $*"; }
procd_running() { [ -n "${RUNNING-}" ]; }
procd_send_signal() { echo "signal $*"; }
procd_set_param() { echo "$*"; }
start() { start_service; }
