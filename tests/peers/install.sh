#!/bin/sh
# What the tests against other people's servers need, from the distribution's packages, by
# group: web, mail. Where it cannot install, it says so and the tests skip with the same reason.
set -eu
packages=
for group in "$@"; do
	case $group in
	web) more="wordpress mariadb-server php-cli php-mysql php-gd php-xml php-mbstring php-curl" ;;
	mail) more="postfix dovecot-imapd dovecot-lmtpd" ;;
	*) echo "test-peers: PEERS is web, mail or both, not: $group" >&2 && exit 2 ;;
	esac
	packages="$packages $more"
done
for package in $packages; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing=yes
done
[ "${missing:-no}" = yes ] || exit 0
if ! command -v apt-get >/dev/null; then
	echo "test-peers: no apt-get here; install yourself: $packages" >&2
	exit 0
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		echo "test-peers: not root; run: sudo apt-get install --no-install-recommends $packages" >&2
		exit 0
	fi
	as_root=sudo
fi
export DEBIAN_FRONTEND=noninteractive
# A machine that has just started may be updating itself.
patient="-o DPkg::Lock::Timeout=300 -o Acquire::Retries=5"
# shellcheck disable=SC2086 # a list of words
$as_root apt-get $patient update -qq
# RUNLEVEL=1 keeps the packages from starting servers: the tests start their own.
# shellcheck disable=SC2086 # a list of words
$as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	apt-get $patient install -y -qq --no-install-recommends $packages
