#!/bin/bash
# Installs what the tests drive, when it is missing and we may: root on a Debian.
# Under CI=true a missing tool is an error, for then a test must not skip.
set -euo pipefail

declare -A package=(
	[mosquitto]=mosquitto [mosquitto_pub]=mosquitto-clients [mosquitto_sub]=mosquitto-clients
	[socat]=socat [certutil]=libnss3-tools [ser2net]=ser2net [chromium]=chromium [dpkg-deb]=dpkg
)
PATH=$PATH:/usr/sbin:/sbin

missing=()
for tool in "${!package[@]}"; do
	command -v "$tool" >/dev/null || missing+=("${package[$tool]}")
done
/usr/bin/python3 -c 'import pymodbus.server' 2>/dev/null || missing+=(python3-pymodbus python3-serial python3-serial-asyncio)
/usr/bin/python3 -c 'import paho.mqtt.client' 2>/dev/null || missing+=(python3-paho-mqtt)
compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(libfaketime) # make judge
[ -e /usr/include/modbus/modbus.h ] || missing+=(libmodbus-dev)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "missing for the tests: ${missing[*]}; as root: apt-get install --no-install-recommends ${missing[*]}" >&2
	[ "${CI:-}" != true ]
	exit
fi

# No package may leave a service running on the machine of whoever runs the tests.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod +x $policy
	trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -qy --no-install-recommends "${missing[@]}"
