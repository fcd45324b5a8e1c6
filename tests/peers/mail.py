"""A real Postfix with a real Dovecot behind it, from Debian's packages, below one folder.

Postfix listens on two ports: one that wants STARTTLS and a login, and one, in the clear, for the
proxy that spoils answers. Dovecot checks the logins, keeps the mailboxes and shows them by IMAP.
What Postfix cannot deliver comes back to the envelope's sender, as everywhere.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from imapclient import IMAPClient

PROGRAMS = ("postfix", "dovecot")
PASSWORD = "right-horse"
SENDER = "letter@shop.example.org"
BOUNCES = "bounces@shop.example.org"
READERS = "readers.example.net"
# Who has a mailbox; everyone else at READERS is taken by Postfix and refused by Dovecot.
OWNERS = ("letter@shop.example.org", BOUNCES, f"ann@{READERS}", f"bob@{READERS}", f"eve@{READERS}")
# What Postfix itself says to RCPT, by reader.
REFUSED = {
    f"later@{READERS}": "451 4.3.0 not now",
    f"slow@{READERS}": "450 4.2.1 too fast",
    f"full@{READERS}": "452 4.2.2 mailbox full",
    f"unknown@{READERS}": "550 5.1.1 no such user",
    f"policy@{READERS}": "554 5.7.1 not wanted",
}
_START_SECONDS = 30.0


def missing() -> str:
    """What this machine lacks to run them; empty when nothing."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        return ", ".join(lacking)
    if os.geteuid() != 0:
        return "root: Postfix changes its user by itself"
    version = subprocess.run(["dovecot", "--version"], capture_output=True, text=True, check=True)
    return "" if version.stdout.startswith("2.3") else "a Dovecot 2.3"


@dataclass(frozen=True, slots=True)
class MailHost:
    """Both servers, running. Ports on 127.0.0.1; `ca` is the certificate they show.
    At `tokens` Dovecot asks whose an access token is (RFC 7662, /introspect)."""

    folder: Path
    submission: int
    plain: int
    imap: int
    ca: Path
    tokens: int = 0

    @contextmanager
    def inbox(self, owner: str) -> Iterator[IMAPClient]:
        """Somebody's own view of their mailbox."""
        client = IMAPClient("127.0.0.1", port=self.imap, ssl=False, timeout=10)
        try:
            client.login(owner, PASSWORD)
            client.select_folder("INBOX")
            yield client
        finally:
            client.logout()

    def mails(self, owner: str) -> list[bytes]:
        """What somebody has received."""
        with self.inbox(owner) as client:
            found = client.fetch(client.search(), ["BODY.PEEK[]"])
            return [found[uid][b"BODY[]"] for uid in sorted(found)]

    def wait_for(self, owner: str, count: int) -> list[bytes]:
        """Those mails once there are so many. Error: TimeoutError, with Postfix's log."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if len(found := self.mails(owner)) >= count:
                return found
            time.sleep(0.1)
        raise TimeoutError(f"{owner} has {len(found)} of {count}\n{self.log()}")

    def queue_is_empty(self) -> bool:
        """Whether Postfix has nothing more to deliver."""
        told = subprocess.run(
            ["postqueue", "-c", str(self.folder / "postfix"), "-j"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return not told.stdout.strip()

    def log(self) -> str:
        return (self.folder / "mail.log").read_text(errors="replace")[-4000:]


@contextmanager
def running(folder: Path) -> Iterator[MailHost]:
    """Both servers below `folder`, whose path has to be short (their sockets)."""
    folder.chmod(0o755)
    submission, plain, imap, tokens = _free_ports(4)
    certificate = _certificate(folder)
    host = MailHost(folder, submission, plain, imap, certificate, tokens)
    _write_dovecot(host)
    _write_postfix(host)
    config = ["postfix", "-c", str(folder / "postfix")]
    with (folder / "dovecot.out").open("wb") as out:
        dovecot = subprocess.Popen(
            ["dovecot", "-F", "-c", str(folder / "dovecot.conf")], stdout=out, stderr=out
        )
    try:
        _wait_for(imap)
        _run([*config, "start"])
        try:
            _wait_for(submission)
            _wait_for(plain)
            yield host
        finally:
            _run([*config, "stop"])
    finally:
        dovecot.terminate()
        try:
            dovecot.wait(10)
        except subprocess.TimeoutExpired:
            dovecot.kill()
            dovecot.wait()


def _write_dovecot(host: MailHost) -> None:
    folder = host.folder
    mail = folder / "mail"
    mail.mkdir()
    shutil.chown(mail, "mail", "mail")
    users = folder / "users"
    users.write_text("".join(f"{owner}:{{PLAIN}}{PASSWORD}::::::\n" for owner in OWNERS))
    users.chmod(0o644)
    (folder / "oauth2.conf").write_text(f"""
introspection_url = http://127.0.0.1:{host.tokens}/introspect
introspection_mode = post
force_introspection = yes
username_attribute = email
active_attribute = active
active_value = true
""")
    (folder / "dovecot.conf").write_text(f"""
base_dir = {folder}/dovecot
state_dir = {folder}/dovecot-state
log_path = {folder}/dovecot.log
listen = 127.0.0.1
protocols = imap lmtp
ssl = yes
ssl_cert = <{host.ca}
ssl_key = <{folder}/key.pem
disable_plaintext_auth = no
auth_failure_delay = 0
auth_mechanisms = plain login xoauth2 oauthbearer
mail_location = maildir:{mail}/%u
mail_uid = mail
mail_gid = mail
first_valid_uid = 8
recipient_delimiter = +
namespace inbox {{
  inbox = yes
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login
  args = username_format=%u {users}
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {users}
  default_fields = uid=mail gid=mail home={mail}/%u
}}
service imap-login {{
  inet_listener imap {{
    port = {host.imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
""")


def _write_postfix(host: MailHost) -> None:
    folder = host.folder
    config, queue, data = folder / "postfix", folder / "queue", folder / "data"
    for path in (config, queue, data):
        path.mkdir()
    shutil.chown(data, "postfix", "postfix")
    (config / "refused").write_text("".join(f"{who} {say}\n" for who, say in REFUSED.items()))
    (config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = mx.shop.example.org
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
virtual_mailbox_domains = shop.example.org, {READERS}
virtual_mailbox_maps =
virtual_transport = lmtp:unix:{folder}/lmtp
recipient_delimiter = +
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = {folder}/key.pem, {host.ca}
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/auth
smtpd_relay_restrictions = permit_sasl_authenticated, permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access texthash:{config}/refused, permit
smtpd_reject_unlisted_recipient = no
smtpd_peername_lookup = no
smtpd_delay_reject = yes
""")
    login = "-o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=encrypt"
    only = "-o smtpd_relay_restrictions=permit_sasl_authenticated,reject"
    (config / "master.cf").write_text(f"""
127.0.0.1:{host.submission} inet n - n - - smtpd {login} {only}
127.0.0.1:{host.plain} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
showq unix n - n - - showq
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
""")


def _certificate(folder: Path) -> Path:
    """Its own authority, for 127.0.0.1; the key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.shop.example.org")])
    now = datetime.now(UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "cert.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    private = folder / "key.pem"
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_START_SECONDS
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} failed: {done.stdout[-2000:]} {done.stderr[-2000:]}"
        )


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as probe:
            if probe.recv(3):
                return
        time.sleep(0.05)
    raise RuntimeError(f"no server on port {port} after {_START_SECONDS:.0f} s")
