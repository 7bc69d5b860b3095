#!/usr/bin/python3 -B
# openssl: keys, requests, a CA with revocation, verification, CMS, ciphers and digests, speed, and s_server under s_client and TLS clients.
import os
import re
import socket
import ssl

from suite import LONG, Suite, need_program

need_program("openssl")
CONFIG = """
[req]
distinguished_name = dn
prompt = no
x509_extensions = ca_part
[dn]
CN = Test CA
O = Tests
[ca_part]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[ca]
default_ca = ours
[ours]
database = index.txt
new_certs_dir = issued
serial = serial
crlnumber = serial
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
certificate = ca.pem
private_key = ca.key
[any]
commonName = supplied
organizationName = optional
[leaf]
basicConstraints = CA:FALSE
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost,IP:127.0.0.1
"""
ROUNDS = 12 if LONG else 2


def shape(text):
    """Keys, signatures, dates and times are never the same twice; what is left is the form of the answer."""
    text = re.sub(r"(?m)^(Not Before|Not After|\s+Not (Before|After)|.*Update|.*[Cc]ertificate is to be certified until).*$", "date", text)
    text = re.sub(r"\b[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4} GMT\b", "date", text)
    text = re.sub(r"(?m)^[.+*-]+$", "dots", text)
    return re.sub(r"\d+(\.\d+)?(k|s| sec\w*)?", "N", re.sub(r"\b[0-9A-Fa-f:]{16,}\b", "hex", text))


def work(side):
    def openssl(*words, **options):
        options.setdefault("normalise", shape)
        return side.run(["openssl"] + list(words), env={"OPENSSL_CONF": side.work + "/ca.cnf" if words[0] in ("req", "ca") else "/dev/null"}, **options)

    with open(side.work + "/ca.cnf", "w") as file:
        file.write(CONFIG)
    for name, text in (("index.txt", ""), ("serial", "1000\n"), ("data", "".join("line %d\n" % i for i in range(20000)))):
        with open(side.work + "/" + name, "w") as file:
            file.write(text)
    os.mkdir(side.work + "/issued")
    openssl("genrsa", "-out", "ca.key", "2048", status_only=True)
    openssl("req", "-new", "-x509", "-key", "ca.key", "-out", "ca.pem", "-days", "60", "-config", "ca.cnf")
    for i in range(ROUNDS):
        kind = (["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], ["genpkey", "-algorithm", "ED25519"],
                ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"])[i % 3]
        openssl(*kind, "-out", "leaf%d.key" % i, status_only=True)
        openssl("req", "-new", "-key", "leaf%d.key" % i, "-subj", "/CN=leaf%d/O=Tests" % i, "-out", "leaf%d.csr" % i, "-config", "ca.cnf")
        openssl("ca", "-batch", "-config", "ca.cnf", "-extensions", "leaf", "-in", "leaf%d.csr" % i, "-out", "leaf%d.pem" % i, "-notext")
        openssl("verify", "-CAfile", "ca.pem", "leaf%d.pem" % i)
        openssl("x509", "-in", "leaf%d.pem" % i, "-noout", "-subject", "-issuer", "-ext", "subjectAltName")
    openssl("ca", "-config", "ca.cnf", "-revoke", "leaf1.pem")
    openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem")
    openssl("verify", "-CAfile", "ca.pem", "-CRLfile", "crl.pem", "-crl_check", "leaf1.pem")
    openssl("pkcs12", "-export", "-inkey", "leaf0.key", "-in", "leaf0.pem", "-certfile", "ca.pem", "-passout", "pass:x", "-out", "leaf0.p12")
    openssl("pkcs12", "-in", "leaf0.p12", "-passin", "pass:x", "-nodes", "-info", status_only=True)
    openssl("pkcs12", "-in", "leaf0.p12", "-passin", "pass:wrong", "-nodes")
    openssl("cms", "-sign", "-in", "data", "-signer", "leaf0.pem", "-inkey", "leaf0.key", "-outform", "DER", "-nodetach", "-binary", "-out", "data.cms")
    openssl("cms", "-verify", "-inform", "DER", "-in", "data.cms", "-CAfile", "ca.pem", "-purpose", "any", "-binary", "-out", "data.back")
    for cipher in ("aes-256-cbc", "aes-128-ctr", "chacha20", "camellia-192-cbc"):
        openssl("enc", "-" + cipher, "-pbkdf2", "-S", "0102030405060708", "-pass", "pass:x", "-in", "data", "-out", "data." + cipher)
        openssl("enc", "-d", "-" + cipher, "-pbkdf2", "-S", "0102030405060708", "-pass", "pass:x", "-in", "data." + cipher, "-out", "plain." + cipher)
    for digest in ("md5", "sha1", "sha256", "sha3-512", "blake2b512", "sm3"):
        openssl("dgst", "-" + digest, "data", normalise=None)
    openssl("dgst", "-sha256", "-sign", "ca.key", "-out", "data.sig", "data")
    side.shell("openssl rsa -in ca.key -pubout 2>/dev/null > ca.pub; openssl dgst -sha256 -verify ca.pub -signature data.sig data; openssl asn1parse -in ca.pem | wc -l; openssl prime 65537; openssl rand 1000 | wc -c")
    openssl("kdf", "-keylen", "32", "-kdfopt", "pass:x", "-kdfopt", "salt:y", "-kdfopt", "n:1024", "-kdfopt", "r:8", "-kdfopt", "p:1", "SCRYPT", normalise=None)
    openssl("no-such-command")
    openssl("speed", "-seconds", "1", "-bytes", "1024", "-multi", "2", "-evp", "sha256", status_only=True)
    openssl("speed", "-seconds", "1", "-bytes", "8192", "-evp", "aes-128-gcm", status_only=True)
    serve(side)


def serve(side):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = side.start(["openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-cert", "leaf0.pem", "-key", "leaf0.key", "-CAfile", "ca.pem", "-www", "-quiet"],
                        env={"OPENSSL_CONF": "/dev/null"}, stderr=open(side.work + "/server.err", "w"))
    context = ssl.create_default_context(cafile=side.work + "/ca.pem")

    def get():
        try:
            with socket.create_connection(("127.0.0.1", port), 20) as plain, context.wrap_socket(plain, server_hostname="localhost") as stream:
                stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
                text = b""
                while True:
                    part = stream.recv(65536)
                    if not part:
                        break
                    text += part
            return stream.version() or "", b"s_server" in text
        except ConnectionRefusedError:
            return None

    suite.wait_for(get, "s_server answers")
    side.note("requests", [get() for _ in range(100 if LONG else 25)])
    for version in ("-tls1_2", "-tls1_3"):
        side.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-CAfile", "ca.pem", version, "-brief", "-ign_eof", "-verify_return_error"], title="s_client " + version,
                 input="GET / HTTP/1.0\r\n\r\n", normalise=lambda text: re.sub(r"(?s)<HTML>.*", "page", re.sub(r"(Hash used|Signature type|Peer Temp Key).*", "", text)))
    side.idle("s_server at rest", server.pid)
    server.terminate()
    side.note("s_server's status", server.wait(30))
    with open(side.work + "/server.err") as file:
        side.note("s_server's errors", file.read())


with Suite("openssl", spare=lambda name, arguments: name != "openssl") as suite:
    suite.both(work, ignore=lambda path: path.endswith((".key", ".pem", ".csr", ".p12", ".cms", ".sig", ".pub", "server.err")) or path.startswith(("issued/", "index.txt")))
