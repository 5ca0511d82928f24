# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Writes /etc/config/portreeve as portreeve.conf(5). Knows which sections have no name, that
# "config portreeve" is the top, and devices of interfaces; all other names are handed on, and
# portreeved --check-config judges them. Wants OpenWrt's functions.sh and network.sh.

pr_error=

# "text" as the configuration has it
pr_quote()
{
	printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"
}

pr_dashes()
{
	printf %s "$1" | tr _ -
}

# 1 and 0, on and off: UCI's words for true and false, where the key is such a switch.
pr_value()
{
	case $1:$2 in
	trusted:* | upnp:* | pcp:* | nat_pmp:* | open_nat:* | share:* | masquerade:* | filter:* | \
		clamp_mss:* | antispoof:* | log:* | return_via_router:* | cut_expired:* | own_masquerade:*)
		case $2 in
		1 | on | yes | enabled) echo true; return ;;
		0 | off | no | disabled) echo false; return ;;
		esac
		;;
	esac
	pr_quote "$2"
}

# Prints the section that was read, if it is wanted.
pr_flush()
{
	[ "$pr_enabled" = 1 ] || pr_type=
	case $pr_type in
	'') ;;
	portreeve)
		[ -z "$pr_lines" ] || printf '%s\n' "$pr_lines" | sed 's/^	//'
		;;
	limits | history | router | open_nat)
		printf '%s {\n%s\n}\n' "$(pr_dashes "$pr_type")" "$pr_lines"
		;;
	wan | lan)
		if [ -z "$pr_device" ] && [ -n "$pr_interface" ]; then
			network_get_device pr_device "$pr_interface" ||
				pr_error="$pr_error $pr_type: the interface '$pr_interface' has no device now."
		fi
		[ -z "$pr_device" ] ||
			printf '%s %s {\n%s\n}\n' "$pr_type" "$(pr_quote "$pr_device")" "$pr_lines"
		;;
	*)
		printf '%s %s {\n%s\n}\n' "$(pr_dashes "$pr_type")" "$(pr_quote "$pr_name")" "$pr_lines"
		;;
	esac
	pr_type=
}

pr_add() # LINE
{
	pr_lines="$pr_lines${pr_lines:+
}	$1"
}

# A list is one line; its elements follow one another.
pr_end_list()
{
	[ -z "$pr_list" ] || pr_add "$(pr_dashes "$pr_list") = { $pr_items }"
	pr_list=
	pr_items=
}

pr_section()
{
	pr_end_list
	pr_flush
	pr_type=${1-}
	pr_name=${2-}
	pr_lines=
	pr_enabled=1
	pr_interface=
	pr_device=
}

pr_option()
{
	pr_end_list
	case $1 in
	enabled)
		case $2 in
		0 | off | no | false | disabled) pr_enabled=0 ;;
		esac
		;;
	interface) pr_interface=$2 ;;
	device) pr_device=$2 ;;
	name) pr_name=$2 ;;
	*) pr_add "$(pr_dashes "$1") = $(pr_value "$1" "$2")" ;;
	esac
}

pr_list_item()
{
	[ "$pr_list" = "$1" ] || pr_end_list
	pr_list=$1
	pr_items="$pr_items${pr_items:+, }$(pr_quote "$2")"
}

# Prints the whole configuration. Fails if an interface is not there, and says which.
portreeve_conf()
{
	pr_type=
	pr_enabled=
	pr_list=
	pr_items=
	pr_error=
	# shellcheck disable=SC2317 # config_load calls them
	config_cb() { pr_section "$@"; }
	# shellcheck disable=SC2317
	option_cb() { pr_option "$@"; }
	# shellcheck disable=SC2317
	list_cb() { pr_list_item "$@"; }
	config_load portreeve
	pr_section
	reset_cb
	[ -z "$pr_error" ] || { echo "portreeve:$pr_error" >&2; return 1; }
}
