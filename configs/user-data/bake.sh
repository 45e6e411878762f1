#!/bin/sh
# Makes this machine the model of the workers' image: installs the bundle ("$@" does it), removes what is this machine's
# alone, and powers off. The console tells whoever makes the image how it ended: "imgrec-bake: ready" or "…: failed".
# Runs once, from cloud-init.
end() {
  echo "imgrec-bake: $1" >&2
  sync
  systemctl poweroff
  sleep 600  # until that: cloud-init, which waits for this script, would write into what was cleaned
}
# Whatever hangs, nobody pays for this machine any longer.
(sleep 3000; echo "imgrec-bake: failed: it took too long" >&2; systemctl poweroff) &
guard=$!

"$@" || end "failed: the bundle could not be installed"
/opt/imgrec/bin/imgrec version || end "failed: the installed program does not run"

# What an instance makes for itself at its first start: each has its own. An empty machine-id is filled by systemd.
rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/dbus/machine-id
: > /etc/machine-id
echo localhost > /etc/hostname
# What was written down meanwhile, and the ways in of whoever it was given to.
rm -rf /root/.ssh /home/*/.ssh /root/.bash_history /home/*/.bash_history /var/lib/dhcp/* /var/log/journal/* /tmp/* /var/tmp/*
rm -f /etc/imgrec/worker.env /usr/local/sbin/imgrec-install /usr/local/sbin/imgrec-bake
# cloud-init begins anew, and with it the user-data of whoever starts from the image.
cloud-init clean --logs --seed || end "failed: cloud-init keeps what it knows of this machine"
kill "$guard"
end ready
